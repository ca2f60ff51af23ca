//! The median service time beside a latency target, and the ceiling that it sets.
//!
//! Fewer in flight is the only remedy a window has, so while the median is significantly above the target the window
//! gives way, and what it gave way to is a *ceiling* for every other move. The ceiling rises again while the median is
//! significantly below. Behind a queue, service time is in proportion to what is in flight; so the new level is the
//! old one times target ÷ median, never less than half at once. Where the provider is not queueing that is too little,
//! and the next step follows; where a single request takes longer than the target, the window ends at its minimum, and
//! [`misses_target`](super::Window::misses_target) says so.
//!
//! # The statistic
//!
//! Generation times scatter by factors, and requests differ in size. So each service time is divided by what the size
//! explains (`shape.rs`), and the quantile is asked rather than the mean: whether more than half exceed the target is
//! a sign test, which holds for any distribution, and one straggler counts as one. How far the median is off comes
//! from a histogram of the logarithm. Only what was sent since the last step counts, after one window of completions:
//! the first to end are the short ones.

use super::WindowConfig;
use super::knee::UP;
use crate::core::time::Time;

/// Buckets of the histogram of service times relative to the target.
const BUCKETS: usize = 48;
/// Width of a bucket in ln(service time ÷ target): 10 %, so that the histogram spans an eleventh to eleven times the
/// target.
const WIDTH: f64 = 0.1;
/// Samples that may move the ceiling, at least.
const FEWEST: u32 = 9;
/// Samples after which half of the past is forgotten.
const HALF_LIFE: u32 = 256;
/// Standard errors of the sign test that lower the ceiling; it is asked after each sample.
const ABOVE: f64 = 2.8;
/// Standard errors of the sign test that raise the ceiling: a wrong step up is soon taken back, and a right one not taken
/// is capacity left unused.
const BELOW: f64 = 1.5;
/// Smallest share of the level that one step down leaves.
const DEEPEST_STEP: f64 = 0.5;
/// Largest share of the level that one step down leaves.
const SHALLOWEST_STEP: f64 = 0.95;
/// Share of the ceiling in flight from which the ceiling holds the window back, and may rise.
const HOLDS_BACK: f64 = 0.85;
/// Longest wait, in verdicts, before a step up that may exceed the target is tried again.
const LONGEST_PATIENCE: u32 = 64;

/// The median beside the target, by the sign test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Median {
    /// The median is significantly above the target.
    Above,
    /// The median is significantly below the target.
    Below,
}

/// A move of the ceiling upward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raise {
    /// The ceiling before.
    pub(super) from: u32,
    /// The ceiling now.
    pub(super) to: u32,
}

/// The service time beside its target, and the ceiling that it sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The most that may be in flight for the target's sake.
    ceiling: Option<u32>,
    counts: [u16; BUCKETS],
    seen: u32,
    over: u32,
    /// Sum of the in-flight counts at the dispatch of what was seen.
    levels: f64,
    /// Requests sent earlier say nothing about the present level.
    since: Time,
    /// Completions that are still left out.
    warm: u32,
    /// The window is at its minimum, and the median still above the target.
    missed: bool,
    /// Verdicts to wait before a risky step up.
    patience: u32,
    /// Verdicts since the last step.
    waited: u32,
    /// The last step was up and risky.
    tried: bool,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            ceiling: None,
            counts: [0; BUCKETS],
            seen: 0,
            over: 0,
            levels: 0.0,
            since: Time::ZERO,
            warm: 0,
            missed: false,
            patience: 1,
            waited: 0,
            tried: false,
        }
    }
}

impl Target {
    pub(super) fn ceiling(&self) -> Option<u32> {
        self.ceiling
    }

    /// Returns whether the window is at its minimum, and the median still above the target.
    pub(super) fn is_missed(&self) -> bool {
        self.missed
    }

    /// Returns whether a request sent at `at` tells of the present level.
    pub(super) fn counts(&self, at: Time) -> bool {
        at >= self.since
    }

    /// Adds a success that took `ratio` times the target, sent with `level` in flight.
    pub(super) fn add(&mut self, ratio: f64, level: u32) {
        if self.warm > 0 {
            self.warm -= 1;
            return;
        }
        let place = ratio.max(1e-9).ln() / WIDTH + BUCKETS as f64 / 2.0;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let index = place.clamp(0.0, BUCKETS as f64 - 1.0) as usize;
        self.counts[index] += 1;
        self.seen += 1;
        self.over += u32::from(ratio > 1.0);
        self.levels += f64::from(level);
    }

    /// Returns what the samples so far say of the median, once they say anything.
    pub(super) fn judge(&mut self) -> Option<Median> {
        if self.seen < FEWEST {
            return None;
        }
        let excess = self.excess();
        if excess >= ABOVE {
            return Some(Median::Above);
        }
        if excess <= -BELOW {
            self.missed = false;
            return Some(Median::Below);
        }
        if self.seen >= HALF_LIFE {
            // As good as on the target.
            self.missed &= excess > 0.0;
            self.fade();
        }
        None
    }

    /// Lowers the ceiling under a limit, since the median is above the target; returns it.
    pub(super) fn lower(&mut self, now: Time, limit: u32, config: &WindowConfig) -> u32 {
        let level = self.level().min(f64::from(limit));
        let share = (1.0 / self.median()).clamp(DEEPEST_STEP, SHALLOWEST_STEP);
        let to = config.clamp((level * share).floor() as u32).min(limit);
        self.missed = limit <= config.min.max(1);
        if std::mem::take(&mut self.tried) {
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
        self.waited = 0;
        self.ceiling = Some(to);
        self.restart(now, to);
        to
    }

    /// Raises the ceiling, since the median is below the target, if the ceiling is what holds the window back, and the
    /// target is kept even if service time grows in proportion; or, now and then, if it is not. A ceiling at `max` is
    /// none.
    pub(super) fn raise(&mut self, now: Time, max: u32) -> Option<Raise> {
        let (level, median) = (self.level(), self.median());
        let near = |ceiling: &u32| level >= HOLDS_BACK * f64::from(*ceiling);
        let Some(from) = self.ceiling.filter(near) else {
            self.clear();
            return None;
        };
        let safe = (f64::from(from) * (1.0 / median).min(UP)).floor() as u32;
        self.waited += 1;
        let risky = safe <= from;
        if risky && self.waited < self.patience {
            self.clear();
            return None;
        }
        if !risky {
            self.patience = 1;
        }
        (self.tried, self.waited) = (risky, 0);
        let to = safe.max(from + 1);
        self.ceiling = Some(to).filter(|to| *to < max);
        self.restart(now, to);
        Some(Raise { from, to })
    }

    /// Returns the standard errors by which more than half exceed the target.
    fn excess(&self) -> f64 {
        let seen = f64::from(self.seen.max(1));
        (2.0 * f64::from(self.over) - seen) / seen.sqrt()
    }

    /// Returns the median ÷ target.
    fn median(&self) -> f64 {
        let (half, mut below) = (f64::from(self.seen) / 2.0, 0.0);
        for (index, count) in self.counts.iter().enumerate() {
            let count = f64::from(*count);
            if below + count >= half && count > 0.0 {
                let place = index as f64 + (half - below) / count;
                return ((place - BUCKETS as f64 / 2.0) * WIDTH).exp();
            }
            below += count;
        }
        1.0
    }

    /// Returns the mean in flight at dispatch.
    fn level(&self) -> f64 {
        self.levels / f64::from(self.seen.max(1))
    }

    /// Forgets what was seen.
    fn clear(&mut self) {
        *self = Self { counts: [0; BUCKETS], seen: 0, over: 0, levels: 0.0, ..*self };
    }

    /// Begins anew for what is sent from `now` on, once `warm` of it has ended.
    fn restart(&mut self, now: Time, warm: u32) {
        self.clear();
        (self.since, self.warm) = (now, warm);
    }

    fn fade(&mut self) {
        self.counts.iter_mut().for_each(|count| *count /= 2);
        (self.seen, self.over, self.levels) = (self.seen / 2, self.over / 2, self.levels / 2.0);
    }
}
