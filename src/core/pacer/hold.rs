//! When the provider said to come back, and how one comes back: one first.
//!
//! A hold never ends before the stated time, and a little after it, by chance, so that replicas do not wake as one.
//! Then a single request goes, the canary. While it is out nothing else does; if it is refused, the hold begins anew;
//! if it ends without telling anything, another takes its place; if it succeeds, two may go, and one success after the
//! other doubles how many, until the ramp is no limit any more.

use std::time::Duration;

use super::backoff_wait;
use crate::core::outcome::Outcome;
use crate::core::time::Time;

/// Share of a hold that chance may add.
const JITTER: f64 = 0.1;
/// Requests in flight at which a ramp is over.
const RAMP_END: u32 = 256;

/// How much may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Whatever the other gates allow.
    #[default]
    Free,
    /// One.
    Canary,
    /// So many at once.
    Ramp(u32),
}

/// A hold, and the careful way out of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hold {
    until: Time,
    began: Time,
    phase: Phase,
    /// Counts the holds: an attempt sent before this one says nothing about it.
    round: u32,
    /// Attempts of this round that are out.
    out: u32,
    /// Canaries refused in a row.
    refused: u32,
}

impl Hold {
    pub(super) fn until(&self) -> Time {
        self.until
    }

    /// Sends nothing before `until`; holds merge by maximum. `random` from [0, 1).
    pub(super) fn begin(&mut self, now: Time, until: Time, random: f64) {
        if until <= now {
            return;
        }
        let spread = until.since(now).mul_f64(JITTER * random.clamp(0.0, 1.0));
        self.until = self.until.max(until + spread);
        if self.phase == Phase::Free {
            self.began = now;
        }
        self.phase = Phase::Canary;
        self.round = self.round.wrapping_add(1);
        self.out = 0;
    }

    /// Returns how many more may go now.
    pub(super) fn allowance(&self, now: Time) -> u32 {
        match self.phase {
            _ if self.until > now => 0,
            Phase::Free => u32::MAX,
            Phase::Canary => 1u32.saturating_sub(self.out),
            Phase::Ramp(most) => most.saturating_sub(self.out),
        }
    }

    /// Notes a dispatch; returns the round to hand back when it ends.
    pub(super) fn take(&mut self) -> u32 {
        self.out = self.out.saturating_add(1);
        self.round
    }

    /// Notes the end of an attempt of `round`. Returns how long the pause was, from its beginning to the end of the
    /// ramp, when that is reached.
    pub(super) fn settle(&mut self, now: Time, round: u32, outcome: Outcome, random: f64) -> Option<Duration> {
        if round != self.round {
            return None;
        }
        self.out = self.out.saturating_sub(1);
        let refused = matches!(outcome, Outcome::RateLimited | Outcome::Throttled | Outcome::Overloaded);
        match self.phase {
            Phase::Canary if refused => {
                self.refused = self.refused.saturating_add(1);
                self.begin(now, now + backoff_wait(self.refused), random);
            }
            Phase::Canary if outcome == Outcome::Success => (self.phase, self.refused) = (Phase::Ramp(2), 0),
            Phase::Ramp(most) if refused => self.phase = Phase::Ramp((most / 2).max(1)),
            Phase::Ramp(most) if outcome == Outcome::Success && most >= RAMP_END => {
                self.phase = Phase::Free;
                return Some(now.since(self.began));
            }
            Phase::Ramp(most) if outcome == Outcome::Success => self.phase = Phase::Ramp(most * 2),
            _ => {}
        }
        None
    }
}
