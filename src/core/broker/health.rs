//! A model's health: throughput, service times and their trend, trouble.

use std::time::Duration;

use super::{Outcome, Time};
use crate::core::estimate::{Ewma, Quantiles, Rate};

/// Relative change of the recent mean service time that counts as a trend.
const TREND: f64 = 1.25;
/// Share of attempts in trouble from which a model is saturated.
const TROUBLE: f64 = 0.2;
/// Weight of the newest service time in the recent mean: the last ten or so count.
const RECENT_GAIN: f64 = 0.1;
/// Weight of the newest service time in the longer mean: the last hundred or so count.
const LONGER_GAIN: f64 = 0.01;
/// Weight of the newest attempt in the share of trouble: the last fifty or so count.
const TROUBLE_GAIN: f64 = 0.02;

/// A model's health in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Latency within `healthy_latency` and not rising.
    Healthy,
    /// Latency above it or rising, or the queue growing.
    Approaching,
    /// Frequent timeouts, or a wait beyond `max_wait`.
    Saturated,
    /// No open route.
    Unavailable,
}

impl Status {
    /// Every status, from the best to the worst.
    pub const ALL: &'static [Self] = &[Self::Healthy, Self::Approaching, Self::Saturated, Self::Unavailable];

    /// Returns the status as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Approaching => "approaching",
            Self::Saturated => "saturated",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The direction in which service times move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trend {
    /// Recent ones are a quarter longer than before.
    Rising,
    /// Neither.
    Steady,
    /// Recent ones are a quarter shorter than before.
    Falling,
}

impl Trend {
    /// Every trend.
    pub const ALL: &'static [Self] = &[Self::Rising, Self::Steady, Self::Falling];

    /// Returns the trend as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rising => "rising",
            Self::Steady => "steady",
            Self::Falling => "falling",
        }
    }
}

/// Service times of a model's successes, in seconds; 0 before the first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceTimes {
    /// Median.
    pub p50: f64,
    /// Ninetieth percentile.
    pub p90: f64,
    /// Ninety-ninth percentile.
    pub p99: f64,
    /// Direction in which they move.
    pub trend: Trend,
}

/// The record of a model's attempts.
#[derive(Debug)]
pub struct ModelHealth {
    throughput: Rate,
    service: Quantiles,
    /// Mean service times in seconds, of the last ten or so and the last hundred or so; `None` before the first.
    means: Option<[Ewma; 2]>,
    /// Share of attempts that timed out or were overloaded, over the last fifty or so.
    trouble: Ewma,
}

impl ModelHealth {
    pub(super) fn new() -> Self {
        let trouble = Ewma::new(0.0, TROUBLE_GAIN);
        Self { throughput: Rate::default(), service: Quantiles::new(), means: None, trouble }
    }

    /// Records an attempt.
    pub(super) fn observe(&mut self, now: Time, outcome: Outcome, service: Duration) {
        let seconds = service.as_secs_f64();
        match outcome {
            Outcome::Success => {
                self.throughput.record(now);
                self.service.record(seconds);
                let begin = || [RECENT_GAIN, LONGER_GAIN].map(|gain| Ewma::new(seconds, gain));
                for mean in self.means.get_or_insert_with(begin) {
                    mean.add(seconds);
                }
                self.trouble.add(0.0);
            }
            Outcome::Overloaded => self.trouble.add(1.0),
            _ => {}
        }
    }

    /// Returns successes per second, with two decimals.
    #[must_use]
    pub fn throughput(&self, now: Time) -> f64 {
        (self.throughput.per_second(now) * 100.0).round() / 100.0
    }

    /// Returns the service times of successes.
    #[must_use]
    pub fn service_times(&self) -> ServiceTimes {
        let of = |q| self.service.quantile(q).unwrap_or(0.0);
        ServiceTimes { p50: of(0.5), p90: of(0.9), p99: of(0.99), trend: self.trend() }
    }

    fn trend(&self) -> Trend {
        let [recent, longer] = self.means.map_or([0.0; 2], |means| means.map(|mean| mean.value()));
        if recent > longer * TREND {
            Trend::Rising
        } else if recent * TREND < longer {
            Trend::Falling
        } else {
            Trend::Steady
        }
    }

    /// Says how the model is: `open` is whether a route can be used, `late` whether the wait exceeds what is allowed.
    pub(super) fn status(&self, open: bool, late: bool, healthy: Duration) -> Status {
        if !open {
            Status::Unavailable
        } else if self.trouble.value() > TROUBLE || late {
            Status::Saturated
        } else if self.trend() == Trend::Rising || self.service_times().p90 > healthy.as_secs_f64() {
            Status::Approaching
        } else {
            Status::Healthy
        }
    }
}
