//! Measures a run while it is played.

use super::controller::Controller;
use super::run::{Run, Sample, jain};
use super::scenario::Scenario;
use crate::core::estimate::nearest_rank;
use crate::core::outcome::Outcome;
use crate::core::window::Change;

/// Samples of a run.
const SAMPLES: f64 = 240.0;
/// "At capacity" is this share of it.
const FULL: f64 = 0.9;
/// Capacities from here on are no capacity.
const UNKNOWN: f64 = 1e8;

/// The state of a world between two events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) in_flight: u32,
    /// Requests that the windows of all replicas allow in flight.
    pub(super) window: u32,
    pub(super) waiting: usize,
    /// Slots that the provider has in use.
    pub(super) used: f64,
}

/// A request that succeeded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Success {
    /// Seconds from its creation, and from the dispatch of this attempt.
    pub(super) sojourn: f64,
    pub(super) service: f64,
    pub(super) work: f64,
    pub(super) load: u32,
    /// The position of the route that served it.
    pub(super) route: usize,
}

/// Areas under what is observed, over time.
#[derive(Debug, Default)]
struct Areas {
    in_flight: f64,
    /// In the second half of the run.
    settled: f64,
    /// Under the window and time, before and during the first slow stretch.
    kept: [(f64, f64); 2],
}

// fields: what is counted, each by itself.
pub(super) struct Observer {
    run: Run,
    scenario: Scenario,
    round_trip: f64,
    pub(super) events: u64,
    pub(super) inside_retry_after: u64,
    pub(super) delivered: f64,
    areas: Areas,
    cuts: u64,
    next_sample: f64,
    sample: Sample,
    recent: Vec<f32>,
    tenants: Vec<f64>,
    /// When things are fair: after the last replica has been there for a tenth of the run.
    fair_from: f64,
    slow: Option<(f64, f64)>,
    overloads: Vec<(f64, f64)>,
    /// The end of the last outage of any provider.
    last_outage: Option<f64>,
    /// Work done by each route, from when things are fair.
    routes: Vec<f64>,
}

impl Observer {
    pub(super) fn new(scenario: &Scenario, controller: Controller, seed: u64) -> Self {
        let round_trip = scenario.service.mean();
        let slow = scenario.providers().find_map(|spec| {
            let from = spec.slow.times().find(|t| spec.slow.at(*t) > 1.0)?;
            Some((from, spec.slow.next(from).unwrap_or(scenario.seconds)))
        });
        let crashes = scenario.providers().flat_map(|spec| &spec.crashes).map(|at| (*at, at + round_trip / 2.0));
        let outages = || scenario.providers().flat_map(|spec| spec.outages.iter().copied());
        let run = Run {
            controller,
            seed,
            delivered: 0.0,
            successes: 0,
            throttled: 0,
            rate_limited: 0,
            overloaded: 0,
            lost: 0,
            in_flight: 0.0,
            settled: 0.0,
            jain: None,
            cuts: None,
            inside_retry_after: 0,
            probes: outages().next().map(|_| 0),
            back: None,
            cold: None,
            kept: None,
            samples: Vec::new(),
            changes: Vec::new(),
            events: 0,
            sojourns: Vec::new(),
            services: Vec::new(),
        };
        Self {
            run,
            round_trip,
            events: 0,
            inside_retry_after: 0,
            delivered: 0.0,
            areas: Areas::default(),
            cuts: 0,
            next_sample: 0.0,
            sample: Sample::default(),
            recent: Vec::new(),
            tenants: vec![0.0; scenario.load.len()],
            fair_from: scenario.stagger * f64::from(scenario.replicas - 1) + scenario.seconds / 10.0,
            slow,
            overloads: crashes.chain(outages()).collect(),
            last_outage: outages().map(|(_, to)| to).reduce(f64::max),
            routes: vec![0.0; scenario.providers().count()],
            scenario: scenario.clone(),
        }
    }

    /// Counts a state that stood from one second to another.
    pub(super) fn pass(&mut self, from: f64, to: f64, stood: Standing) {
        let (dt, in_flight, window) = (to - from, f64::from(stood.in_flight), f64::from(stood.window));
        let half = self.scenario.seconds / 2.0;
        self.areas.in_flight += dt * in_flight;
        self.areas.settled += (to - from.max(half)).max(0.0) * in_flight;
        let capacity = self.scenario.capacity(from);
        if capacity > 0.0 && capacity < UNKNOWN && stood.used >= FULL * capacity {
            self.run.cold.get_or_insert(from / self.round_trip);
            if let Some(end) = self.last_outage.filter(|end| from >= *end) {
                self.run.back.get_or_insert((from - end) / self.round_trip);
            }
        }
        if let Some((begin, end)) = self.slow {
            let phase = usize::from(from >= begin);
            if from < end && from >= begin / 2.0 {
                self.areas.kept[phase].0 += dt * window;
                self.areas.kept[phase].1 += dt;
            }
        }
        while self.next_sample <= to {
            self.sample_ends(capacity, in_flight, window, stood.waiting as f64);
        }
    }

    fn sample_ends(&mut self, capacity: f64, in_flight: f64, window: f64, waiting: f64) {
        let step = self.scenario.seconds / SAMPLES;
        self.recent.sort_by(f32::total_cmp);
        let of = |q| nearest_rank(&self.recent, q).map_or(f64::NAN, f64::from);
        self.run.samples.push(Sample {
            t: self.next_sample,
            capacity,
            window,
            in_flight,
            waiting,
            successes: self.sample.successes / step,
            refusals: self.sample.refusals / step,
            p50: of(0.5),
            p99: of(0.99),
        });
        self.sample = Sample::default();
        self.recent.clear();
        self.next_sample += step;
    }

    pub(super) fn dispatched(&mut self, t: f64, route: usize) {
        let Some(provider) = self.scenario.providers().nth(route) else { return };
        // What was sent in the first second met the failure rather than asked for it.
        let down = provider.outages.iter().any(|(from, to)| (from + 1.0..*to).contains(&t));
        if let Some(probes) = self.run.probes.as_mut().filter(|_| down) {
            *probes += 1;
        }
    }

    /// Counts a decrease of a window in an overload.
    pub(super) fn cut(&mut self, t: f64, before: u32, after: u32) {
        if after < before && self.overloads.iter().any(|(from, to)| (*from..*to).contains(&t)) {
            self.cuts += 1;
        }
    }

    pub(super) fn moved(&mut self, t: f64, replica: u32, change: Change) {
        self.run.changes.push((t, replica, change));
    }

    /// Counts a success; returns what of it counts for fairness.
    pub(super) fn succeeded(&mut self, t: f64, success: Success) -> f64 {
        let Success { sojourn, service, work, load, route } = success;
        self.run.successes += 1;
        self.delivered += work;
        self.sample.successes += 1.0;
        self.run.sojourns.push(sojourn as f32);
        self.recent.push(sojourn as f32);
        if t >= self.scenario.seconds / 2.0 {
            self.run.services.push(service as f32);
        }
        if t < self.fair_from {
            return 0.0;
        }
        if let Some(tenant) = self.tenants.get_mut(load as usize) {
            *tenant += work;
        }
        if let Some(route) = self.routes.get_mut(route) {
            *route += work;
        }
        work
    }

    pub(super) fn failed(&mut self, outcome: Outcome) {
        self.sample.refusals += 1.0;
        match outcome {
            Outcome::Throttled => self.run.throttled += 1,
            Outcome::RateLimited => self.run.rate_limited += 1,
            _ => self.run.overloaded += 1,
        }
    }

    pub(super) fn lost(&mut self) {
        self.run.lost += 1;
    }

    pub(super) fn finish(self, replicas: &[f64]) -> Run {
        let mut run = self.run;
        run.sojourns.sort_by(f32::total_cmp);
        run.services.sort_by(f32::total_cmp);
        run.delivered = self.delivered;
        run.events = self.events;
        run.inside_retry_after = self.inside_retry_after;
        run.in_flight = self.areas.in_flight / self.scenario.seconds;
        run.settled = self.areas.settled * 2.0 / self.scenario.seconds;
        let several = |shares: &[f64]| shares.len() > 1;
        let shares = if several(replicas) { replicas } else { &self.routes };
        run.jain = jain(if several(shares) { shares } else { &self.tenants });
        run.cuts = (!self.overloads.is_empty()).then(|| self.cuts as f64 / self.overloads.len() as f64);
        let mean = |(area, time): (f64, f64)| if time > 0.0 { area / time } else { f64::NAN };
        run.kept = self.slow.map(|_| mean(self.areas.kept[1]) / mean(self.areas.kept[0]));
        run
    }
}
