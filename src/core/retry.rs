//! When to try again: exponential backoff with full jitter, and a budget that keeps retries a fraction of requests.

use std::time::Duration;

use super::time::Time;

/// Seconds over which the budget remembers.
const MEMORY: f64 = 10.0;
/// Retries per second that are always allowed, so that a quiet service can retry at all (Finagle, Linkerd and tower
/// use the same figure).
const FLOOR: f64 = 10.0;

/// Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Upper end of the first wait; default 1 s.
    pub base: Duration,
    /// Upper end of any wait; default 30 s.
    pub max: Duration,
}

impl Backoff {
    /// Returns the wait after the `attempt`-th attempt failed (1 for the first), drawn by `random` from [0, 1).
    #[must_use]
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(32);
        let ceiling = self.base.saturating_mul(1u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(self.max);
        ceiling.mul_f64(random.clamp(0.0, 1.0))
    }
}

/// Keeps retries within a share of the requests, plus a floor.
///
/// It is a gate, not a verdict: a retry beyond the budget waits until the budget has room, at the floor's pace.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    ratio: f64,
    requests: f64,
    retries: f64,
    last: Time,
}

impl RetryBudget {
    /// Builds a budget of `ratio` retries per request (0 to 1; default 0.2).
    #[must_use]
    pub const fn new(ratio: f64) -> Self {
        Self { ratio, requests: 0.0, retries: 0.0, last: Time::ZERO }
    }

    /// Changes the ratio; what was counted stays counted.
    pub fn set_ratio(&mut self, ratio: f64) {
        self.ratio = ratio;
    }

    /// Counts one admitted request.
    pub fn deposit(&mut self, now: Time) {
        self.fade(now);
        self.requests += 1.0;
    }

    /// Reserves one retry and returns when it may go: `now`, or later where the budget is used up.
    pub fn reserve(&mut self, now: Time) -> Time {
        self.fade(now);
        let room = self.room();
        self.retries += 1.0;
        if room >= 1.0 { now } else { now + Duration::from_secs_f64((1.0 - room) / FLOOR) }
    }

    /// Returns how many retries the budget has room for at `now`; never below zero.
    #[must_use]
    pub fn remaining(&self, now: Time) -> f64 {
        let mut then = self.clone();
        then.fade(now);
        then.room().max(0.0)
    }

    fn room(&self) -> f64 {
        self.ratio * self.requests + FLOOR * MEMORY - self.retries
    }

    fn fade(&mut self, now: Time) {
        let keep = (-now.seconds_since(self.last) / MEMORY).exp();
        self.requests *= keep;
        self.retries *= keep;
        self.last = self.last.max(now);
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
            prop_assert!(backoff.wait(attempt, random).as_secs_f64() <= doubled.min(5.0) + 1e-9);
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
