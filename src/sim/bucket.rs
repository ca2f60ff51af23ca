//! Rate buckets of simulated providers and accounts.

use std::time::Duration;

use serde::Deserialize;

use super::read::Bad;
use crate::core::pacer::{RateHint, Rates};

/// A rate bucket.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    /// Requests per minute.
    pub per_minute: f64,
    /// Size of the bucket, in requests.
    pub burst: f64,
    /// Whether every response has the x-ratelimit headers, and 429s a retry-after; default no.
    #[serde(default)]
    pub headers: bool,
}

impl RateSpec {
    /// Returns the first value that is out of range.
    pub(super) fn problem(&self) -> Option<Bad> {
        let burst = || Bad::number("rate.burst", self.burst, 1.0, 1e9);
        Bad::number("rate.per_minute", self.per_minute, 1e-3, 1e9).or_else(burst)
    }

    /// Returns the rate as an operator would set it.
    pub(super) fn rates(&self) -> Rates {
        Rates { requests_per_minute: Some(self.per_minute), ..Rates::default() }
    }
}

/// A provider answers an arriving request with a reception.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reception {
    Taken,
    Throttled { late: bool },
    RateLimited { retry_after: Option<Duration> },
    Failed,
    Dropped,
}

/// A rate bucket in use. Times are in seconds.
#[derive(Debug)]
pub(super) struct Bucket {
    spec: RateSpec,
    tokens: f64,
    at: f64,
}

impl Bucket {
    /// Builds a full bucket.
    pub(super) fn new(spec: RateSpec) -> Self {
        Self { tokens: spec.burst, at: 0.0, spec }
    }

    fn per_second(&self) -> f64 {
        self.spec.per_minute / 60.0
    }

    fn tokens(&self, t: f64) -> f64 {
        (self.tokens + self.per_second() * (t - self.at)).min(self.spec.burst)
    }

    /// Returns how many requests it would let through.
    pub(super) fn room(&self, t: f64) -> f64 {
        self.tokens(t) + 1e-9
    }

    /// Returns when a bucket that is empty has a token again.
    pub(super) fn token_at(&self, t: f64) -> Option<f64> {
        let tokens = self.tokens(t);
        (tokens < 1.0).then(|| t + (1.0 - tokens) / self.per_second() + 1e-6)
    }

    /// Returns what headers say, where there are any.
    pub(super) fn hint(&self, t: f64) -> Option<RateHint> {
        let (burst, tokens) = (self.spec.burst, self.tokens(t));
        let reset = Duration::from_secs_f64((burst - tokens) / self.per_second());
        let hint =
            RateHint { limit: Some(burst), remaining: tokens.floor(), reset: Some(reset), ..RateHint::default() };
        self.spec.headers.then_some(hint)
    }

    /// Returns the refusal of a request where the bucket is empty.
    pub(super) fn refusal(&self, t: f64) -> Option<Reception> {
        let tokens = self.tokens(t);
        let wait = || Duration::from_secs_f64((1.0 - tokens) / self.per_second());
        (tokens < 1.0).then(|| Reception::RateLimited { retry_after: self.spec.headers.then(wait) })
    }

    /// Counts a request that was let through.
    pub(super) fn take(&mut self, t: f64) {
        (self.tokens, self.at) = (self.tokens(t) - 1.0, t);
    }
}
