//! How a model is doing: throughput, service times and their trend, trouble.

use std::time::Duration;

use super::capacity::{Millis, Processing, Status, Trend};
use crate::core::estimate::{Quantiles, Rate};
use crate::core::outcome::Outcome;
use crate::core::time::Time;

/// Relative change of the recent mean service time that counts as a trend.
const TREND: f64 = 1.25;
/// Share of attempts in trouble from which a model is saturated.
const TROUBLE: f64 = 0.2;

/// What is observed of a model's attempts.
#[derive(Debug)]
pub(crate) struct Pulse {
    throughput: Rate,
    service: Quantiles,
    /// Mean service time in seconds, of the last ten or so and the last hundred or so.
    recent: f64,
    longer: f64,
    /// Share of attempts that timed out or were overloaded, over the last fifty or so.
    trouble: f64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { throughput: Rate::default(), service: Quantiles::new(), recent: 0.0, longer: 0.0, trouble: 0.0 }
    }

    pub(crate) fn observe(&mut self, now: Time, outcome: Outcome, service: Duration) {
        let seconds = service.as_secs_f64();
        let ewma = |mean: &mut f64, weight: f64, value: f64| *mean += weight * (value - *mean);
        match outcome {
            Outcome::Success => {
                self.throughput.record(now);
                self.service.record(seconds);
                if self.longer == 0.0 {
                    (self.recent, self.longer) = (seconds, seconds);
                }
                ewma(&mut self.recent, 0.1, seconds);
                ewma(&mut self.longer, 0.01, seconds);
                ewma(&mut self.trouble, 0.02, 0.0);
            }
            Outcome::Overloaded => ewma(&mut self.trouble, 0.02, 1.0),
            _ => {}
        }
    }

    /// Returns successes per second, with two decimals.
    pub(crate) fn throughput(&self, now: Time) -> f64 {
        (self.throughput.per_second(now) * 100.0).round() / 100.0
    }

    fn quantiles(&self) -> (f64, f64) {
        (self.service.quantile(0.5).unwrap_or(0.0), self.service.quantile(0.9).unwrap_or(0.0))
    }

    fn trend(&self) -> Trend {
        if self.recent > self.longer * TREND {
            Trend::Rising
        } else if self.recent * TREND < self.longer {
            Trend::Falling
        } else {
            Trend::Steady
        }
    }

    pub(crate) fn processing(&self) -> Processing {
        let (p50, p90) = self.quantiles();
        let Millis { p50, p90 } = Millis::from_seconds(p50, p90);
        let p99 = Millis::from_seconds(self.service.quantile(0.99).unwrap_or(0.0), 0.0).p50;
        Processing { p50, p90, p99, trend: self.trend() }
    }

    /// Says how the model is: `open` is whether a route can be used, `late` whether the wait exceeds what is allowed.
    pub(crate) fn status(&self, open: bool, late: bool, healthy: Duration) -> Status {
        if !open {
            Status::Unavailable
        } else if self.trouble > TROUBLE || late {
            Status::Saturated
        } else if self.trend() == Trend::Rising || self.quantiles().1 > healthy.as_secs_f64() {
            Status::Approaching
        } else {
            Status::Healthy
        }
    }
}
