//! Watches all models, once a second, and remembers: their numbers, and what was decided about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::decision::{Decisions, What};
use super::history::{Ring, SPAN, Sample, pace};
use crate::capacity::{ModelCapacity, RouteCapacity, RouteStatus};
use crate::core::outcome::Outcome;
use crate::events::{Event, EventKind};
use crate::stats::Stats;

/// Running totals of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Totals {
    done: u64,
    pushed_back: u64,
    failed: u64,
    refused: u64,
    dispatched: u64,
    /// Seconds waited by all that was dispatched.
    waited: f64,
}

impl Totals {
    fn of(stats: &Stats) -> Self {
        let mut totals = Self::default();
        for (outcome, count) in stats.attempts() {
            match outcome {
                Outcome::Success => totals.done += count,
                Outcome::Throttled | Outcome::RateLimited => totals.pushed_back += count,
                Outcome::Overloaded | Outcome::Failed => totals.failed += count,
                Outcome::Rejected | Outcome::Cancelled => {}
            }
        }
        totals.refused = stats.requests().filter(|(end, _)| end.is_rejected()).map(|(_, count)| count).sum();
        let waited = stats.queue_wait.read();
        (totals.waited, totals.dispatched) = (waited.sum, waited.counts.iter().sum());
        totals
    }
}

/// A route's provider account, and the model's name there.
type RouteName = (Arc<str>, Arc<str>);

/// The history, decisions and totals of a model.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) history: Ring,
    pub(super) decisions: Decisions,
    totals: Totals,
    /// When the last sample was due, and when it last did something; Unix seconds.
    sampled: u32,
    active: u32,
    /// States of its routes, unless they are open or held.
    states: Vec<(RouteName, &'static str)>,
    paused: bool,
    pinned: Option<u32>,
}

/// The tracks of all models.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) tracks: BTreeMap<Arc<str>, Track>,
    /// The sum over all models.
    pub(super) all: Ring,
}

impl Recorder {
    /// Takes a look at every model, at `now` in Unix seconds.
    pub(super) fn look(&mut self, now: u32, models: &[(ModelCapacity, Arc<Stats>)]) {
        if self.tracks.len() > models.len() {
            let known = |name: &Arc<str>| models.binary_search_by(|(model, _)| model.model.cmp(name)).is_ok();
            self.tracks.retain(|name, _| known(name));
        }
        let every = pace(self.tracks.values().filter(|track| !track.history.is_empty()).count());
        let mut all = Sample { at: now, wait: f32::NAN, ..Sample::default() };
        for (capacity, stats) in models {
            // A model that has never done anything costs an entry and no more.
            let track = self.tracks.entry(capacity.model.clone()).or_default();
            track.notice(now, capacity);
            if let Some(sample) = track.sample(now, every, capacity, Totals::of(stats)) {
                track.history.push(sample);
            }
            all.window += capacity.window;
            all.in_flight += capacity.in_flight;
            all.queued += u32::try_from(capacity.queue_depth).unwrap_or(u32::MAX);
        }
        let latest = self.tracks.values().filter_map(|track| track.history.last(now.saturating_sub(every)));
        for sample in latest {
            all.done += sample.done;
            all.pushed_back += sample.pushed_back;
            all.failed += sample.failed;
            all.refused += sample.refused;
        }
        self.all.push(all);
    }

    /// Remembers what a controller decided.
    pub(super) fn decided(&mut self, now: u32, event: Event) {
        let track = self.tracks.entry(event.model).or_default();
        match event.kind {
            EventKind::WindowChanged { provider, kind, from, to, probe_in } => {
                track.decisions.note(now, Some(provider), What::Moved { kind, from, to, probe_in });
            }
            EventKind::Held { provider, wait } => track.decisions.note(now, Some(provider), What::Held { wait }),
            EventKind::Judged { provider, verdict } => track.decisions.note(now, Some(provider), What::Judged(verdict)),
            _ => {}
        }
    }

    /// Returns how many requests models have had: dispatched, or refused by us.
    pub(super) fn requests(&self) -> u64 {
        self.tracks.values().map(|track| track.totals.dispatched + track.totals.refused).sum()
    }
}

/// Names the states that are worth a note when they begin.
fn notable(route: &RouteCapacity) -> Option<&'static str> {
    ["closed", "suspended", "probing"].into_iter().find(|state| *state == route.state.as_str())
}

impl Track {
    /// Notes what has changed about a model and its routes.
    fn notice(&mut self, now: u32, capacity: &ModelCapacity) {
        for route in &capacity.routes {
            // An account may serve the model under several names.
            let name = (route.provider.clone(), route.model.clone());
            let known = self.states.iter().position(|(known, _)| *known == name);
            let before = known.map(|place| self.states[place].1);
            let after = notable(route);
            if after == before || route.state == RouteStatus::Paused {
                continue;
            }
            self.states.retain(|(known, _)| *known != name);
            self.states.extend(after.map(|state| (name, state)));
            let (reason, until) = (route.reason.as_deref().map(Arc::from), Duration::from_millis(route.hold_until_ms));
            let what = What::Route { state: after.unwrap_or("open"), reason, until };
            self.decisions.note(now, Some(route.provider.clone()), what);
        }
        let was = (std::mem::replace(&mut self.paused, capacity.paused), self.pinned);
        self.pinned = capacity.pinned_window;
        if was.0 != capacity.paused {
            self.decisions.note(now, None, if capacity.paused { What::Paused } else { What::Resumed });
        }
        if was.1 != capacity.pinned_window {
            self.decisions.note(now, None, capacity.pinned_window.map_or(What::Unpinned, What::Pinned));
        }
    }

    /// Returns the next sample, if one is due; a model that is idle for as long as history goes back has none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "to be looked at")]
    fn sample(&mut self, now: u32, every: u32, capacity: &ModelCapacity, totals: Totals) -> Option<Sample> {
        let before = self.totals;
        if totals != before || capacity.in_flight > 0 || capacity.queue_depth > 0 {
            self.active = now;
        } else if self.active.saturating_add(SPAN) <= now {
            (self.history, self.sampled) = (Ring::default(), now);
            return None;
        }
        let passed = now.saturating_sub(self.sampled);
        if passed < every {
            return None;
        }
        // The first stretch is as long as the others: before it, nothing was done.
        let seconds = if self.sampled == 0 { every } else { passed } as f32;
        (self.sampled, self.totals) = (now, totals);
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f32 / seconds * 10.0).round() / 10.0;
        let dispatched = totals.dispatched.saturating_sub(before.dispatched);
        let waited = (totals.waited - before.waited).max(0.0) * 1e3 / dispatched as f64;
        let millis = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        Some(Sample {
            at: now,
            window: capacity.window,
            in_flight: capacity.in_flight,
            queued: u32::try_from(capacity.queue_depth).unwrap_or(u32::MAX),
            done: rate(totals.done, before.done),
            pushed_back: rate(totals.pushed_back, before.pushed_back),
            failed: rate(totals.failed, before.failed),
            refused: rate(totals.refused, before.refused),
            wait: if dispatched > 0 { (waited * 10.0).round() as f32 / 10.0 } else { f32::NAN },
            p50: millis(capacity.processing_ms.p50),
            p90: millis(capacity.processing_ms.p90),
            p99: millis(capacity.processing_ms.p99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;
    use crate::capacity::Phase;
    use crate::stats::RequestOutcome;

    #[test]
    fn rates_are_of_the_time_between_looks_and_idle_models_have_no_history() {
        let stats: Arc<Stats> = Arc::default();
        let mut models = vec![(ModelCapacity::new("m".into(), 9), stats.clone())];
        let mut recorder = Recorder::default();
        recorder.look(1_000, &models);
        assert!(recorder.tracks["m"].history.is_empty(), "nothing was asked of it yet");
        let attempts = |outcome, count| (0..count).for_each(|_| stats.attempt(outcome));
        attempts(Outcome::Success, 4);
        attempts(Outcome::RateLimited, 2);
        stats.request(RequestOutcome::Refused(Reason::QueueFull));
        stats.queue_wait.record(Duration::from_millis(30));
        models[0].0.paused = true;
        recorder.look(1_002, &models);
        let sample = *recorder.tracks["m"].history.last(1_001).expect("a sample");
        assert_eq!((sample.done, sample.pushed_back, sample.refused, sample.wait), (2.0, 1.0, 0.5, 30.0));
        assert_eq!((recorder.requests(), recorder.all.last(0).map(|all| all.done)), (2, Some(2.0)));
        assert_eq!(recorder.tracks["m"].decisions.latest().count(), 1, "that it was paused");
        let route = |model: &str, state| RouteCapacity {
            provider: "lab".into(),
            model: model.into(),
            state,
            reason: None,
            window: 1,
            in_flight: 0,
            hold_until_ms: 0,
            learned_rate: None,
            misses_latency_target: false,
            phase: Phase::Holding,
        };
        models[0].0.routes = vec![route("a", RouteStatus::Closed), route("b", RouteStatus::Open)];
        (1_003..1_006).for_each(|now| recorder.look(now, &models));
        assert_eq!(recorder.tracks["m"].decisions.latest().count(), 2, "that one route closed, once");
        recorder.look(1_006 + SPAN, &models);
        assert!(recorder.tracks["m"].history.is_empty());
        recorder.look(1_007 + SPAN, &[]);
        assert!(recorder.tracks.is_empty(), "a model that has gone");
    }
}
