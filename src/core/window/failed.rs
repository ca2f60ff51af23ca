//! Failures: the provider's weather, unless they have to do with how much is in flight.
//!
//! A failure is retried, and three things are looked for:
//!
//! - **Less is admitted than is sent.** A provider that refuses with a 503 fails soon what it has no place for, again
//!   and again, while what it admitted goes on. What has outlived the time that failures take was admitted; where that
//!   stays clearly below a full window, it is a reading of the capacity, as with refusals.
//! - **Slots that serve nothing.** A failure that takes its time (a timeout, a late 504) has used its slot for it. The
//!   meter counts that as service, so the watch sees what each success costs, and a contrast tells whether a smaller
//!   window serves as much (`watched.rs`).
//! - **Nothing succeeds at all.** That is an outage and says nothing of capacity: the breaker closes the route, and the
//!   window is used again as it was. Only if nothing has succeeded at that level since the last outage, the level may
//!   be what brings the provider down: half.

use super::epoch::End;
use super::overload::Former;
use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

/// Share of the window below which what is admitted is less than what is sent.
const LESS: f64 = 0.9;

/// Slots by which what is admitted is at least below the window: that of the request which just failed is free by itself.
const MISSING: u32 = 2;

/// Share of the window that an outage leaves of a level at which nothing has succeeded since the last outage.
const COLLAPSE: f64 = 0.5;

impl Window {
    /// Counts a failure, with `before` in flight until now.
    pub(super) fn failed(&mut self, now: Time, stamp: Stamp, before: u32) -> Option<Change> {
        let soon = self.overload.failed(now, stamp, self.shape.mean());
        if !soon || !self.epoch.is_of(stamp) || !self.load.fills(before) {
            return None;
        }
        let admitted = self.overload.count(now, stamp, before)?;
        let State::Probe { from, .. } = self.state else { return self.admits(now, admitted) };
        // The request more is what fails.
        self.overload.restart();
        self.probe_failed(now, from)
    }

    /// Reads the capacity from an answer that comes after the route had closed, with so many in flight `before` it.
    /// Nothing was sent meanwhile, so they were admitted, and the request that failed was too many. Returns the move of
    /// the window, if it moved.
    pub fn survived(&mut self, now: Time, before: u32) -> Option<Change> {
        if self.config.pinned() { None } else { self.admits(now, before) }
    }

    /// Takes what is admitted at a full window for a reading, if it is clearly less.
    fn admits(&mut self, now: Time, admitted: u32) -> Option<Change> {
        let limit = self.limit();
        let less = f64::from(admitted) < LESS * f64::from(limit) && admitted + MISSING <= limit;
        if !less || admitted == 0 {
            return None;
        }
        self.overload.restart();
        self.remember_level();
        if self.refusals.bound().is_some_and(|bound| bound >= limit) {
            // What fell may rise again soon.
            self.sharing.alert();
        }
        self.read(now, self.config.clamp(admitted), ChangeKind::Overload)
    }

    /// Takes note that everything fails: the route rests. Returns the move of the window, if it moved.
    pub fn outage(&mut self, now: Time) -> Option<Change> {
        let held = self.overload.outage();
        if held || self.config.pinned() {
            return None;
        }
        let limit = self.limit();
        let to = (f64::from(limit) * COLLAPSE) as u32;
        let to = self.config.clamp(to.max(self.config.initial)).min(limit);
        self.end_epoch(End::Cut);
        self.search(now);
        self.set(to, ChangeKind::Overload)
    }

    /// Remembers the level from which capacity begins to go.
    pub(super) fn remember_level(&mut self) {
        let former = Former { level: self.home(), bound: self.refusals.bound() };
        self.overload.remember(former);
    }

    /// Returns to the level from before, since something is admitted again after nothing was for a while: the capacity is
    /// back until the provider says otherwise (Careful Resume does so for QUIC). Returns the move of the window, if it
    /// moved.
    pub fn resume(&mut self, now: Time) -> Option<Change> {
        let Former { level, bound } = self.overload.take_former()?;
        if self.config.pinned() || level <= self.limit() {
            return None;
        }
        self.end_epoch(End::Cut);
        self.refusals.suppose(bound);
        self.probing.soon();
        self.sharing.calm();
        self.search(now);
        self.set(level, ChangeKind::Resume)
    }
}
