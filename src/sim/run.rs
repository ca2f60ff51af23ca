//! A run holds what one simulation measured.

use super::controller::Controller;
use crate::core::estimate::nearest_rank;
use crate::core::window::Change;

/// A run of a scenario with one controller and one seed.
// fields: one for each figure that a scenario can expect.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The controller that was run.
    pub controller: Controller,
    /// The seed that replays it.
    pub seed: u64,
    /// Service time given by the provider to jobs that succeeded, or were under way at the end, in seconds.
    pub delivered: f64,
    /// Jobs that succeeded.
    pub successes: u64,
    /// Attempts refused for concurrency.
    pub throttled: u64,
    /// Attempts refused for a rate.
    pub rate_limited: u64,
    /// Attempts that failed by overload or timeout.
    pub overloaded: u64,
    /// Jobs refused at admission, expired in the queue, or given up after their last attempt.
    pub lost: u64,
    /// Mean attempts in flight.
    pub in_flight: f64,
    /// Mean attempts in flight in the second half.
    pub settled: f64,
    /// See [`Measure::Jain`](super::Measure::Jain).
    pub jain: Option<f64>,
    /// See [`Measure::Cuts`](super::Measure::Cuts).
    pub cuts: Option<f64>,
    /// See [`Measure::InsideRetryAfter`](super::Measure::InsideRetryAfter).
    pub inside_retry_after: u64,
    /// See [`Measure::Probes`](super::Measure::Probes).
    pub probes: Option<u64>,
    /// See [`Measure::Back`](super::Measure::Back).
    pub back: Option<f64>,
    /// See [`Measure::Cold`](super::Measure::Cold).
    pub cold: Option<f64>,
    /// See [`Measure::Kept`](super::Measure::Kept).
    pub kept: Option<f64>,
    /// Samples of what happened over time.
    pub samples: Vec<Sample>,
    /// Moves of fairflow's windows: second, replica, move.
    pub changes: Vec<(f64, u32, Change)>,
    /// Events that were played.
    pub events: u64,
    /// Sojourn of each success, in seconds, sorted.
    pub(super) sojourns: Vec<f32>,
    /// Service time of each success in the second half, in seconds, sorted.
    pub(super) services: Vec<f32>,
}

/// The state at one instant, and what happened since the one before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Simulated second.
    pub t: f64,
    /// Requests that the provider serves well at once.
    pub capacity: f64,
    /// Limits of all replicas together.
    pub window: f64,
    /// Attempts in flight.
    pub in_flight: f64,
    /// Jobs waiting, backoffs included.
    pub waiting: f64,
    /// Successes per second.
    pub successes: f64,
    /// Refusals and failures per second.
    pub refusals: f64,
    /// Median sojourn of the successes, in seconds; not a number without any.
    pub p50: f64,
    /// Its 99th percentile.
    pub p99: f64,
}

impl Run {
    /// The `q`-quantile (0 to 1) of the sojourn of successes, in seconds, by nearest rank; `None` without any.
    #[must_use]
    pub fn sojourn(&self, q: f64) -> Option<f64> {
        nearest_rank(&self.sojourns, q).map(f64::from)
    }

    /// The `q`-quantile of the service time of successes in the second half, from dispatch to answer, in seconds.
    #[must_use]
    pub fn service(&self, q: f64) -> Option<f64> {
        nearest_rank(&self.services, q).map(f64::from)
    }
}

/// Jain's index of fairness: 1 when all have the same, 1 ÷ n when one has all.
pub(super) fn jain(shares: &[f64]) -> Option<f64> {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    (shares.len() > 1 && squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}
