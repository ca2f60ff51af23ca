//! The knee: where throughput stops to rise with the window.
//!
//! By Little's law it is the throughput of a queued level times the service time of an unqueued one (Kleinrock's point of
//! maximum power; BBR's bandwidth-delay product). The window holds a little more.
//!
//! While the window holds, service time is measured round by round and compared with a *base*: the service time at a
//! level known to be free of queueing. A significant rise is a suspicion, no more, for the provider may have become
//! slower for everybody. A suspicion, or the lack of a base, begins a contrast with a lower level; only that may move
//! the limit.
//!
//! The base follows service times that fall. A base that drifts up with the load is the known flaw of gradient
//! controllers, so here it cannot: only a contrast with a lower level may raise it.

use super::contrast::{Conclusion, Verdict};
use super::meter::{MATTERS, Reading};

/// Share of the level that the lower level of a contrast on suspicion is: 25 % down.
const DOWN: f64 = 0.75;

/// Share of the level that the lower level of a contrast is when nothing is known below, or the last contrast found a
/// queue: a deeper contrast needs fewer samples.
const DOWN_DEEP: f64 = 0.5;

/// Multiple of the level that a contrast upward tries, and largest step up of a latency target.
pub(super) const UP: f64 = 1.25;

/// Multiple of the level that a contrast upward tries where the last one paid: steps double on success.
const UP_AGAIN: f64 = 1.5;

/// Multiple of the knee that is held: a short queue keeps every server busy, and an estimate that is a little too low
/// costs nothing.
const HEADROOM: f64 = 1.07;

/// Weight that older rounds of observation keep: the last four rule.
const KEEP: f64 = 0.75;

/// ln of the least rise of service time that matters against a base from slow start: 1.6. The requests that finish
/// within a doubling of the window are the shorter ones, so such a base is too low.
const ROUGH_MATTERS: f64 = 0.47;

/// Standard errors of a suspicion. It is asked every round, and a false one costs a contrast.
const SUSPICIOUS: f64 = 3.0;

/// Standard errors of a difference that is acted on once a contrast is made.
const CONTRASTED: f64 = 2.0;

/// Standard error up to which a base may place the window.
const BASE_ERROR: f64 = 0.1;

/// Samples that a base remembers at most, so that it can still move.
const BASE_MEMORY: f64 = 512.0;

/// A held level, for [`Knee::suspects`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    /// The window cannot go lower.
    pub(super) lowest: bool,
    /// The provider refuses more.
    pub(super) bounded: bool,
    /// The level has been held for so long that a contrast is due even without evidence.
    pub(super) settled: bool,
    /// The latency target, not the knee, places the window.
    pub(super) at_ceiling: bool,
    /// Coefficient of variation of the service time.
    pub(super) cv: f64,
}

/// The knee as service times have shown it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knee {
    /// Service time at a level free of queueing.
    base: Option<Reading>,
    /// The base is from slow start, where short requests finish first: it is too low.
    rough: bool,
    /// Service time at the held level, over recent rounds.
    watch: Option<Reading>,
    /// The last contrast upward paid.
    paid: bool,
    /// The next contrast downward goes to half.
    deep: bool,
}

impl Knee {
    pub(super) fn new() -> Self {
        Self { base: None, rough: false, watch: None, paid: false, deep: true }
    }

    /// Returns whether a base was measured in peace.
    pub(super) fn is_known(&self) -> bool {
        self.base.is_some() && !self.rough
    }

    /// Returns the base that may place the window, if it is good enough: to suspect a queue where the provider refuses
    /// (`bounded`) it need not be precise.
    pub(super) fn precise_base(&self, bounded: bool, cv: f64) -> Option<Reading> {
        self.base.filter(|base| bounded || base.samples * BASE_ERROR * BASE_ERROR >= cv * cv)
    }

    /// Returns the level at which a contrast upward from `level` is made.
    pub(super) fn above(&self, level: u32) -> u32 {
        let factor = if self.paid { UP_AGAIN } else { UP };
        ((f64::from(level) * factor).ceil() as u32).max(level + 1)
    }

    /// Begins to hold a level; `base` is what slow start says of one, asked if none is known.
    pub(super) fn hold(&mut self, base: impl FnOnce() -> Option<Reading>) {
        if self.base.is_none() {
            self.base = base();
            self.rough = self.base.is_some();
        }
        self.watch = None;
    }

    /// Forgets the base, since an estimated knee says that the level was queued; `all` of it may be queue.
    pub(super) fn queued(&mut self, all: bool) {
        self.deep = all;
        self.base = None;
    }

    /// Takes a base that is known to be free of queueing.
    pub(super) fn rebase(&mut self, base: Reading) {
        self.base = Some(base);
        self.rough = false;
    }

    /// Takes a reading under light load for a base, if there is none or it is significantly lower.
    pub(super) fn lighten(&mut self, reading: Reading, cv: f64) {
        let lower = |base: Reading| reading.rise(base) < -SUSPICIOUS * reading.error(base, cv);
        if self.base.is_none_or(lower) {
            self.rebase(reading);
        }
    }

    /// Ends a round of observation; returns the reading over recent rounds.
    pub(super) fn round(&mut self, reading: Reading) -> Reading {
        let watch = match self.watch {
            Some(old) => Reading { samples: old.samples * KEEP, ..old }.merge(reading),
            None => reading,
        };
        self.watch = Some(watch);
        watch
    }

    /// Compares what was watched at a level with the base; returns the share of the level at which a contrast is to be
    /// made, if one is.
    pub(super) fn suspects(&mut self, watch: Reading, level: Level) -> Option<f64> {
        if level.lowest {
            self.rebase(watch);
            return None;
        }
        let Some(base) = self.precise_base(level.bounded, level.cv) else {
            if level.at_ceiling || self.deep && level.bounded && !level.settled {
                return None;
            }
            return Some(if self.deep { DOWN_DEEP } else { DOWN });
        };
        let (rise, error) = (watch.rise(base), watch.error(base, level.cv));
        let matters = if self.rough { ROUGH_MATTERS } else { MATTERS };
        if rise > matters && rise > SUSPICIOUS * error {
            return Some(DOWN);
        }
        if rise < -SUSPICIOUS * error {
            self.rebase(watch);
        }
        None
    }

    /// Returns where a contrast of `home` with a lower level puts the window.
    pub(super) fn placed_below(&mut self, home: u32, contrast: Conclusion, cv: f64) -> u32 {
        let Conclusion { verdict, low, high } = contrast;
        self.rebase_downward(contrast, cv);
        (self.rough, self.paid) = (false, false);
        match (verdict, self.base) {
            (Verdict::Free, _) => home,
            (Verdict::Queued, None) => (low.level.round() as u32).min(home),
            (_, base) => knee(high, base.unwrap_or(low)).clamp(home / 2, home),
        }
    }

    /// Returns where a contrast of `home` with a higher level puts the window; nowhere if it contradicts the base. Then
    /// either is a fluke, or the provider became slower meanwhile, and a new base must be found.
    pub(super) fn placed_above(&mut self, home: u32, contrast: Conclusion, cv: f64) -> Option<u32> {
        let Conclusion { verdict, low, high } = contrast;
        self.rebase_upward(contrast, cv);
        let top = (high.level.round() as u32).max(home);
        let base = self.base.unwrap_or(low);
        if verdict != Verdict::Free {
            // Half a step up is the end of a search, not a reason to go on.
            self.paid = false;
            let least = (f64::from(home) * DOWN).ceil() as u32;
            return Some(knee(high, base).clamp(least.min(top), top));
        }
        let (rise, error) = (high.rise(base), high.error(base, cv));
        if rise > MATTERS && rise > CONTRASTED * error {
            self.base = None;
            self.deep = false;
            return None;
        }
        self.paid = true;
        Some(top)
    }

    /// Returns whether the last contrast upward paid.
    pub(super) fn paid(&self) -> bool {
        self.paid
    }

    /// Corrects the base by a contrast with a lower level. Only here may it rise: our load was shown not to be the cause.
    fn rebase_downward(&mut self, Conclusion { verdict, low, high }: Conclusion, cv: f64) {
        let higher = self.base.is_some_and(|base| low.rise(base) > CONTRASTED * low.error(base, cv));
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

    /// Corrects the base by a contrast with a higher level: it may be lower, or more precise, and no more than that.
    fn rebase_upward(&mut self, Conclusion { verdict, low, .. }: Conclusion, cv: f64) {
        self.base = self.base.map(|base| {
            let (rise, error) = (low.rise(base), low.error(base, cv));
            if rise < -CONTRASTED * error {
                low
            } else if verdict == Verdict::Free && rise < error {
                base.merge(low).capped(BASE_MEMORY)
            } else {
                base
            }
        });
    }
}

/// Returns the level to hold at a knee: a little above it.
pub(super) fn with_headroom(knee: f64) -> u32 {
    (knee * HEADROOM).round() as u32
}

/// Returns the level to hold at the knee: the throughput of a queued level times the service time of an unqueued one.
fn knee(queued: Reading, unqueued: Reading) -> u32 {
    with_headroom(queued.level * unqueued.seconds / queued.seconds)
}
