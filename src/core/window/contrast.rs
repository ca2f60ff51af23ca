//! A contrast tests whether two levels of the window differ in what they serve.
//!
//! Three legs, home – away – home, each measured by Little's law after it has
//! warmed up. Because the two levels are compared within minutes of each other, a
//! provider that became slower as a whole does not look like our own queue, and
//! no baseline from another day is needed. Two home legs that disagree mean that
//! the provider moved during the experiment: it is void.
//!
//! With `e = ln(R₂ ÷ R₁) ÷ ln(n₂ ÷ n₁)`, the elasticity of service time, `e = 0`
//! means that the upper level serves more in proportion, `e = 1` that it only
//! waits longer. For a provider with C servers the service time bends at C, so
//! the knee is the throughput of the upper level times the unqueued service time
//! (Kleinrock's point of maximum power; BBR's bandwidth-delay product).

use super::meter::Reading;

/// Samples of a contrast, in squared coefficients of variation per squared effect: 2 · ln 100. At this many samples a
/// likelihood-ratio test tells `e = 0` from `e = 1` at about 100 : 1.
const POWER: f64 = 9.2;

/// Standard error of one level of a contrast that places the window.
const PLACING_ERROR: f64 = 0.08;

/// Completions over which a level is measured at least, whatever the scatter.
const LEAST_SAMPLES: f64 = 16.0;

/// Windows that a leg lasts at least: requests that run in lockstep finish in bursts of one window, and a part of a burst
/// would mislead.
const LEAST_WINDOWS: u32 = 2;

/// Windows that a leg lasts at most.
const MOST_WINDOWS: u32 = 64;

/// Elasticity from which both levels count as queued.
const QUEUED: f64 = 0.8;

/// Elasticity up to which neither level counts as queued.
const UNQUEUED: f64 = 0.3;

/// Standard errors by which the two legs at home may differ.
const AGREE: f64 = 2.5;

/// The verdict of a finished experiment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The upper level serves more in proportion.
    Free,
    /// The knee lies between the levels.
    Between,
    /// The upper level only waits longer; the lower may be queued too.
    Queued,
    /// Nothing is said: the provider moved during the experiment.
    Void,
}

/// A finished experiment: its verdict, and the service time at both levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conclusion {
    pub(super) verdict: Verdict,
    pub(super) low: Reading,
    pub(super) high: Reading,
}

/// An experiment under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contrast {
    home: u32,
    away: u32,
    leg: usize,
    legs: [Option<Reading>; 2],
    samples: f64,
}

impl Contrast {
    /// Plans a contrast of `home` with `away` for a coefficient of variation; a `precise` one may place the window.
    pub(super) fn new(home: u32, away: u32, cv: f64, precise: bool) -> Self {
        let effect = (f64::from(home.max(1)) / f64::from(away.max(1))).ln();
        let samples = (2.0 * POWER * cv * cv / (effect * effect)).max(LEAST_SAMPLES);
        let samples = if precise { samples.max(cv * cv / (PLACING_ERROR * PLACING_ERROR)) } else { samples };
        Self { home, away, leg: 0, legs: [None; 2], samples }
    }

    /// Returns the level to return to.
    pub(super) fn home(&self) -> u32 {
        self.home
    }

    /// Returns whether the other level is below.
    pub(super) fn downward(&self) -> bool {
        self.away < self.home
    }

    /// Returns the limit of the present leg.
    pub(super) fn limit(&self) -> u32 {
        if self.leg == 1 { self.away } else { self.home }
    }

    /// Returns how many completions the present leg needs: whole windows.
    pub(super) fn needed(&self) -> u32 {
        let share = if self.leg == 1 { 1.0 } else { 0.5 };
        let limit = self.limit().max(1);
        let windows = (self.samples * share / f64::from(limit)).ceil() as u32;
        windows.clamp(LEAST_WINDOWS, MOST_WINDOWS) * limit
    }

    /// Takes the reading of the present leg; returns the conclusion once it was the last.
    pub(super) fn record(&mut self, reading: Reading, cv: f64) -> Option<Conclusion> {
        if let Some(slot) = self.legs.get_mut(self.leg) {
            *slot = Some(reading);
            self.leg += 1;
            return None;
        }
        let [Some(first), Some(away)] = self.legs else {
            return Some(Conclusion { verdict: Verdict::Void, low: reading, high: reading });
        };
        let home = first.merge(reading);
        let (low, high) = if self.downward() { (away, home) } else { (home, away) };
        let effect = (high.level / low.level).ln();
        let drift = first.rise(reading).abs();
        let moved = drift > effect / 2.0 && drift > AGREE * first.error(reading, cv);
        let elasticity = high.rise(low) / effect;
        let verdict = if moved || effect <= 0.0 || !elasticity.is_finite() {
            Verdict::Void
        } else if elasticity >= QUEUED {
            Verdict::Queued
        } else if elasticity <= UNQUEUED {
            Verdict::Free
        } else {
            Verdict::Between
        };
        Some(Conclusion { verdict, low, high })
    }
}
