//! The passive half of the latency signal: suspicion.
//!
//! While the window holds, service time is measured round by round and compared
//! with a *base*: the service time at a level known to be free of queueing. A
//! significant rise is a suspicion, no more, for the provider may have become
//! slower for everybody. A suspicion, or the lack of a base, begins a contrast
//! with a lower level ([`super::knee`]); only that may move the limit.
//!
//! The base follows service times that fall. A base that drifts up with the load
//! is the known flaw of gradient controllers, so here it cannot.

use super::contrast::Contrast;
use super::meter::Reading;
use super::state::State;
use super::{Change, Window};
use crate::core::time::Time;

/// The lower level of a contrast on suspicion: 25 % down.
pub(super) const DOWN: f64 = 0.75;

/// The same when nothing is known below, or the last contrast found a queue: a
/// deeper contrast needs fewer samples.
const DOWN_DEEP: f64 = 0.5;

/// A round of observation lasts at least so many windows …
const ROUND_WINDOWS: u32 = 2;

/// … and so many completions.
const ROUND_SAMPLES: u32 = 16;

/// Weight that older rounds keep: the last four rule.
const KEEP: f64 = 0.75;

/// ln of the least rise that matters, 1.25. The headroom of the held level is
/// a third of that.
pub(super) const MATTERS: f64 = 0.223;

/// The same against a base from slow start: 1.6. The requests that finish within a doubling of the window are the
/// shorter ones, so such a base is too low.
const ROUGH_MATTERS: f64 = 0.47;

/// Standard errors of a suspicion. It is asked every round, and a false one costs
/// a contrast.
const SUSPICIOUS: f64 = 3.0;

/// Windows to hold a capacity that was read before it is contrasted with half of
/// it, where slow start left no evidence either way (small windows). Most
/// providers that refuse do so where they are full, and the contrast costs.
const PATIENCE: u32 = 512;

/// In flight below this share of the window is light load.
const LIGHT: f64 = 0.7;

/// Standard error up to which a base may place the window.
const PRECISION: f64 = 0.1;

impl Window {
    /// Ends a round if it is complete; may begin a contrast.
    pub(super) fn watched(&mut self, now: Time) -> Option<Change> {
        if self.meter.done() < ROUND_WINDOWS.saturating_mul(self.limit).max(ROUND_SAMPLES) {
            return None;
        }
        let (reading, slack) = (self.meter.reading()?, self.meter.slack());
        self.meter.begin(now, 0);
        if slack {
            self.light(reading);
            return None;
        }
        let watch = match self.watch {
            Some(old) => Reading { samples: old.samples * KEEP, ..old }.merge(reading),
            None => reading,
        };
        self.watch = Some(watch);
        if self.bounded() && self.alert > 0 {
            // A capacity that moves is followed by probes; a contrast takes minutes in which nothing else may move.
            return None;
        }
        let lowest = self.limit <= self.config.min;
        let Some(base) = self.base.filter(|&base| !lowest && self.precise(base)) else {
            if lowest {
                self.rebase(watch);
                return None;
            }
            if self.at_ceiling() {
                // Where the knee is does not matter: the latency target places the window.
                return None;
            }
            if self.deep && self.bounded() && self.held < PATIENCE.saturating_mul(self.limit) {
                return None;
            }
            let share = if self.deep { DOWN_DEEP } else { DOWN };
            return self.contrast(now, self.below(share));
        };
        let (rise, error) = (watch.rise(base), watch.error(base, self.shape.cv()));
        let matters = if self.rough { ROUGH_MATTERS } else { MATTERS };
        if rise > matters && rise > SUSPICIOUS * error {
            return self.contrast(now, self.below(DOWN));
        }
        if rise < -SUSPICIOUS * error {
            self.rebase(watch);
        }
        None
    }

    /// Takes a base that was measured in peace.
    fn rebase(&mut self, base: Reading) {
        self.base = Some(base);
        self.rough = false;
    }

    /// Light load gives a base for nothing.
    fn light(&mut self, reading: Reading) {
        let low = reading.level < LIGHT * f64::from(self.limit);
        let lower = |base: Reading| reading.rise(base) < -SUSPICIOUS * reading.error(base, self.shape.cv());
        if low && self.base.is_none_or(lower) {
            self.rebase(reading);
        }
    }

    /// Whether the limit is where the provider refuses.
    fn bounded(&self) -> bool {
        self.bound.is_some_and(|bound| self.limit >= bound)
    }

    /// Whether a base is good enough: to place the window it must be precise, to
    /// suspect a queue where the provider refuses it need not.
    pub(super) fn precise(&self, base: Reading) -> bool {
        let cv = self.shape.cv();
        self.bounded() || base.samples * PRECISION * PRECISION >= cv * cv
    }

    fn below(&self, share: f64) -> u32 {
        let level = (f64::from(self.limit) * share).ceil() as u32;
        self.config.clamp(level.min(self.limit.saturating_sub(1)))
    }

    /// Begins a contrast of the limit with `away`.
    pub(super) fn contrast(&mut self, now: Time, away: u32) -> Option<Change> {
        // Where the provider refuses, only whether it also queues is asked; where
        // it does not, the base that comes of it places the window.
        let precise = !self.bounded();
        self.state = State::Test(Contrast::new(self.limit, away, self.shape.cv(), precise));
        // What was watched at this level would do for the first leg, but it is
        // also what raised the suspicion: measure again.
        self.meter.begin(now, 0);
        None
    }
}
