//! An operator's wish: the median service time shall not exceed a target.
//!
//! Fewer in flight is the only remedy a window has, so while the median is significantly above the target the window
//! gives way, and what it gave way to is a *ceiling* for every other move. The ceiling rises again while the median is
//! significantly below. Behind a queue, service time is in proportion to what is in flight; so the new level is the
//! old one times target ÷ median, never less than half at once. Where the provider is not queueing that is too little,
//! and the next step follows; where a single request takes longer than the target, the window ends at its minimum, and
//! [`misses_target`](Window::misses_target) says so.
//!
//! # The statistic
//!
//! Generation times scatter by factors, and requests differ in size. So each service time is divided by what the size
//! explains (`shape.rs`), and the quantile is asked rather than the mean: whether more than half exceed the target is
//! a sign test, which holds for any distribution, and one straggler counts as one. How far the median is off comes
//! from a histogram of the logarithm. Only what was sent since the last step counts, after one window of completions:
//! the first to end are the short ones.

use super::octaves::Octaves;
use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

/// Buckets of the histogram …
const BUCKETS: usize = 48;
/// … of this width in ln(service time ÷ target): 10 %, from an eleventh to eleven times the target.
const WIDTH: f64 = 0.1;
/// Fewest samples that may move the ceiling, and the number at which half of the past is forgotten.
const SAMPLES: (u32, u32) = (9, 256);
/// Standard errors of the sign test; it is asked after each sample.
const SIGNIFICANT: f64 = 2.8;
/// The same for a step up: a wrong one is soon taken back, and a right one not taken is capacity left unused.
const BELOW: f64 = 1.5;
/// The smallest and the largest part that one step down leaves.
const DOWN: (f64, f64) = (0.5, 0.95);
/// The largest step up.
const UP: f64 = 1.25;
/// The ceiling rises only where it is what holds the window back: this share of it was in flight.
const FULL: f64 = 0.85;
/// Longest wait, in verdicts, before a step up that may exceed the target is tried again.
const PATIENCE: u32 = 64;

/// What is known about the service time beside its target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// The most that may be in flight for the target's sake.
    ceiling: Option<u32>,
    counts: [u16; BUCKETS],
    seen: u32,
    over: u32,
    /// Sum of the in-flight counts at the dispatch of what was seen.
    levels: f64,
    /// What was sent earlier says nothing about the present level.
    since: Time,
    /// Completions that are left out yet.
    warm: u32,
    /// The window is at its minimum, and the median still above the target.
    missed: bool,
    /// Verdicts to wait before a risky step up, and since the last.
    patience: u32,
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
    fn add(&mut self, ratio: f64, level: u32) {
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

    /// Standard errors by which more than half exceed the target.
    fn excess(&self) -> f64 {
        let seen = f64::from(self.seen.max(1));
        (2.0 * f64::from(self.over) - seen) / seen.sqrt()
    }

    /// The median ÷ target.
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

    /// Mean in flight at dispatch.
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

impl Window {
    /// The most that may be in flight: the configured maximum, or what the latency target leaves of it.
    pub(super) fn most(&self) -> u32 {
        self.latency.ceiling.map_or(self.config.max, |ceiling| ceiling.min(self.config.max))
    }

    /// Whether the median service time is above the latency target although the window is at its minimum.
    pub fn misses_target(&self) -> bool {
        self.latency.missed
    }

    /// A success of normalised service time `seconds`: moves the ceiling once there is evidence.
    pub(super) fn targeted(&mut self, now: Time, stamp: Stamp, seconds: f64) -> Option<Change> {
        let target = self.config.latency_target?.as_secs_f64().max(1e-9);
        if stamp.at < self.latency.since || self.limit < self.home() {
            return None;
        }
        self.latency.add(seconds / target, stamp.in_flight);
        if self.latency.seen < SAMPLES.0 || stamp.epoch != self.epoch {
            // Too little to say, or said of what another cut has changed already.
            return None;
        }
        let excess = self.latency.excess();
        if excess >= SIGNIFICANT {
            return self.above_target(now);
        }
        if excess <= -BELOW {
            self.latency.missed = false;
            return self.below_target(now);
        }
        if self.latency.seen >= SAMPLES.1 {
            // As good as on the target.
            self.latency.missed &= excess > 0.0;
            self.latency.fade();
        }
        None
    }

    fn above_target(&mut self, now: Time) -> Option<Change> {
        let level = self.latency.level().min(f64::from(self.limit));
        let share = (1.0 / self.latency.median()).clamp(DOWN.0, DOWN.1);
        let to = self.config.clamp((level * share).floor() as u32).min(self.limit);
        self.latency.missed = self.limit <= self.config.min.max(1);
        if std::mem::take(&mut self.latency.tried) {
            self.latency.patience = (self.latency.patience * 2).min(PATIENCE);
        }
        self.latency.waited = 0;
        self.latency.ceiling = Some(to);
        self.latency.restart(now, to);
        if to >= self.limit {
            return None;
        }
        self.epoch_ends(false);
        // What was seen on the way up has had its effect.
        self.octaves = Octaves::since(now);
        self.hold(now, to, ChangeKind::TargetCut)
    }

    /// More may go if it is the ceiling that holds the window back, and the target is kept even if service time grows
    /// in proportion; or, now and then, if it does not.
    fn below_target(&mut self, now: Time) -> Option<Change> {
        let (level, median) = (self.latency.level(), self.latency.median());
        let near = |ceiling: &u32| level >= FULL * f64::from(*ceiling);
        let Some(ceiling) = self.latency.ceiling.filter(near) else {
            self.latency.clear();
            return None;
        };
        let safe = (f64::from(ceiling) * (1.0 / median).min(UP)).floor() as u32;
        self.latency.waited += 1;
        let risky = safe <= ceiling;
        if risky && self.latency.waited < self.latency.patience {
            self.latency.clear();
            return None;
        }
        if !risky {
            self.latency.patience = 1;
        }
        (self.latency.tried, self.latency.waited) = (risky, 0);
        let to = safe.max(ceiling + 1);
        self.latency.ceiling = Some(to).filter(|to| *to < self.config.max);
        self.latency.restart(now, to);
        if self.limit < ceiling || !matches!(self.state, State::Hold { .. } | State::Test(_)) {
            // Something else holds the window back, or it grows anyway.
            return None;
        }
        // Beyond a capacity that was read one asks as ever, one request at a time.
        let to = to.min(self.bound.unwrap_or(u32::MAX)).max(self.limit);
        self.hold(now, to, ChangeKind::TargetGrow)
    }

    /// Whether the latency target is what holds the window back.
    pub(super) fn at_ceiling(&self) -> bool {
        self.latency.ceiling.is_some_and(|ceiling| self.limit >= ceiling)
    }

    /// The target has changed: what was learned for the old one is void.
    pub(super) fn retarget(&mut self, now: Time) {
        let held_back = self.at_ceiling();
        self.latency = Target::default();
        if held_back {
            self.climb(now, self.config.max);
        }
    }
}
