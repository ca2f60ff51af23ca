//! Refusals for concurrency: each is a reading of capacity.
//!
//! A provider with a cap C refuses the request that would have been the (C + 1)th.
//! So the capacity is what was in flight less what was refused of it, once all
//! refusals of a burst are there. Which of them was refused says nothing: requests
//! overtake each other on their way. Plain AIMD would halve here and average
//! (1 + β) ÷ 2 of the capacity; we take the reading, hold it, and ask again ever
//! more rarely.
//!
//! Three cases are told apart:
//!
//! - above what is known: a failed probe, or the first reading;
//! - at what is known: a provider that frees its slot a little after it answers,
//!   a capacity that begins to fall, or somebody else who took a slot. It costs one
//!   slot, until the next probe. If it came out of the blue, that probe follows at
//!   once, and a second refusal tells that the slot is gone; another before a
//!   quarter of a window tells that the capacity fell;
//! - gone, or clearly below: × 0.8 per drain until requests are admitted again, then
//!   +1 per window until it can be read again. A capacity that only sinks is followed
//!   by steps of one, two, four slots up to that: most falls are small, and what is
//!   given away beyond them is missed until it is climbed again.
//!
//! # Among others
//!
//! Readings are held, so shares that came about unfairly would stay. Who has noticed
//! others therefore probes at intervals in proportion to its share (who has little
//! asks often), leaves to others for a while what it gave way, and every second time
//! gives way instead of probing, which costs no refusal.

use super::state::State;
use super::{Change, ChangeKind, Stamp, Window};
use crate::core::time::Time;
use std::time::Duration;

/// What a refusal clearly below the known capacity leaves of the window.
const COMPETITOR: f64 = 0.8;

/// A refusal at this share of the known level is "at", not "below".
const NEAR: f64 = 0.9;

/// Refusals at the known capacity are rare if at most one in so many completions
/// of a window is one; the interval to the probe that checks is shortened as much.
const RARE: u32 = 4;

/// A refusal at the known capacity after so many windows without one means that somebody else took the slot: a
/// provider that frees its slots late refuses more often.
const TAKEN: u32 = 2;

/// After so many falls of several slots at once, a single slot that is gone is a fall as well: whoever takes slots takes
/// them one by one.
const SINKING: u32 = 2;

/// Among others, one in so many probes yields instead …
const PROBES_PER_YIELD: u32 = 2;

/// … where there is anything to yield.
const LEAST_YIELDING: u32 = 2;

/// Capacity found beyond what was known is not just a slot that others left from so many requests on, …
const LEAP: u32 = 4;

/// … or from this part of the window on.
const LEAP_SHARE: u32 = 4;

/// What was yielded to others is left to them for so many windows.
const GRACE: u32 = 4;

/// A capacity that has just moved is likely to move again: for this many failed
/// probes the interval stays short.
pub(super) const ALERT_PROBES: u32 = 24;

/// What is kept of the longest refusal per refusal.
const REFUSAL_FADE: f64 = 0.9;

impl Window {
    /// Takes note of how long a refusal for concurrency asks to pause; zero where it does not say.
    pub fn paused(&mut self, pause: Duration) {
        self.pause = pause.as_secs_f64();
    }

    /// A request was refused because too many were in flight; `before`: so many were until now, with itself.
    pub(super) fn refused(&mut self, now: Time, stamp: Stamp, before: u32) -> Option<Change> {
        if stamp.epoch != self.epoch {
            return self.refine(stamp, before);
        }
        self.burst = 1;
        let (seen, admitted) = (stamp.in_flight.max(before), self.admitted(stamp, before));
        self.recalled = false;
        self.refusal = now.seconds_since(stamp.at).max(self.refusal * REFUSAL_FADE);
        match self.state {
            State::SlowStart { .. } => self.read(now, admitted, ChangeKind::CapacityRead),
            State::Climb { .. } if self.proven => self.read(now, admitted, ChangeKind::CapacityRead),
            State::Climb { .. } => {
                self.shared = false;
                self.give_way(now, admitted)
            }
            State::Probe { .. } if self.suspect => {
                // The slot is still gone: somebody has it, unless the capacity is known to sink.
                self.shared = self.falls < SINKING || self.alert == 0;
                if self.shared {
                    self.falls = 0;
                }
                self.give_way(now, admitted)
            }
            State::Probe { from, .. } if seen > from => self.probe_failed(now, from),
            State::Probe { from: home, .. } => self.refused_at(now, seen, home, admitted),
            State::Test(contrast) => self.refused_at(now, seen, contrast.home(), admitted),
            State::Hold { .. } => self.refused_at(now, seen, self.limit, admitted),
        }
    }

    /// The request more was one too many.
    pub(super) fn probe_failed(&mut self, now: Time, from: u32) -> Option<Change> {
        self.interval = self.longer();
        self.alert = self.alert.saturating_sub(1);
        self.epoch_ends(true);
        self.hold(now, from, ChangeKind::ProbeFailed)
    }

    /// What was admitted of those in flight, as far as the refusals of a burst tell by now. Some of those at a dispatch
    /// may be done since, some that came later may have been there before it: so the larger of both counts.
    fn admitted(&self, stamp: Stamp, before: u32) -> u32 {
        self.config.clamp(stamp.in_flight.saturating_sub(self.burst).max(before.saturating_sub(1)))
    }

    /// A refusal while `home` was believed right.
    fn refused_at(&mut self, now: Time, seen: u32, home: u32, admitted: u32) -> Option<Change> {
        if seen > home {
            return self.read(now, admitted.min(home), ChangeKind::CapacityRead);
        }
        let near = f64::from(seen) > NEAR * f64::from(home);
        let since = std::mem::take(&mut self.since_refusal);
        let falls = since.saturating_mul(RARE) < home;
        let taken = since >= home.saturating_mul(TAKEN);
        if !near || falls {
            self.shared = false;
            self.falls = self.falls.saturating_add(1);
            if !near {
                self.last_fall = u32::MAX;
            }
            return self.give_way(now, admitted);
        }
        self.remember_level();
        (self.suspect, self.suspect_at) = (taken, now);
        self.interval = if taken { 0 } else { (self.interval / RARE).max(1) };
        self.take(now, admitted, ChangeKind::CapacityRead)
    }

    /// A reading; the first, or a better one, is soon probed.
    pub(super) fn read(&mut self, now: Time, admitted: u32, kind: ChangeKind) -> Option<Change> {
        let grew = self.bound.is_none_or(|bound| admitted > bound);
        if self.bound.is_some_and(|bound| admitted >= bound + LEAP.max(bound / LEAP_SHARE)) {
            // Others leave a slot or two; more at once is capacity that rose, and may go on rising.
            self.shared = false;
        }
        self.interval = match grew {
            // Where others take what one finds, finding more says little.
            true if !self.among_others() => 1,
            _ => self.longer(),
        };
        // What follows soon is neither a fall nor somebody else, but a provider that frees its slots late.
        self.since_refusal = admitted.div_ceil(RARE);
        self.take(now, admitted, kind)
    }

    /// Holds a reading.
    fn take(&mut self, now: Time, admitted: u32, kind: ChangeKind) -> Option<Change> {
        if self.bound != Some(admitted) {
            self.held = 0;
        }
        self.bound = Some(admitted);
        self.last_fall = 0;
        self.epoch_ends(true);
        self.hold(now, admitted.min(self.limit), kind)
    }

    /// The refusals lately were not for concurrency: what was read from them is void, and the window grows on from
    /// where it is, carefully, since there may be a cap as well.
    pub fn reopen(&mut self, now: Time) {
        if self.config.pinned() {
            return;
        }
        self.bound = Some(self.home());
        (self.suspect, self.shared, self.interval) = (false, false, 1);
        self.search(now);
    }

    /// Somebody else needs the capacity, or it fell.
    fn give_way(&mut self, now: Time, admitted: u32) -> Option<Change> {
        self.remember_level();
        self.bound = None;
        self.suspect = false;
        self.epoch_ends(false);
        self.interval = 1;
        self.alert = ALERT_PROBES - 1;
        self.last_fall = self.last_fall.saturating_mul(2).max(1);
        let most = if self.shared { u32::MAX } else { self.last_fall };
        self.leave(now, admitted, most, self.config.max)
    }

    /// Leaves a part to others, who are there but have not asked for it just now.
    pub(super) fn give_some(&mut self, now: Time) -> Option<Change> {
        self.epoch_ends(false);
        self.alert -= 1;
        // Back to here and no further: if nobody took it, that costs no refusal.
        self.leave(now, self.limit, u32::MAX, self.limit)
    }

    /// Goes a fifth below what was admitted, but by `most` slots at most, and climbs from there up to `until`.
    fn leave(&mut self, now: Time, admitted: u32, most: u32, until: u32) -> Option<Change> {
        let level = admitted.min(self.limit);
        let fifth = (f64::from(level) * COMPETITOR).floor() as u32;
        let to = self.config.clamp(fifth.max(level.saturating_sub(most)));
        self.climb(now, until);
        self.grace = if self.shared { GRACE.saturating_mul(to) } else { 0 };
        self.set(to, ChangeKind::Competitor)
    }

    /// Whether it is time to leave some of a shared capacity to whoever has less.
    ///
    /// A held reading is stable, also where it is unfair. Those who share by multiplicative decrease and additive
    /// increase draw level (Chiu & Jain 1989), so every few probes are such a decrease instead.
    pub(super) fn yields(&self) -> bool {
        self.among_others() && self.alert.is_multiple_of(PROBES_PER_YIELD) && self.limit > LEAST_YIELDING
    }

    /// More refusals of the burst that gave the last reading: no further event, but each lowers it.
    fn refine(&mut self, stamp: Stamp, before: u32) -> Option<Change> {
        let same = self.reading_open && stamp.epoch.wrapping_add(1) == self.epoch;
        if !same || !matches!(self.state, State::Hold { .. }) {
            return None;
        }
        self.burst += 1;
        let admitted = self.admitted(stamp, before);
        if admitted >= self.limit {
            return None;
        }
        self.bound = Some(admitted);
        self.set(admitted, ChangeKind::CapacityRead)
    }
}
