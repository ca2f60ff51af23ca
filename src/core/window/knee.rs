//! The active half of the latency signal: contrasts move the window to the knee.
//!
//! The knee is where throughput stops to rise: by Little's law the throughput of a
//! queued level times the service time of an unqueued one (Kleinrock's point of
//! maximum power; BBR's bandwidth-delay product). The window holds a little more.
//!
//! - Down (a suspicion, or no base): if service time falls with the window, our
//!   load was the cause, and the window goes to the knee; if no base is known and
//!   the lower level may be queued too, to that level, and the search goes on
//!   below. If it does not fall, the provider became slower: a new base, and the
//!   window stays.
//! - Up (the end of an interval): the level is adopted if it serves more in
//!   proportion; steps grow while that pays, the interval doubles when not.

use super::contrast::{Contrast, Verdict};
use super::meter::Reading;
use super::octaves::Octaves;
use super::state::State;
use super::watch::{DOWN, MATTERS};
use super::{Change, ChangeKind, Window};
use crate::core::time::Time;

/// Hold this multiple of the knee: a short queue keeps every server busy, and an
/// estimate that is a little too low costs nothing.
const HEADROOM: f64 = 1.07;

/// Standard errors of a difference that is acted on once a contrast is made.
const SIGNIFICANT: f64 = 2.0;

/// Samples that a base remembers at most, so that it can still move.
const BASE_MEMORY: f64 = 512.0;

impl Window {
    /// Slow start ends at an estimated knee.
    pub(super) fn latency_hold(&mut self, now: Time, knee: f64, deep: bool) -> Option<Change> {
        let to = self.config.clamp((knee * HEADROOM).round() as u32).min(self.limit);
        self.interval = 1;
        self.deep = deep;
        self.epoch_ends(false);
        // Which of the octaves were free of queueing is not known: a contrast must
        // find a base.
        self.base = None;
        self.octaves = Octaves::since(now);
        self.hold(now, to, ChangeKind::LatencyHold)
    }

    /// A success during a contrast.
    pub(super) fn tested(&mut self, now: Time, mut contrast: Contrast, full: bool) -> Option<Change> {
        if self.meter.slack() {
            return self.hold(now, contrast.home(), ChangeKind::ProbeDropped);
        }
        if self.limit < contrast.limit() {
            // Upwards by one per success: a bound on the way costs one refusal.
            let change = full.then(|| self.set(self.limit + 1, ChangeKind::ProbeUp)).flatten();
            if self.limit >= contrast.limit() {
                self.settle_meter(now);
            }
            return change;
        }
        if self.meter.done() < contrast.needed() {
            return None;
        }
        let reading = self.meter.reading()?;
        let Some(result) = contrast.record(reading, self.shape.cv()) else {
            self.state = State::Test(contrast);
            // Down at once, and back to where we were; only new ground is climbed.
            let change = match contrast.limit() {
                to if to < self.limit => self.set(to, ChangeKind::ProbeDown),
                to if to == contrast.home() => self.set(to, ChangeKind::ProbeUp),
                _ => None,
            };
            self.settle_meter(now);
            return change;
        };
        self.concluded(now, contrast, result)
    }

    fn concluded(&mut self, now: Time, contrast: Contrast, result: (Verdict, Reading, Reading)) -> Option<Change> {
        let (verdict, low, high) = result;
        let home = contrast.home();
        if verdict == Verdict::Void {
            return self.hold(now, home, ChangeKind::ProbeDropped);
        }
        if contrast.downward() {
            let to = self.placed_below(home, verdict, low, high);
            self.paid = false;
            self.interval = self.interval.max(1);
            return self.hold(now, to, ChangeKind::LatencyCut);
        }
        let Some(to) = self.placed_above(home, verdict, low, high) else {
            self.interval = self.longer();
            return self.hold(now, home, ChangeKind::ProbeDropped);
        };
        // Half a step up is the end of a search, not a reason to go on.
        self.paid = verdict == Verdict::Free;
        self.interval = if self.paid { 0 } else { self.longer() };
        let kind = if to > home { ChangeKind::LatencyGrow } else { ChangeKind::LatencyCut };
        self.hold(now, to, kind)
    }

    /// Where a contrast with a lower level puts the window.
    fn placed_below(&mut self, home: u32, verdict: Verdict, low: Reading, high: Reading) -> u32 {
        self.rebase_downward(verdict, low, high);
        self.rough = false;
        match (verdict, self.base) {
            (Verdict::Free, _) => home,
            (Verdict::Queued, None) => (low.level.round() as u32).min(home),
            (_, base) => knee(high, base.unwrap_or(low)).clamp(home / 2, home),
        }
    }

    /// Where a contrast with a higher level puts the window; nowhere if it
    /// contradicts the base. Then one of them is a fluke, or the provider became
    /// slower meanwhile, and a new base must be found.
    fn placed_above(&mut self, home: u32, verdict: Verdict, low: Reading, high: Reading) -> Option<u32> {
        self.rebase_upward(verdict, low);
        let top = (high.level.round() as u32).max(home);
        let base = self.base.unwrap_or(low);
        if verdict != Verdict::Free {
            let least = (f64::from(home) * DOWN).ceil() as u32;
            return Some(knee(high, base).clamp(least.min(top), top));
        }
        let (rise, error) = (high.rise(base), high.error(base, self.shape.cv()));
        if rise > MATTERS && rise > SIGNIFICANT * error {
            self.base = None;
            self.deep = false;
            return None;
        }
        Some(top)
    }

    /// What a contrast with a lower level says of the base. This is the only way
    /// it may rise: our load was shown not to be the cause.
    fn rebase_downward(&mut self, verdict: Verdict, low: Reading, high: Reading) {
        let cv = self.shape.cv();
        let higher = self.base.is_some_and(|base| low.rise(base) > SIGNIFICANT * low.error(base, cv));
        self.base = match (verdict, self.base) {
            (Verdict::Free, _) => Some(low.merge(high).capped(BASE_MEMORY)),
            (Verdict::Between, None) => Some(low),
            // Part of the rise is queueing and part is not: look deeper.
            (Verdict::Between, Some(_)) if higher => None,
            (Verdict::Between, Some(base)) => Some(base.merge(low).capped(BASE_MEMORY)),
            (_, base) => base,
        };
        self.deep |= self.base.is_none();
    }

    /// What a contrast with a higher level says of the base: no more than that it
    /// may be lower, or more precise.
    fn rebase_upward(&mut self, verdict: Verdict, low: Reading) {
        let cv = self.shape.cv();
        self.base = self.base.map(|base| {
            let (rise, error) = (low.rise(base), low.error(base, cv));
            if rise < -SIGNIFICANT * error {
                low
            } else if verdict == Verdict::Free && rise < error {
                base.merge(low).capped(BASE_MEMORY)
            } else {
                base
            }
        });
    }
}

/// Where to hold: a little above the knee, which is the throughput of a queued
/// level times the service time of an unqueued one.
fn knee(queued: Reading, unqueued: Reading) -> u32 {
    (queued.level * unqueued.seconds / queued.seconds * HEADROOM).round() as u32
}
