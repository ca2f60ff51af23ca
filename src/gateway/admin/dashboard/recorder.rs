//! Watches the models, once a second, and remembers: their numbers, and what was decided about them.
//!
//! Of thousands of models most do nothing, and one that did nothing for as long as history goes back is looked at when it
//! does something again. So an idle model costs a look at its mark.

use std::collections::{BTreeMap, BTreeSet};
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

/// The window that a model has at a moment, and its requests in flight and queued.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    window: u32,
    in_flight: u32,
    queued: u32,
}

impl Level {
    fn of(capacity: &ModelCapacity) -> Self {
        let queued = u32::try_from(capacity.queue_depth).unwrap_or(u32::MAX);
        Self { window: capacity.window, in_flight: capacity.in_flight, queued }
    }

    /// Puts what a model has now in place of what it had.
    fn replace(&mut self, had: Self, has: Self) {
        let change = |sum: &mut u32, had: u32, has: u32| *sum = sum.saturating_sub(had).saturating_add(has);
        change(&mut self.window, had.window, has.window);
        change(&mut self.in_flight, had.in_flight, has.in_flight);
        change(&mut self.queued, had.queued, has.queued);
    }
}

/// The history, decisions and totals of a model.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) history: Ring,
    pub(super) decisions: Decisions,
    totals: Totals,
    level: Level,
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
    /// Models that have a history, or did something just now.
    active: BTreeSet<Arc<str>>,
    /// The sum over all models.
    level: Level,
    pub(super) all: Ring,
}

impl Recorder {
    /// Takes a look at every model that does something, at `now` in Unix seconds: those that were `touched` since the last
    /// look, and those that have a history. There are `count` in all.
    pub(super) fn look(
        &mut self,
        now: u32,
        touched: Vec<Arc<str>>,
        count: usize,
        find: impl Fn(&str) -> Option<(ModelCapacity, Arc<Stats>)>,
    ) {
        self.active.extend(touched);
        let has_history = |name: &&Arc<str>| self.tracks.get(*name).is_some_and(|track| !track.history.is_empty());
        let every = pace(self.active.iter().filter(has_history).count());
        let mut all = Sample { at: now, wait: f32::NAN, ..Sample::default() };
        let (tracks, level) = (&mut self.tracks, &mut self.level);
        self.active.retain(|name| {
            let Some((capacity, stats)) = find(name) else { return false };
            // A model that has never done anything costs an entry and no more.
            let track = tracks.entry(name.clone()).or_default();
            track.notice(now, &capacity);
            let has = Level::of(&capacity);
            level.replace(std::mem::replace(&mut track.level, has), has);
            if let Some(sample) = track.sample(now, every, &capacity, Totals::of(&stats)) {
                track.history.push(sample);
            }
            if let Some(sample) = track.history.last(now.saturating_sub(every)) {
                all.done += sample.done;
                all.pushed_back += sample.pushed_back;
                all.failed += sample.failed;
                all.refused += sample.refused;
            }
            !track.is_idle(now)
        });
        if self.tracks.len() > count {
            self.tracks.retain(|name, track| {
                let is_there = find(name).is_some();
                if !is_there {
                    self.level.replace(track.level, Level::default());
                }
                is_there
            });
        }
        (all.window, all.in_flight, all.queued) = (self.level.window, self.level.in_flight, self.level.queued);
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
            EventKind::Lifted { provider } => track.decisions.note(now, Some(provider), What::Lifted),
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

    /// Says whether the model has done nothing for as long as history goes back.
    fn is_idle(&self, now: u32) -> bool {
        self.active.saturating_add(SPAN) <= now
    }

    /// Returns the next sample, if one is due; a model that is idle for as long as history goes back has none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "to be looked at")]
    fn sample(&mut self, now: u32, every: u32, capacity: &ModelCapacity, totals: Totals) -> Option<Sample> {
        let before = self.totals;
        if totals != before || capacity.in_flight > 0 || capacity.queue_depth > 0 {
            self.active = now;
        } else if self.is_idle(now) {
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
        let mut capacity = ModelCapacity::new("m".into(), 9);
        let mut recorder = Recorder::default();
        let look = |recorder: &mut Recorder, now, capacity: &ModelCapacity| {
            recorder.look(now, vec!["m".into()], 1, |_| Some((capacity.clone(), stats.clone())));
        };
        look(&mut recorder, 1_000, &capacity);
        assert!(recorder.tracks["m"].history.is_empty(), "nothing was asked of it yet");
        let attempts = |outcome, count| (0..count).for_each(|_| stats.attempt(outcome));
        attempts(Outcome::Success, 4);
        attempts(Outcome::RateLimited, 2);
        stats.request(RequestOutcome::Refused(Reason::QueueFull));
        stats.queue_wait.record(Duration::from_millis(30));
        capacity.paused = true;
        look(&mut recorder, 1_002, &capacity);
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
        capacity.routes = vec![route("a", RouteStatus::Closed), route("b", RouteStatus::Open)];
        (1_003..1_006).for_each(|now| look(&mut recorder, now, &capacity));
        assert_eq!(recorder.tracks["m"].decisions.latest().count(), 2, "that one route closed, once");
        look(&mut recorder, 1_006 + SPAN, &capacity);
        assert!(recorder.tracks["m"].history.is_empty());
    }

    #[test]
    fn an_idle_model_is_not_looked_at_and_counts_all_the_same() {
        let seen = std::cell::Cell::new(0);
        let stats: Arc<Stats> = Arc::default();
        let mut recorder = Recorder::default();
        let mut look = |now, touched: &[&str], gone: &str, window| {
            seen.set(0);
            let touched: Vec<_> = touched.iter().map(|name| Arc::from(*name)).collect();
            recorder.look(now, touched, 2 - usize::from(!gone.is_empty()), |name| {
                seen.set(seen.get() + 1);
                let capacity = ModelCapacity { window, ..ModelCapacity::new(name.into(), 9) };
                (name != gone).then(|| (capacity, stats.clone()))
            });
            (seen.get(), recorder.all.last(now - 1).map(|all| all.window), recorder.tracks.len())
        };
        assert_eq!(look(1_000, &["a", "b"], "", 3), (2, Some(6), 2), "both are new");
        assert_eq!(look(1_001, &[], "", 9), (0, Some(6), 2), "both are idle");
        assert_eq!(look(1_002, &["a"], "", 4), (1, Some(7), 2), "one has changed");
        assert_eq!(look(1_003, &[], "b", 4), (2, Some(4), 1), "one has gone");
        stats.attempt(Outcome::Success);
        assert_eq!(look(1_004, &["a"], "b", 4).0, 1);
        assert_eq!(look(1_005, &[], "b", 4).0, 1, "its history goes on");
        assert_eq!(look(1_005 + SPAN, &[], "b", 4).0, 1);
        assert_eq!(look(1_006 + SPAN, &[], "b", 4).0, 0, "and ends");
    }
}
