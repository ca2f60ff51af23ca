//! Failures: the provider's weather, unless they have to do with how much is in flight.
//!
//! A 503 that comes whatever the window is will come at half the window too: cutting for it loses capacity and saves
//! nothing. So a failure by itself moves no window. It is retried, and three things are looked for:
//!
//! - **Less is admitted than is sent.** A provider that refuses with a 503 fails soon what it has no place for, again
//!   and again, while what it admitted goes on. What has outlived the time that failures take was admitted; where that
//!   stays clearly below a full window, it is a reading of the capacity, as with refusals.
//! - **Slots that serve nothing.** A failure that takes its time (a timeout, a late 504) has used its slot for it. The
//!   meter counts that as service, so the watch sees what each success costs, and a contrast tells whether a smaller
//!   window serves as much (`watch.rs`).
//! - **Nothing succeeds at all.** That is an outage and says nothing of capacity: the breaker closes the route, and the
//!   window is used again as it was. Only if nothing has succeeded at that level since the last outage, the level may
//!   be what brings the provider down: half.
//!
//! What was sent before the first failure was seen is one event with it: a crash that takes all in flight along is no
//! overload.

use super::refusal::ALERT_PROBES;
use super::state::State;
use super::{Change, ChangeKind, FULL, Stamp, Window};
use crate::core::time::Time;

/// Failures within this share of the mean service time are soon: the provider did not try.
const SOON: f64 = 0.25;

/// So many rounds of them are judged together.
const ENOUGH: u32 = 5;

/// What is admitted is less than what is sent below this share of the window …
const LESS: f64 = 0.9;

/// … and by at least so many slots: that one which just failed is free by itself.
const MISSING: u32 = 2;

/// Instants of dispatch that are remembered: those of a burst have one.
const RECENT: usize = 8;

/// A request more than before is what fails if successes are at most so many times as many as failures.
const MANY: u32 = 2;

/// What an outage leaves of a level at which nothing has succeeded since the last one.
const COLLAPSE: f64 = 0.5;

/// Failures that may be one event, and what succeeds beside them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Failures {
    /// When the first was seen.
    first: Option<Time>,
    /// Rounds of failures since that came soon, at a full window: what is sent once one has failed, and fails too.
    rounds: u32,
    /// When the present round's first failure was seen.
    round: Time,
    /// Failures of all rounds.
    seen: u32,
    /// When the last of them came, and what was admitted then: of those that come together the last one tells.
    last: (Time, u32),
    /// The most that was admitted at those before.
    admitted: u32,
    /// Successes beside them.
    beside: u32,
    /// Successes since the last.
    quiet: u32,
    /// Something succeeded at more than half the window since the last outage.
    held: bool,
}

impl Failures {
    /// Takes note of a success at `level`, under a limit.
    pub(super) fn succeeded(&mut self, level: u32, limit: u32) {
        self.beside = self.beside.saturating_add(1);
        self.held |= level.saturating_mul(2) > limit;
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet > limit {
            *self = Self { held: self.held, ..Self::default() };
        }
    }

    /// Takes note of a failure that was sent at `sent`; says whether it is of a later event than the first.
    fn failed(&mut self, now: Time, sent: Time) -> bool {
        self.quiet = 0;
        sent >= *self.first.get_or_insert(now)
    }

    /// Notes one that was sent at `sent` and came soon, with so many `admitted`. Once there were enough rounds, returns the
    /// most that were admitted at one of them, and whether failures are many beside what succeeded meanwhile.
    fn soon(&mut self, now: Time, sent: Time, admitted: u32) -> Option<(u32, bool)> {
        self.seen += 1;
        if now != self.last.0 {
            self.admitted = self.admitted.max(self.last.1);
        }
        self.last = (now, admitted);
        if sent >= self.round {
            (self.rounds, self.round) = (self.rounds + 1, now);
        }
        if self.rounds <= ENOUGH || self.beside == 0 {
            return None;
        }
        let many = self.seen.saturating_mul(MANY) >= self.beside;
        (self.rounds, self.seen, self.beside, self.last.1) = (0, 0, 0, 0);
        Some((std::mem::take(&mut self.admitted), many))
    }
}

/// Counts dispatches, and remembers how many there were by the latest instants.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sends {
    count: u32,
    recent: [(Time, u32); RECENT],
    newest: usize,
}

impl Sends {
    /// Takes note of a dispatch; returns how many there were until then, with itself.
    pub(super) fn note(&mut self, now: Time) -> u32 {
        self.count = self.count.wrapping_add(1);
        if self.recent[self.newest].0 != now {
            self.newest = (self.newest + 1) % RECENT;
        }
        self.recent[self.newest] = (now, self.count);
        self.count
    }

    /// How many were dispatched later than `at`; where that instant is long past, later than the dispatch `serial`.
    fn after(&self, at: Time, serial: u32) -> u32 {
        let then = self.recent.iter().find(|(instant, _)| *instant == at).map_or(serial, |(_, count)| *count);
        self.count.wrapping_sub(then)
    }
}

impl Window {
    /// A request failed, with `before` in flight before it ended.
    pub(super) fn failed(&mut self, now: Time, stamp: Stamp, before: u32) -> Option<Change> {
        let again = self.failures.failed(now, stamp.at);
        let soon = now.seconds_since(stamp.at) < SOON * self.shape.mean();
        let full = f64::from(before) >= FULL * f64::from(self.limit);
        if stamp.epoch != self.epoch || !again || !soon || !full {
            return None;
        }
        // Those dispatched since may fail as soon; the others were admitted.
        let unproven = self.sends.after(stamp.at, stamp.serial);
        let admitted = before.saturating_sub(unproven.saturating_add(1));
        let (admitted, many) = self.failures.soon(now, stamp.at, admitted)?;
        if !many {
            return None;
        }
        let State::Probe { from, .. } = self.state else { return self.admits(now, admitted) };
        // The request more is what fails.
        self.failures = Failures { held: true, ..Failures::default() };
        self.probe_failed(now, from)
    }

    /// The route had closed, but something that was sent before is answered, with so many in flight `before` it ended.
    /// Nothing was sent meanwhile, so those were admitted, and what failed was one too many. Returns the move of the
    /// window, if it moved.
    pub fn survived(&mut self, now: Time, before: u32) -> Option<Change> {
        if self.config.pinned() { None } else { self.admits(now, before) }
    }

    /// No more is admitted, at a full window: a reading, if it is clearly less.
    fn admits(&mut self, now: Time, admitted: u32) -> Option<Change> {
        let less = f64::from(admitted) < LESS * f64::from(self.limit) && admitted + MISSING <= self.limit;
        if !less || admitted == 0 {
            return None;
        }
        self.failures = Failures { held: true, ..Failures::default() };
        self.remember_level();
        if self.bound.is_some_and(|bound| bound >= self.limit) {
            // What fell may rise again soon.
            self.alert = ALERT_PROBES - 1;
        }
        self.read(now, self.config.clamp(admitted), ChangeKind::Overload)
    }

    /// Everything fails: the route rests. Returns the move of the window, if it moved.
    pub fn outage(&mut self, now: Time) -> Option<Change> {
        let held = std::mem::take(&mut self.failures).held;
        if held || self.config.pinned() {
            return None;
        }
        let to = (f64::from(self.limit) * COLLAPSE) as u32;
        let to = self.config.clamp(to.max(self.config.initial)).min(self.limit);
        self.epoch_ends(false);
        self.search(now);
        self.set(to, ChangeKind::Overload)
    }

    /// Notes the level from which capacity begins to go.
    pub(super) fn remember_level(&mut self) {
        self.former.get_or_insert((self.home(), self.bound));
    }

    /// Something is admitted again after nothing was for a while: what was there before is back until the provider
    /// says otherwise (Careful Resume does so for QUIC). Returns the move of the window, if it moved.
    pub fn resume(&mut self, now: Time) -> Option<Change> {
        let (level, bound) = self.former.take()?;
        if self.config.pinned() || level <= self.limit {
            return None;
        }
        self.epoch_ends(false);
        self.bound = bound;
        (self.interval, self.alert, self.shared, self.suspect) = (1, 0, false, false);
        self.search(now);
        self.set(level, ChangeKind::Resume)
    }
}
