//! Refusals for concurrency: each is a reading of capacity.
//!
//! A provider with a cap C refuses the request that would have been the (C + 1)th.
//! So the capacity is the in-flight count at the *dispatch* of the first refused
//! request, less itself. (The count when the refusal arrives would do only if
//! refusals took no time.) Plain AIMD would halve here and average (1 + β) ÷ 2 of
//! the capacity; we take the reading, hold it, and ask again ever more rarely.
//!
//! Three cases are told apart:
//!
//! - above what is known: a failed probe, or the first reading;
//! - at what is known: a provider that frees its slot a little after it answers,
//!   or a capacity that begins to fall. The first costs one slot, until the next
//!   probe; a second before a quarter of a window is the third case;
//! - clearly below: competitors, or the capacity fell. × 0.8 per drain until
//!   requests are admitted again, then +1 per window until it can be read again.

use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;

/// What a refusal clearly below the known capacity leaves of the window.
const COMPETITOR: f64 = 0.8;

/// A refusal at this share of the known level is "at", not "below".
const NEAR: f64 = 0.9;

/// Refusals at the known capacity are rare if at most one in so many completions
/// of a window is one; the interval to the probe that checks is shortened as much.
const RARE: u32 = 4;

/// A capacity that has just moved is likely to move again: for this many failed
/// probes the interval stays short.
const ALERT_PROBES: u32 = 24;

impl Window {
    /// A request was refused because too many were in flight.
    pub(super) fn refused(&mut self, now: Time, stamp: Stamp) -> Option<Change> {
        let admitted = self.config.clamp(stamp.in_flight.saturating_sub(1));
        if stamp.epoch != self.epoch {
            return self.refine(stamp, admitted);
        }
        self.recalled = false;
        match self.state {
            State::SlowStart { .. } => self.read(now, admitted, ChangeKind::CapacityRead),
            State::Climb { .. } if self.proven => self.read(now, admitted, ChangeKind::CapacityRead),
            State::Climb { .. } => self.give_way(now, admitted),
            State::Probe { from, .. } if stamp.in_flight > from => {
                self.interval = self.longer();
                self.alert = self.alert.saturating_sub(1);
                self.epoch_ends(true);
                self.hold(now, from, ChangeKind::ProbeFailed)
            }
            State::Probe { from: home, .. } => self.refused_at(now, stamp, home, admitted),
            State::Test(contrast) => self.refused_at(now, stamp, contrast.home(), admitted),
            State::Hold { .. } => self.refused_at(now, stamp, self.limit, admitted),
        }
    }

    /// A refusal while `home` was believed right.
    fn refused_at(&mut self, now: Time, stamp: Stamp, home: u32, admitted: u32) -> Option<Change> {
        if stamp.in_flight > home {
            return self.read(now, admitted.min(home), ChangeKind::CapacityRead);
        }
        let near = f64::from(stamp.in_flight) > NEAR * f64::from(home);
        let rare = self.since_refusal.saturating_mul(RARE) >= home;
        if !near || !rare {
            return self.give_way(now, admitted);
        }
        self.since_refusal = 0;
        self.interval = (self.interval / RARE).max(1);
        self.take(now, admitted, ChangeKind::CapacityRead)
    }

    /// A reading; the first, or a better one, is soon probed.
    fn read(&mut self, now: Time, admitted: u32, kind: ChangeKind) -> Option<Change> {
        let grew = self.bound.is_none_or(|bound| admitted > bound);
        self.interval = if grew { 1 } else { self.longer() };
        self.take(now, admitted, kind)
    }

    /// Holds a reading.
    fn take(&mut self, now: Time, admitted: u32, kind: ChangeKind) -> Option<Change> {
        if self.bound != Some(admitted) {
            self.held = 0;
        }
        self.bound = Some(admitted);
        self.epoch_ends(true);
        self.hold(now, admitted.min(self.limit), kind)
    }

    /// Somebody else needs the capacity, or it fell.
    fn give_way(&mut self, now: Time, admitted: u32) -> Option<Change> {
        self.bound = None;
        self.epoch_ends(false);
        self.interval = 1;
        self.alert = ALERT_PROBES;
        let level = f64::from(admitted.min(self.limit));
        let to = self.config.clamp((level * COMPETITOR).floor() as u32);
        self.climb(now, self.config.max);
        self.set(to, ChangeKind::Competitor)
    }

    /// More refusals of the burst that gave the last reading: no further event,
    /// but one that was dispatched earlier reads lower.
    fn refine(&mut self, stamp: Stamp, admitted: u32) -> Option<Change> {
        let same = self.reading_open && stamp.epoch.wrapping_add(1) == self.epoch;
        if !same || admitted >= self.limit || !matches!(self.state, State::Hold { .. }) {
            return None;
        }
        self.bound = Some(admitted);
        self.set(admitted, ChangeKind::CapacityRead)
    }
}
