//! Failures that may be overload, and the level from before the capacity went.
//!
//! A 503 that comes whatever the window is will come at half the window too: cutting for it loses capacity and saves
//! nothing. So a failure by itself moves no window. Rounds of failures at a full window are counted, with what was
//! admitted beside them; only many of them, beside few successes, say that less is admitted than is sent.

use super::Stamp;
use super::sends::Sends;
use crate::core::time::Time;

/// Share of the mean service time within which a failure is soon: the provider did not try.
const SOON: f64 = 0.25;

/// Rounds of failures that are judged together.
const ROUNDS: u32 = 5;

/// Successes per failure up to which failures are many: a request more than before is what fails.
const MANY: u32 = 2;

/// A level of the window, and the capacity that was known there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Former {
    /// The level, in requests in flight.
    pub(super) level: u32,
    /// The capacity that was read, if it was.
    pub(super) bound: Option<u32>,
}

/// Failures that may be overload, what succeeds beside them, and what to return to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Overload {
    failures: Failures,
    sends: Sends,
    /// The level from which the capacity that was there began to go.
    former: Option<Former>,
}

impl Overload {
    /// Takes note of a dispatch; returns its serial number.
    pub(super) fn dispatched(&mut self, now: Time) -> u32 {
        self.sends.note(now)
    }

    /// Takes note of a success, of a request sent with `level` in flight, under a limit.
    pub(super) fn succeeded(&mut self, level: u32, limit: u32) {
        self.failures.succeeded(level, limit);
    }

    /// Takes note of a failure: returns whether it is of a later event than the first, and came soon for requests that
    /// take `service` seconds on average. What was sent before the first failure was seen is one event with it: a crash
    /// that takes all in flight along is no overload.
    pub(super) fn failed(&mut self, now: Time, stamp: Stamp, service: f64) -> bool {
        let again = self.failures.failed(now, stamp.at);
        again && now.seconds_since(stamp.at) < SOON * service
    }

    /// Counts a soon failure at a full window, with `before` in flight until now. After enough rounds with few successes
    /// beside them, returns how many were admitted.
    pub(super) fn count(&mut self, now: Time, stamp: Stamp, before: u32) -> Option<u32> {
        // Requests dispatched since may fail as soon; the others were admitted.
        let unproven = self.sends.after(stamp).saturating_add(1);
        self.failures.count(now, stamp.at, before.saturating_sub(unproven))
    }

    /// Begins to count anew, at a level at which requests have succeeded.
    pub(super) fn restart(&mut self) {
        self.failures = Failures { held: true, ..Failures::default() };
    }

    /// Takes note that nothing succeeds; returns whether requests had succeeded at that level since the last outage.
    pub(super) fn outage(&mut self) -> bool {
        std::mem::take(&mut self.failures).held
    }

    /// Remembers a level from which the capacity begins to go, unless it has begun before.
    pub(super) fn remember(&mut self, former: Former) {
        self.former.get_or_insert(former);
    }

    /// Forgets the level from before: another one is confirmed.
    pub(super) fn forget(&mut self) {
        self.former = None;
    }

    /// Returns the level from before, once.
    pub(super) fn take_former(&mut self) -> Option<Former> {
        self.former.take()
    }
}

/// Failures that may be one event, and what succeeds beside them.
#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    /// When the first was seen.
    first: Option<Time>,
    /// Rounds of soon failures since, at a full window: what is sent once a request has failed, and fails too.
    rounds: u32,
    /// When the present round's first failure was seen.
    round: Time,
    /// Failures of all rounds.
    seen: u32,
    /// When the last failure came; of those that come together the last one tells.
    last: Time,
    /// Requests admitted at the last failure.
    admitted_last: u32,
    /// The most that was admitted at the failures before.
    admitted: u32,
    /// Successes beside them.
    beside: u32,
    /// Successes since the last failure.
    quiet: u32,
    /// Something succeeded at more than half the window since the last outage.
    held: bool,
}

impl Failures {
    fn succeeded(&mut self, level: u32, limit: u32) {
        self.beside = self.beside.saturating_add(1);
        self.held |= level.saturating_mul(2) > limit;
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet > limit {
            *self = Self { held: self.held, ..Self::default() };
        }
    }

    /// Takes note of a failure that was sent at `sent`; returns whether it is of a later event than the first.
    fn failed(&mut self, now: Time, sent: Time) -> bool {
        self.quiet = 0;
        sent >= *self.first.get_or_insert(now)
    }

    /// Counts a soon failure that was sent at `sent`, with so many `admitted`. Once there were enough rounds, returns
    /// the most that were admitted at any of them, if failures are many beside what succeeded meanwhile.
    fn count(&mut self, now: Time, sent: Time, admitted: u32) -> Option<u32> {
        self.seen += 1;
        if now != self.last {
            self.admitted = self.admitted.max(self.admitted_last);
        }
        (self.last, self.admitted_last) = (now, admitted);
        if sent >= self.round {
            (self.rounds, self.round) = (self.rounds + 1, now);
        }
        if self.rounds <= ROUNDS || self.beside == 0 {
            return None;
        }
        let many = self.seen.saturating_mul(MANY) >= self.beside;
        (self.rounds, self.seen, self.beside, self.admitted_last) = (0, 0, 0, 0);
        Some(std::mem::take(&mut self.admitted)).filter(|_| many)
    }
}
