//! When to try again: exponential backoff with jitter, and a budget that keeps retries a fraction of requests.

use std::time::Duration;

use super::estimate::FadingSum;
use super::time::Time;

/// Seconds over which a retry budget remembers requests and retries.
const MEMORY: f64 = 10.0;
/// Retries per second that are always allowed, so that a quiet service can retry at all (Finagle, Linkerd and tower
/// use the same figure).
const FLOOR: f64 = 10.0;

/// Exponential backoff; the jitter is the caller's choice (Brooker, "Exponential Backoff And Jitter", AWS 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the first wait; default 1 s.
    pub base: Duration,
    /// Upper end of any wait; default 30 s.
    pub max: Duration,
}

impl Backoff {
    /// Returns the longest wait after the `attempt`-th attempt failed (1 for the first): the wait without jitter.
    #[must_use]
    pub fn none(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(32);
        self.base.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.max)
    }

    /// Returns the wait after the `attempt`-th attempt failed, with full jitter: `random` from [0, 1) draws it from
    /// zero to [`none`](Self::none).
    #[must_use]
    pub fn full(&self, attempt: u32, random: f64) -> Duration {
        self.none(attempt).mul_f64(random.clamp(0.0, 1.0))
    }
}

/// Spreads a wait by half jitter: `random` from [0, 1) draws it from half of `wait` to all of it.
#[must_use]
pub fn half_jitter(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.5 + random / 2.0)
}

/// Keeps retries within a share of the requests, plus a floor.
///
/// The budget is a gate, not a verdict: a retry beyond the budget waits until the budget has room, at the floor's pace.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    ratio: f64,
    requests: FadingSum,
    retries: FadingSum,
}

impl RetryBudget {
    /// Builds a budget of `ratio` retries per request (0 to 1; default 0.2).
    #[must_use]
    pub const fn new(ratio: f64) -> Self {
        Self { ratio, requests: FadingSum::new(MEMORY), retries: FadingSum::new(MEMORY) }
    }

    /// Changes the ratio; what was counted stays counted.
    pub fn set_ratio(&mut self, ratio: f64) {
        self.ratio = ratio;
    }

    /// Counts one admitted request.
    pub fn deposit(&mut self, now: Time) {
        self.retries.advance(now);
        self.requests.add(now, 1.0);
    }

    /// Reserves one retry and returns when it may go: `now`, or later where the budget is used up.
    pub fn reserve(&mut self, now: Time) -> Time {
        self.requests.advance(now);
        let room = self.room(now);
        self.retries.add(now, 1.0);
        if room >= 1.0 { now } else { now + Duration::from_secs_f64((1.0 - room) / FLOOR) }
    }

    /// Returns how many retries the budget has room for at `now`; never below zero.
    #[must_use]
    pub fn remaining(&self, now: Time) -> f64 {
        self.room(now).max(0.0)
    }

    fn room(&self, now: Time) -> f64 {
        self.ratio * self.requests.at(now) + FLOOR * MEMORY - self.retries.at(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn backoff_stays_within_its_ceiling(attempt in 0u32..=u32::MAX, random in 0.0f64..1.0) {
            let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(5) };
            let doubled = 0.1 * 2f64.powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX).min(40));
            prop_assert!(backoff.full(attempt, random) <= backoff.none(attempt));
            prop_assert!(backoff.none(attempt).as_secs_f64() <= doubled.min(5.0) + 1e-9);
            let half = half_jitter(backoff.none(attempt), random);
            prop_assert!(half >= backoff.none(attempt) / 2 && half <= backoff.none(attempt));
        }
    }

    #[test]
    fn retries_beyond_the_budget_wait_for_the_floor() {
        let mut budget = RetryBudget::new(0.2);
        let now = Time::from_millis(1_000);
        for _ in 0..100 {
            budget.deposit(now);
        }
        // 100 of the floor's ten seconds and 20 of the requests.
        for n in 0..120 {
            assert_eq!(budget.reserve(now), now, "retry {n}");
        }
        assert_eq!(budget.remaining(now), 0.0);
        assert_eq!(budget.reserve(now).since(now), Duration::from_millis(100));
        assert_eq!(budget.reserve(now).since(now), Duration::from_millis(200));
        assert_eq!(budget.reserve(now + Duration::from_secs(60)), now + Duration::from_secs(60), "it recovers");
    }
}
