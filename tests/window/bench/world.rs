//! The event loop.

use super::provider::{Discipline, Provider, Spec};
use super::rng::Rng;
use fairflow::core::outcome::Outcome;
use fairflow::core::time::Time;
use fairflow::core::window::{Change, Stamp, Window, WindowConfig};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// After a failure by overload nothing is sent for so long: what a breaker does.
const BACKOFF: f64 = 1.0;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The answer of a job arrives.
    Answer(usize, u8),
    /// The provider finishes a job (FIFO or unlimited).
    Finish(usize),
    /// Processor sharing: look again, if the generation is right.
    Share(u64),
    Wake,
    /// A slot is free at last.
    Free,
    /// A schedule steps.
    Step,
}

struct Job {
    stamp: Stamp,
    work: f64,
}

/// What a run measured.
#[derive(Default, Clone)]
pub struct Report {
    pub goodput: f64,
    pub refusals: f64,
    pub overloads: u32,
    pub overload_cuts: u32,
    pub successes: u32,
    pub mean_in_flight: f64,
    /// Mean in flight of the second half.
    pub settled: f64,
    pub last_limit: u32,
    pub least_limit: u32,
    /// Seconds from the end of the last outage to 90 % of capacity.
    pub back_after: f64,
    pub trace: Vec<(f64, Change)>,
    /// (time, limit) at each second-ish sample.
    pub samples: Vec<(f64, u32)>,
}

pub fn run(spec: Spec, config: WindowConfig, seed: u64) -> Report {
    run_with(spec, Window::new(config), seed)
}

pub fn run_with(spec: Spec, window: Window, seed: u64) -> Report {
    World::new(spec, window, seed).run()
}

struct World {
    window: Window,
    provider: Provider,
    rng: Rng,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    jobs: Vec<Job>,
    free: Vec<usize>,
    now: u64,
    hold_until: u64,
    report: Report,
    area: f64,
    settled_area: f64,
    used: f64,
    offered: f64,
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

impl World {
    fn new(spec: Spec, window: Window, seed: u64) -> Self {
        let mut world = Self {
            window,
            provider: Provider::new(spec.clone()),
            rng: Rng::new(seed),
            heap: BinaryHeap::new(),
            sequence: 0,
            jobs: Vec::new(),
            free: Vec::new(),
            now: 0,
            hold_until: 0,
            report: Report { least_limit: u32::MAX, back_after: f64::NAN, ..Report::default() },
            area: 0.0,
            settled_area: 0.0,
            used: 0.0,
            offered: 0.0,
        };
        for steps in [&spec.cap, &spec.servers, &spec.slow, &spec.outage] {
            for &(at, _) in &steps.0 {
                world.at(at, Event::Step);
            }
        }
        world
    }

    fn at(&mut self, t: f64, event: Event) {
        self.sequence += 1;
        let nanos = ((t * 1e9) as u64).max(self.now);
        self.heap.push(Reverse((nanos, self.sequence, event)));
    }

    fn run(mut self) -> Report {
        let end = self.provider.spec.seconds;
        self.dispatch();
        while let Some(Reverse((at, _, event))) = self.heap.pop() {
            if seconds(at) > end {
                break;
            }
            self.pass(at);
            self.handle(event);
            self.dispatch();
        }
        self.pass((end * 1e9) as u64);
        let mut report = self.report;
        report.goodput = self.used / self.offered;
        report.refusals /= f64::from(report.successes.max(1));
        report.mean_in_flight = self.area / end;
        report.settled = self.settled_area / (end / 2.0);
        report.last_limit = self.window.limit();
        report
    }

    fn pass(&mut self, to: u64) {
        let (from, t) = (seconds(self.now), seconds(to));
        let dt = t - from;
        self.area += dt * f64::from(self.window.in_flight());
        if from > self.provider.spec.seconds / 2.0 {
            self.settled_area += dt * f64::from(self.window.in_flight());
        }
        let used = self.provider.used(from);
        self.used += dt * used;
        self.offered += dt * self.provider.spec.capacity(from);
        let last = self.provider.spec.outage.0.last().map_or(0.0, |(at, _)| *at);
        let back = from > last && used >= 0.9 * self.provider.spec.capacity(from);
        if self.report.back_after.is_nan() && back {
            self.report.back_after = from - last;
        }
        self.report.least_limit = self.report.least_limit.min(self.window.limit());
        if self.report.samples.last().is_none_or(|(last, _)| t - last >= self.provider.spec.seconds / 200.0) {
            self.report.samples.push((t, self.window.limit()));
        }
        self.now = to;
    }

    fn demand(&self) -> bool {
        self.window.in_flight() < self.provider.spec.clients
    }

    fn dispatch(&mut self) {
        while self.window.free() > 0 && self.demand() && self.now >= self.hold_until {
            let size = 1 + self.rng.below(self.provider.spec.max_size);
            let spec = &self.provider.spec;
            let work = self.rng.lognormal(spec.median, spec.sigma) * size as f64;
            let more = self.window.in_flight() + 1 < spec.clients;
            let stamp = self.window.on_dispatch(Time::from_nanos(self.now), size as f64, more);
            let job = Job { stamp, work };
            let id = self.free.pop().unwrap_or(self.jobs.len());
            if id == self.jobs.len() {
                self.jobs.push(job)
            } else {
                self.jobs[id] = job
            }
            self.arrive(id);
        }
    }

    fn arrive(&mut self, id: usize) {
        let t = seconds(self.now);
        let spec = &self.provider.spec;
        let refusal = t + spec.refusal_seconds;
        if spec.outage.at(t) >= 1.0 {
            return self.at(refusal, Event::Answer(id, 2));
        }
        if f64::from(self.provider.admitted) >= spec.cap.at(t) {
            return self.at(refusal, Event::Answer(id, 1));
        }
        self.provider.admitted += 1;
        match spec.discipline {
            Discipline::Unlimited => self.start(id),
            Discipline::Fifo => {
                self.provider.waiting.push_back(id);
                self.serve();
            }
            Discipline::Sharing | Discipline::Batch => {
                self.provider.attain(t);
                let finish = self.provider.attained + self.jobs[id].work;
                self.provider.running.push((finish, id));
                self.share();
            }
        }
    }

    fn serve(&mut self) {
        let t = seconds(self.now);
        while f64::from(self.provider.busy) < self.provider.spec.servers.at(t) {
            let Some(id) = self.provider.waiting.pop_front() else { break };
            self.start(id);
        }
    }

    fn start(&mut self, id: usize) {
        let t = seconds(self.now);
        self.provider.busy += 1;
        let finish = t + self.jobs[id].work * self.provider.spec.slow.at(t);
        self.at(finish, Event::Finish(id));
    }

    /// Processor sharing: schedules the next finish.
    fn share(&mut self) {
        let t = seconds(self.now);
        self.provider.generation += 1;
        let next = self.provider.running.iter().map(|(finish, _)| *finish).fold(f64::MAX, f64::min);
        if next < f64::MAX {
            let at = t + ((next - self.provider.attained) / self.provider.rate(t)).max(0.0) + 1e-9;
            self.at(at, Event::Share(self.provider.generation));
        }
    }

    fn handle(&mut self, event: Event) {
        let t = seconds(self.now);
        match event {
            Event::Finish(id) => {
                self.provider.busy -= 1;
                if self.provider.spec.lag > 0.0 {
                    let lag = self.provider.spec.lag * self.rng.unit();
                    self.at(t + lag, Event::Free);
                } else {
                    self.provider.admitted -= 1;
                }
                if self.provider.spec.discipline == Discipline::Fifo {
                    self.serve();
                }
                self.answer(id, Outcome::Success);
            }
            Event::Share(generation) if generation == self.provider.generation => {
                self.provider.attain(t);
                let attained = self.provider.attained + 1e-9;
                let done: Vec<usize> =
                    self.provider.running.iter().filter(|(f, _)| *f <= attained).map(|(_, id)| *id).collect();
                self.provider.running.retain(|(f, _)| *f > attained);
                self.provider.admitted -= done.len() as u32;
                for id in done {
                    self.answer(id, Outcome::Success);
                }
                self.share();
            }
            Event::Answer(id, kind) => {
                self.answer(id, if kind == 1 { Outcome::Throttled } else { Outcome::Overloaded });
            }
            Event::Step => {
                if matches!(self.provider.spec.discipline, Discipline::Sharing | Discipline::Batch) {
                    self.provider.attain(t);
                    self.share();
                }
                self.serve();
            }
            Event::Free => self.provider.admitted -= 1,
            Event::Share(_) | Event::Wake => {}
        }
    }

    fn answer(&mut self, id: usize, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.report.successes += 1,
            Outcome::Throttled => self.report.refusals += 1.0,
            _ => {
                self.report.overloads += 1;
                let wake = seconds(self.now) + BACKOFF;
                self.hold_until = (wake * 1e9) as u64;
                self.at(wake, Event::Wake);
            }
        }
        let stamp = self.jobs[id].stamp;
        self.free.push(id);
        let demand = self.demand();
        if let Some(change) = self.window.on_settle(Time::from_nanos(self.now), stamp, outcome, demand) {
            if change.kind.as_str() == "overload" {
                self.report.overload_cuts += 1;
            }
            self.report.trace.push((seconds(self.now), change));
        }
    }
}
