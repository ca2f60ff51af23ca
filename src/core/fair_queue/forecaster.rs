//! How long a request will wait: the work before it, over the rate at which work leaves.

use std::time::Duration;

use super::counts::Counts;
use crate::core::cost::Cost;
use crate::core::estimate::{DrainRate, Follower, Forecast, ServicePace};
use crate::core::time::Time;

/// Least factor by which the median of a forecast is corrected. A ratio outside these four bounds belongs to a prediction
/// made in another situation (the first of a burst), and believing it would refuse everybody: requests that are refused
/// never wait, so the error would never heal.
const LEAST_P50: f64 = 0.5;
/// Largest factor by which the median of a forecast is corrected.
const LARGEST_P50: f64 = 2.0;
/// Least factor by which the P90 of a forecast is corrected.
const LEAST_P90: f64 = 1.0;
/// Largest factor by which the P90 of a forecast is corrected.
const LARGEST_P90: f64 = 4.0;
/// Ratio of actual to predicted wait assumed for the P90 before any was seen.
const UNTRIED_P90: f64 = 2.0;
/// Time to retry after that is stated while nothing is known of the drain rate.
const UNKNOWN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest time to retry after that is stated, seconds.
const LONGEST_RETRY_AFTER: f64 = 3_600.0;

/// The rates that turn work into waits, and how waits turned out relative to what was predicted.
#[derive(Debug, Clone)]
pub(super) struct Forecaster {
    drain: DrainRate,
    pace: ServicePace,
    p50: Follower,
    p90: Follower,
}

impl Forecaster {
    pub(super) fn new() -> Self {
        Self {
            drain: DrainRate::default(),
            pace: ServicePace::default(),
            p50: Follower::new(0.5, 1.0),
            p90: Follower::new(0.9, UNTRIED_P90),
        }
    }

    /// Moves the measurement to `now`; `backlogged` says whether a job waits from here on that could go.
    pub(super) fn advance(&mut self, now: Time, backlogged: bool) {
        self.drain.advance(now, backlogged);
    }

    /// Learns from a dispatch, of a job that was `predicted` to wait so many seconds; 0 where it was not.
    pub(super) fn dispatched(&mut self, cost: Cost, waited: Duration, predicted: f64) {
        if predicted > 0.0 {
            let ratio = waited.as_secs_f64() / predicted;
            self.p50.record(ratio);
            self.p90.record(ratio);
        }
        self.drain.dispatched(f64::from(cost.units()));
    }

    /// Learns from a job that held its slot for so many seconds and was worth `cost`.
    pub(super) fn completed(&mut self, seconds: f64, cost: Cost) {
        self.pace.record(seconds, f64::from(cost.units()));
    }

    /// Returns the seconds that a job of `cost` is expected to hold a slot; `None` before the first completion.
    pub(super) fn service(&self, cost: Cost) -> Option<f64> {
        self.pace.expected(f64::from(cost.units()))
    }

    /// Returns the mean seconds that a job holds a slot; `None` before the first completion.
    pub(super) fn mean_service(&self) -> Option<f64> {
        self.pace.mean()
    }

    /// Returns the work, in units, that was kept from a slot by a job of `cost` that held it for too long.
    pub(super) fn overstayed(&self, seconds: f64, cost: Cost) -> f64 {
        self.pace.overstayed(seconds, f64::from(cost.units()))
    }

    /// Returns jobs per second while something waits; `None` while too little was seen.
    pub(super) fn jobs_per_second(&self) -> Option<f64> {
        self.drain.jobs_per_second()
    }

    /// Returns how long it takes until so many jobs have left, as a time to retry after.
    pub(super) fn drains_in(&self, jobs: f64) -> Duration {
        let seconds = self.drain.jobs_per_second().filter(|rate| *rate > 0.0).map(|rate| jobs / rate);
        seconds.map_or(UNKNOWN_RETRY_AFTER, |seconds| Duration::from_secs_f64(seconds.min(LONGEST_RETRY_AFTER)))
    }

    /// Returns the seconds it takes to start all of `work` and another job, which needs a slot that ends, too; `None`
    /// while the drain rate is unknown.
    pub(super) fn seconds(&self, work: f64, counts: &Counts) -> Option<f64> {
        let rate = self.drain.work_per_second().filter(|rate| *rate > 0.0)?;
        Some((work.min(counts.waiting_cost() as f64) + counts.mean_cost()) / rate)
    }

    /// Corrects a predicted wait, in seconds, by how earlier ones turned out.
    pub(super) fn correct(&self, raw: f64) -> Forecast {
        let p50 = raw * self.p50.value().clamp(LEAST_P50, LARGEST_P50);
        Forecast { p50, p90: (raw * self.p90.value().clamp(LEAST_P90, LARGEST_P90)).max(p50) }
    }

    /// Returns the P90 of a predicted wait, in seconds, as far ahead as the drain rate tells.
    pub(super) fn certain_p90(&self, raw: f64) -> f64 {
        self.correct(raw).p90.min(self.drain.reach())
    }
}
