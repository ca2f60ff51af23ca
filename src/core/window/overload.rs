//! Overload: shed at once, come back carefully.
//!
//! A cut begins a new epoch, and only what was dispatched after it may cut again:
//! a thousand failures of one moment are one event. While more is in flight than
//! the limit nothing is dispatched, so the next evidence is from after the drain.
//!
//! The way back is TCP's (RFC 5681): slow start up to a share of the level where
//! it happened, then one per window; after an outage from what one cut would have
//! left. +1 per window all the way, from 1, would take as many round trips as the
//! window is wide.

use super::octaves::Octaves;
use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

/// What the first cut leaves (as CUBIC's β, RFC 9438).
const FIRST_CUT: f64 = 0.7;

/// What each further cut of one overload leaves.
const NEXT_CUT: f64 = 0.5;

/// Slow start ends at this share of the level where the overload began.
const THRESHOLD: f64 = 0.85;

/// The first success after an outage brings the window back to this share of the level before it: what one cut would
/// have left, since an outage says nothing of capacity. (Careful Resume does so for QUIC, with half of what an earlier
/// connection had.) What fails there is a new overload, of that level.
const RESUME: f64 = 0.7;

impl Window {
    /// Something succeeded after an overload that outlasted the drain.
    pub(super) fn resumed(&mut self) -> Option<Change> {
        let State::SlowStart { .. } = self.state else { return None };
        let to = (f64::from(self.target) * RESUME) as u32;
        if std::mem::take(&mut self.resume) && to > self.limit { self.set(to, ChangeKind::Resume) } else { None }
    }

    /// A request failed by overload, with `in_flight` in flight before it ended.
    pub(super) fn overloaded(&mut self, now: Time, stamp: Stamp, in_flight: u32) -> Option<Change> {
        if stamp.epoch != self.epoch {
            return None;
        }
        let lasting = self.overloaded && !self.proven;
        let factor = if lasting { NEXT_CUT } else { FIRST_CUT };
        if !lasting {
            self.target = self.home();
        }
        let to = (f64::from(self.limit.min(in_flight)) * factor).floor() as u32;
        let to = self.config.clamp(to).min(self.limit);
        // An outage says nothing about capacity, an overload between successes does.
        let share = if lasting { 1.0 } else { THRESHOLD };
        let until = self.config.clamp((f64::from(self.target) * share).floor() as u32);
        self.interval = 1;
        self.epoch_ends(false);
        self.overloaded = true;
        self.resume = lasting;
        self.octaves = Octaves::since(now);
        self.state = State::SlowStart { until: until.max(to), then: self.bound.unwrap_or(0).max(self.target) };
        self.meter.begin(now, 0);
        self.set(to, ChangeKind::Overload)
    }
}
