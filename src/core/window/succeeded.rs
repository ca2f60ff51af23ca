//! A success: it grows the window, proves a probe, or feeds a measurement.

use super::octaves::Bend;
use super::refusals::Admission;
use super::sharing::Climate;
use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

/// Successes after a reading that may still tell that the provider was queueing on the way to it.
const BELATED: u32 = 64;

/// Requests per success that the steepest ramp adds.
const STEEPEST: u32 = 8;

/// A success, as the window measures it.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// When it was dispatched.
    at: Time,
    /// Mean of the in-flight counts at its two ends.
    level: u32,
    /// Service time in seconds, in units of a request of mean size.
    seconds: f64,
}

impl Window {
    /// Counts a success. `full`: the window was, and more was waiting.
    pub(super) fn succeeded(&mut self, now: Time, stamp: Stamp, full: bool) -> Option<Change> {
        let seconds = now.seconds_since(stamp.at).max(1e-9);
        let size = f64::from(stamp.size);
        let work = self.shape.relative(size);
        self.shape.learn(size, seconds);
        self.meter.success(work, seconds, full);
        self.overload.succeeded(stamp.in_flight, self.limit());
        self.epoch.succeeded(stamp);
        if self.config.pinned() {
            return None;
        }
        if let Some(change) = self.targeted(now, stamp, seconds / work) {
            return Some(change);
        }
        // What was dispatched before the last cut says nothing about what is safe now.
        let current = self.epoch.is_of(stamp);
        let full = full && current;
        let level = stamp.in_flight.midpoint(self.in_flight().saturating_add(1));
        let sample = Sample { at: stamp.at, level, seconds: seconds / work };
        match self.state {
            State::SlowStart { until } => self.started(now, sample, until, full),
            State::Climb { .. } => {
                self.ascent.add(sample.at, sample.level, sample.seconds);
                if let Some(bend) = self.ascent.knee(now) {
                    return self.latency_hold(now, bend);
                }
                if full { self.climbed(now) } else { None }
            }
            State::Hold { done } => {
                if let Some(bend) = self.belated(now, sample) {
                    return self.latency_hold(now, bend);
                }
                self.held(now, done + u32::from(full))
            }
            State::Probe { from, sent, proven } => {
                let proven = proven + u32::from(current && stamp.in_flight > from);
                self.state = State::Probe { from, sent, proven };
                self.probed(now)
            }
            State::Test(contrast) => self.tested(now, contrast, full),
        }
    }

    /// Counts a success in slow start.
    fn started(&mut self, now: Time, sample: Sample, until: u32, full: bool) -> Option<Change> {
        self.ascent.add(sample.at, sample.level, sample.seconds);
        if let Some(bend) = self.ascent.knee(now) {
            return self.latency_hold(now, bend);
        }
        let limit = self.limit();
        if let Some(served) = self.ascent.stuck(now, limit, &mut self.meter, self.shape.mean()) {
            let change = self.latency_hold(now, served.bend);
            self.knee.rebase(served.base);
            return change;
        }
        if !full || self.ascent.suspicious() {
            return None;
        }
        if limit >= until.min(self.most()) {
            self.probing.soon();
            return self.hold(now, limit, ChangeKind::SlowStart);
        }
        // Beyond a bound that was read the next one may be near.
        let step = if self.bounded() { 1 } else { self.config.ramp.clamp(1, STEEPEST) };
        self.set(limit.saturating_add(step).min(until), ChangeKind::SlowStart)
    }

    /// Returns the knee that shows itself only after a reading: a steep ramp may meet a refusal before there were enough
    /// samples of service time, and successes that follow decide.
    fn belated(&mut self, now: Time, sample: Sample) -> Option<Bend> {
        if self.knee.is_known() || self.refusals.bound().is_none() || self.refusals.held() > BELATED {
            return None;
        }
        self.ascent.add(sample.at, sample.level, sample.seconds);
        // Short requests finish first, so those of slow start seem fast; only "all of it is queue" is beyond doubt.
        self.ascent.knee(now).filter(|bend| bend.all_queue)
    }

    /// Counts a success of a climb, with the window full.
    fn climbed(&mut self, now: Time) -> Option<Change> {
        let State::Climb { until, done, grace } = &mut self.state else { return None };
        if *grace > 0 {
            *grace -= 1;
            return None;
        }
        let (limit, until) = (self.load.limit(), *until);
        *done += 1;
        let grows = *done >= limit;
        if grows {
            *done = 0;
        }
        if limit < until.min(self.most()) {
            return if grows { self.set(limit + 1, ChangeKind::Grow) } else { None };
        }
        if self.sharing.climate() == Climate::Shared {
            self.probe_later();
        } else {
            self.probing.soon();
        }
        self.hold(now, limit, ChangeKind::Grow)
    }

    /// Counts a success while holding: watches the service time, and probes in time.
    fn held(&mut self, now: Time, done: u32) -> Option<Change> {
        self.state = State::Hold { done };
        let limit = self.limit();
        if self.refusals.succeeded(limit) {
            self.overload.forget();
        }
        self.watched(now);
        if matches!(self.state, State::Test(_)) || !self.probing.is_due(done, limit) || !self.refusals.may_ask(now) {
            return None;
        }
        if self.sharing.yields(limit) {
            return self.give_some(now);
        }
        let most = self.most();
        if self.bounded() && limit < most {
            return self.probe(now);
        }
        let up = self.refusals.capped(self.knee.above(limit)).min(most);
        if up > limit && self.knee.precise_base(self.bounded(), self.shape.cv()).is_some() {
            self.contrast(now, up);
        }
        None
    }

    /// Counts a success during a probe. A probe whose requests all succeed re-opens slow start: one success per step,
    /// exponential per round trip, without the burst of a doubled step.
    fn probed(&mut self, now: Time) -> Option<Change> {
        let State::Probe { from, sent, proven } = self.state else { return None };
        let limit = self.limit();
        // A request that is refused is refused soon.
        let taken = sent.is_some_and(|at| self.refusals.would_be_known(now, at));
        if proven < limit.saturating_sub(from) && !taken {
            return None;
        }
        match self.refusals.probe_admitted(limit) {
            Admission::Late => {
                self.probing.soon();
                self.hold(now, limit, ChangeKind::Probe)
            }
            Admission::Outgrown => self.hold(now, limit, ChangeKind::Probe),
            Admission::More => {
                self.sharing.probe_admitted();
                self.search(now);
                None
            }
        }
    }
}
