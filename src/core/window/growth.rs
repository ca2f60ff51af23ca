//! What a success does: grow, prove a probe, or feed a measurement.

use super::meter::Reading;
use super::refusal::ALERT_PROBES;
use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

/// An up-contrast tries this multiple of the level …
const UP: f64 = 1.25;

/// … and where the last one paid, this one: steps double on success.
const UP_AGAIN: f64 = 1.5;

/// A probe that was not refused after so many times what refusals take was admitted.
const PATIENT_REFUSALS: f64 = 8.0;

/// So many successes after a reading may still tell that the provider was queueing on the way to it.
const BELATED: u32 = 64;

/// Windows without a refusal at a level after which what was there before is forgotten.
const CONFIRMED: u32 = 4;

/// A doubling that takes so many mean service times is slow …
const STALLED: f64 = 1.5;

/// … and tells something after so many successes.
const STALLED_SAMPLES: f64 = 8.0;

/// More in flight than so many times what is served: the rest is stuck.
const STUCK: f64 = 4.0;

/// So few successes tell that only roughly; a slot too many costs less than one too few.
const STUCK_ROOM: f64 = 1.25;

/// What the service time of the others is worth as a base, in samples.
const STUCK_BASE: f64 = 128.0;

/// The steepest ramp.
const STEEPEST: u32 = 8;

impl Window {
    /// A request succeeded. `full`: the window was, and more was waiting.
    pub(super) fn succeeded(&mut self, now: Time, stamp: Stamp, full: bool) -> Option<Change> {
        let seconds = now.seconds_since(stamp.at).max(1e-9);
        let size = f64::from(stamp.size);
        let work = self.shape.relative(size);
        self.shape.learn(size, seconds);
        self.meter.success(work, seconds, full);
        self.failures.succeeded(stamp.in_flight, self.limit);
        if stamp.epoch == self.epoch {
            self.proven = true;
        }
        if self.config.pinned() {
            return None;
        }
        if let Some(change) = self.targeted(now, stamp, seconds / work) {
            return Some(change);
        }
        // What was dispatched before the last cut says nothing about what is safe now.
        let full = full && stamp.epoch == self.epoch;
        let level = stamp.in_flight.midpoint(self.in_flight.saturating_add(1));
        match self.state {
            State::SlowStart { until, then } => {
                self.octaves.add(stamp.at, level, seconds / work);
                if let Some((knee, deep)) = self.octaves.knee(now) {
                    return self.latency_hold(now, knee, deep);
                }
                if let Some(served) = self.stuck(now) {
                    let change = self.latency_hold(now, served.level * STUCK_ROOM, false);
                    // Those that succeed take as long as they would alone.
                    self.base = Some(Reading { samples: STUCK_BASE, ..served });
                    return change;
                }
                if self.octaves.suspicious() {
                    return None;
                }
                full.then(|| self.slow_start(now, until, then)).flatten()
            }
            State::Climb { until, done } => {
                self.octaves.add(stamp.at, level, seconds / work);
                if let Some((knee, deep)) = self.octaves.knee(now) {
                    return self.latency_hold(now, knee, deep);
                }
                full.then(|| self.climbed(now, until, done + 1)).flatten()
            }
            State::Hold { done } => {
                if let Some((knee, deep)) = self.belated(now, stamp.at, level, seconds / work) {
                    return self.latency_hold(now, knee, deep);
                }
                self.held(now, done + u32::from(full))
            }
            State::Probe { from, proven } => {
                let counts = stamp.epoch == self.epoch && stamp.in_flight > from;
                self.probed(now, from, proven + u32::from(counts))
            }
            State::Test(contrast) => self.tested(now, contrast, full),
        }
    }

    /// A steep ramp may meet a refusal before there were enough samples of service time; those that follow decide.
    fn belated(&mut self, now: Time, at: Time, level: u32, seconds: f64) -> Option<(f64, bool)> {
        let known = self.base.is_some() && !self.rough;
        if known || self.bound.is_none() || self.held > BELATED {
            return None;
        }
        self.octaves.add(at, level, seconds);
        // Short requests finish first, so those of slow start seem fast; only "all of it is queue" is beyond doubt.
        self.octaves.knee(now).filter(|(_, deep)| *deep)
    }

    /// Whether a request sent at `at` would have been refused by now, had it been.
    fn refusal_would_be_known(&self, now: Time, at: Time) -> bool {
        self.refusal > 0.0 && now.seconds_since(at) > PATIENT_REFUSALS * self.refusal
    }

    /// What is really served, if that is much less than what is in flight: some requests are never answered. Looked at
    /// when a doubling of the window takes long, since on the way up most of what is in flight has just begun.
    fn stuck(&mut self, now: Time) -> Option<Reading> {
        if self.limit >= self.doubled.saturating_mul(2) || self.limit < self.doubled {
            self.doubled = self.limit;
            self.meter.begin(now, 0);
        }
        let slow = self.meter.elapsed() > STALLED * self.shape.mean();
        let reading = self.meter.reading().filter(|reading| slow && reading.samples >= STALLED_SAMPLES)?;
        let level = self.meter.served();
        let seconds = reading.seconds * level / reading.level;
        // Where those that do succeed take longer and longer, all are served, only slowly.
        let queued = self.octaves.lengthened(level * self.meter.elapsed() / reading.samples);
        (level * STUCK < reading.level && !queued).then_some(Reading { level, seconds, ..reading })
    }

    fn slow_start(&mut self, now: Time, until: u32, then: u32) -> Option<Change> {
        if self.limit < until.min(self.most()) {
            // Beyond a bound that was read the next one may be near.
            let step = match self.bound {
                Some(bound) if self.limit >= bound => 1,
                _ => self.config.ramp.clamp(1, STEEPEST),
            };
            return self.set(self.limit.saturating_add(step).min(until), ChangeKind::SlowStart);
        }
        if self.limit < then.min(self.most()) {
            self.climb(now, then);
            return None;
        }
        self.interval = 1;
        self.hold(now, self.limit, ChangeKind::SlowStart)
    }

    fn climbed(&mut self, now: Time, until: u32, done: u32) -> Option<Change> {
        if self.grace > 0 {
            self.grace -= 1;
            return None;
        }
        if self.limit >= until.min(self.most()) {
            self.interval = if self.among_others() { self.longer() } else { 1 };
            return self.hold(now, self.limit, ChangeKind::Grow);
        }
        let grow = done >= self.limit;
        self.state = State::Climb { until, done: if grow { 0 } else { done } };
        if grow { self.set(self.limit + 1, ChangeKind::Grow) } else { None }
    }

    /// A success while holding: watch the service time, and probe in time.
    fn held(&mut self, now: Time, done: u32) -> Option<Change> {
        self.state = State::Hold { done };
        self.since_refusal = self.since_refusal.saturating_add(1);
        self.held = self.held.saturating_add(1);
        if self.since_refusal >= self.limit.saturating_mul(CONFIRMED) {
            self.former = None;
        }
        if let Some(change) = self.watched(now) {
            return Some(change);
        }
        if matches!(self.state, State::Test(_)) || done < self.interval.saturating_mul(self.limit) {
            return None;
        }
        if self.suspect && !self.refusal_would_be_known(now, self.suspect_at) {
            return None;
        }
        let bound = self.bound.unwrap_or(u32::MAX);
        if self.yields() {
            return self.give_some(now);
        }
        if self.limit >= bound && self.limit < self.most() {
            self.state = State::Probe { from: self.limit, proven: 0 };
            self.probe_at = None;
            self.meter.begin(now, 0);
            return self.set(self.limit + 1, ChangeKind::Probe);
        }
        let factor = if self.paid { UP_AGAIN } else { UP };
        let up = (f64::from(self.limit) * factor).ceil() as u32;
        let up = up.max(self.limit + 1).min(bound).min(self.most());
        if up > self.limit && self.base.is_some_and(|base| self.precise(base)) {
            return self.contrast(now, up);
        }
        None
    }

    /// A probe whose requests all succeed re-opens slow start: one success per
    /// step, exponential per round trip, without the burst of a doubled step.
    fn probed(&mut self, now: Time, from: u32, proven: u32) -> Option<Change> {
        // A request that is refused is refused soon.
        let taken = self.probe_at.is_some_and(|at| self.refusal_would_be_known(now, at));
        if proven < self.limit.saturating_sub(from) && !taken {
            self.state = State::Probe { from, proven };
            return None;
        }
        if std::mem::take(&mut self.suspect) {
            // The slot was only late.
            self.bound = Some(self.limit);
            self.interval = 1;
            return self.hold(now, self.limit, ChangeKind::Probe);
        }
        if std::mem::take(&mut self.recalled) {
            // Not a refusing provider, or no longer full there: look at latency.
            self.bound = None;
            return self.hold(now, self.limit, ChangeKind::Probe);
        }
        self.bound = Some(self.limit);
        self.shared |= self.alert == 0;
        self.alert = ALERT_PROBES - 1;
        self.search(now);
        None
    }
}
