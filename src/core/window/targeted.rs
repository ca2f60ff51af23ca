//! The latency target: an operator's wish that moves the window.

use super::epoch::End;
use super::state::State;
use super::target::{Median, Raise, Target};
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

impl Window {
    /// Returns whether the median service time is above the latency target although the window is at its minimum.
    pub fn misses_target(&self) -> bool {
        self.target.is_missed()
    }

    /// Returns whether the latency target is what holds the window back.
    pub(super) fn at_ceiling(&self) -> bool {
        self.target.ceiling().is_some_and(|ceiling| self.limit() >= ceiling)
    }

    /// Counts a success of normalised service time `seconds`: moves the ceiling once there is evidence.
    pub(super) fn targeted(&mut self, now: Time, stamp: Stamp, seconds: f64) -> Option<Change> {
        let target = self.config.latency_target?.as_secs_f64().max(1e-9);
        if !self.target.counts(stamp.at) || self.limit() < self.home() {
            return None;
        }
        self.target.add(seconds / target, stamp.in_flight);
        if !self.epoch.is_of(stamp) {
            // Said of what another cut has changed already.
            return None;
        }
        match self.target.judge()? {
            Median::Above => self.above_target(now),
            Median::Below => self.below_target(now),
        }
    }

    fn above_target(&mut self, now: Time) -> Option<Change> {
        let limit = self.limit();
        let to = self.target.lower(now, limit, &self.config);
        if to >= limit {
            return None;
        }
        self.end_epoch(End::Cut);
        // What was seen on the way up has had its effect.
        self.ascent.restart(now);
        self.hold(now, to, ChangeKind::TargetCut)
    }

    fn below_target(&mut self, now: Time) -> Option<Change> {
        let Raise { from, to } = self.target.raise(now, self.config.max)?;
        let limit = self.limit();
        if limit < from || !matches!(self.state, State::Hold { .. } | State::Test(_)) {
            // Something else holds the window back, or it grows anyway.
            return None;
        }
        // Above a capacity that was read from refusals, growth stays with the probes: one request at a time.
        self.hold(now, self.refusals.capped(to).max(limit), ChangeKind::TargetGrow)
    }

    /// Forgets what was learned for another target.
    pub(super) fn retarget(&mut self, now: Time) {
        let held_back = self.at_ceiling();
        self.target = Target::default();
        if held_back {
            self.climb(now, self.config.max, 0);
        }
    }
}
