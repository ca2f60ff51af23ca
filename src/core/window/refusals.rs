//! The capacity as refusals show it.
//!
//! A provider with a cap C refuses the request that would have been the (C + 1)th. So the capacity is what was in flight
//! less what was refused of it, once all refusals of a burst are there. Which of them was refused says nothing: requests
//! overtake each other on their way.

use super::{Stamp, WindowConfig};
use crate::core::time::Time;

/// Share of the known level from which a refusal is "at" it, not "below" it.
const NEAR: f64 = 0.9;

/// Refusals at the known capacity are rare if at most one in so many completions of a window is one; the interval to the
/// probe that checks is shortened as much.
pub(super) const RARE: u32 = 4;

/// Windows without a refusal at the known capacity after which the next one means that a competitor took the slot: a
/// provider that frees its slots late refuses more often.
const TAKEN: u32 = 2;

/// Windows without a refusal at a level after which it is confirmed.
const CONFIRMED: u32 = 4;

/// Slots from which on capacity found beyond what was known is not just what a competitor left.
const LEAP: u32 = 4;

/// Part of the known capacity from which on capacity found beyond it is not just what a competitor left: a quarter.
const LEAP_SHARE: u32 = 4;

/// Share of the longest refusal delay that is kept per refusal.
const DELAY_FADE: f64 = 0.9;

/// Refusal delays after which a request that was not refused was admitted.
const PATIENT: f64 = 8.0;

/// The place of a refusal, relative to the level believed right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Above the level.
    Above,
    /// At the level; `sudden` if there was none for long, so that the slot may be a competitor's now.
    At { sudden: bool },
    /// At the level or a little below, and soon after another: the capacity falls.
    Again,
    /// Clearly below the level.
    Below,
}

/// A reading compared with the capacity known before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The reading is no higher.
    NoMore,
    /// The reading is higher, or the first.
    More,
    /// The reading is higher by more than a competitor leaves.
    Leap,
}

/// The meaning of an admitted probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// The slot that was suspect was only late.
    Late,
    /// A capacity from before a restart is not where this provider refuses.
    Outgrown,
    /// There is more capacity than was known.
    More,
}

/// The capacity as refusals have shown it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    /// The capacity that was read, or supposed to be there.
    bound: Option<u32>,
    /// The capacity is from before a restart and was not confirmed yet.
    recalled: bool,
    /// When a refusal at the known capacity made a slot suspect; the next probe tells whether it is gone.
    suspect: Option<Time>,
    /// How long refusals take lately, in seconds; 0 before the first.
    delay: f64,
    /// Refusals of the present burst.
    burst: u32,
    /// Successes while holding since the last refusal at the known capacity.
    quiet: u32,
    /// Successes while holding since the capacity was last read anew.
    held: u32,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { bound: None, recalled: false, suspect: None, delay: 0.0, burst: 0, quiet: u32::MAX, held: 0 }
    }

    /// Begins with a capacity known before a restart. It counts as a reading until one request more was tried: where the
    /// provider refuses, that confirms it at the price of one refusal.
    pub(super) fn recalled(bound: u32) -> Self {
        Self { bound: Some(bound), recalled: true, ..Self::new() }
    }

    /// Returns the capacity that was read.
    pub(super) fn bound(&self) -> Option<u32> {
        self.bound
    }

    /// Returns whether a limit is at the capacity that was read, or above it.
    pub(super) fn reached(&self, limit: u32) -> bool {
        self.bound.is_some_and(|bound| limit >= bound)
    }

    /// Returns `level`, or the capacity that was read where that is less.
    pub(super) fn capped(&self, level: u32) -> u32 {
        level.min(self.bound.unwrap_or(u32::MAX))
    }

    /// Returns the successes while holding since the capacity was last read anew.
    pub(super) fn held(&self) -> u32 {
        self.held
    }

    /// Returns whether a refusal of a request sent at `at` would have arrived by now.
    pub(super) fn would_be_known(&self, now: Time, at: Time) -> bool {
        self.delay > 0.0 && now.seconds_since(at) > PATIENT * self.delay
    }

    /// Returns whether a slot is suspect.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// Returns whether a probe may ask now: a slot that is suspect may still be late.
    pub(super) fn may_ask(&self, now: Time) -> bool {
        self.suspect.is_none_or(|at| self.would_be_known(now, at))
    }

    /// Counts a success while holding; returns whether the level has now been confirmed at a limit.
    pub(super) fn succeeded(&mut self, limit: u32) -> bool {
        self.quiet = self.quiet.saturating_add(1);
        self.held = self.held.saturating_add(1);
        self.quiet >= limit.saturating_mul(CONFIRMED)
    }

    /// Begins a burst with its first refusal.
    pub(super) fn begin_burst(&mut self, now: Time, stamp: Stamp) {
        self.burst = 1;
        self.recalled = false;
        self.delay = now.seconds_since(stamp.at).max(self.delay * DELAY_FADE);
    }

    /// Counts another refusal of the burst.
    pub(super) fn go_on(&mut self) {
        self.burst += 1;
    }

    /// Returns the capacity as the refusals of this burst show it so far, where `before` were in flight until now. The
    /// in-flight counts at dispatch and at refusal both bound it from below (requests may finish, or overtake each
    /// other, in between), so the larger one is used.
    pub(super) fn admitted(&self, stamp: Stamp, before: u32) -> u32 {
        stamp.in_flight.saturating_sub(self.burst).max(before.saturating_sub(1))
    }

    /// Places a refusal, with `seen` in flight, beside the level believed right; at that level it makes a slot suspect
    /// if it came out of the blue.
    pub(super) fn place(&mut self, now: Time, seen: u32, home: u32) -> Sight {
        if seen > home {
            return Sight::Above;
        }
        let quiet = std::mem::take(&mut self.quiet);
        if f64::from(seen) <= NEAR * f64::from(home) {
            return Sight::Below;
        }
        if quiet.saturating_mul(RARE) < home {
            return Sight::Again;
        }
        let sudden = quiet >= home.saturating_mul(TAKEN);
        self.suspect = sudden.then_some(now);
        Sight::At { sudden }
    }

    /// Compares a reading with what was known. What follows soon is neither a fall nor a competitor, but a provider that
    /// frees its slots late.
    pub(super) fn compare(&mut self, admitted: u32) -> News {
        self.quiet = admitted.div_ceil(RARE);
        match self.bound {
            Some(bound) if admitted >= bound + LEAP.max(bound / LEAP_SHARE) => News::Leap,
            Some(bound) if admitted <= bound => News::NoMore,
            _ => News::More,
        }
    }

    /// Takes a reading.
    pub(super) fn read(&mut self, admitted: u32) {
        if self.bound != Some(admitted) {
            self.held = 0;
        }
        self.bound = Some(admitted);
    }

    /// Lowers the reading of the present burst.
    pub(super) fn refine(&mut self, admitted: u32) {
        self.bound = Some(admitted);
    }

    /// Supposes a capacity, or none, that no refusal has shown.
    pub(super) fn suppose(&mut self, bound: Option<u32>) {
        (self.bound, self.suspect) = (bound, None);
    }

    /// Takes note that a probe was admitted at `limit`.
    pub(super) fn probe_admitted(&mut self, limit: u32) -> Admission {
        let admission = if self.suspect.take().is_some() {
            Admission::Late
        } else if std::mem::take(&mut self.recalled) {
            Admission::Outgrown
        } else {
            Admission::More
        };
        // Not a refusing provider, or no longer full there: look at latency.
        self.bound = (admission != Admission::Outgrown).then_some(limit);
        admission
    }

    /// Keeps the capacity within new bounds.
    pub(super) fn reconfigure(&mut self, config: &WindowConfig) {
        self.bound = self.bound.map(|bound| config.clamp(bound));
    }
}
