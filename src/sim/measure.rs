//! A measure says what is measured of a run, and how it is written.

use serde::Deserialize;

use super::run::Run;

/// A measure names a figure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measure {
    /// Work delivered ÷ that of the oracle with the same jobs.
    Goodput,
    /// Attempts refused with a 429 of either kind, per success.
    Refusals,
    /// Jain's index of the work of replicas, where there are several; else of routes; else of tenants.
    Jain,
    /// Median time from a job's creation to its success, retries included, in seconds.
    SojournP50,
    /// Its 99th percentile, in seconds.
    SojournP99,
    /// Median time from dispatch to answer of the successes in the second half, in seconds.
    ServiceP50,
    /// Mean attempts in flight.
    InFlight,
    /// Mean attempts in flight in the second half.
    Settled,
    /// Decreases of a window per overload event.
    Cuts,
    /// Attempts sent before the end of a retry-after that had been stated.
    InsideRetryAfter,
    /// Attempts sent while the provider was down, its first second left out.
    Probes,
    /// Mean service times from the end of an outage to 90 % of capacity.
    Back,
    /// Mean service times from the start to 90 % of capacity.
    Cold,
    /// Mean window while the provider is slow ÷ that before.
    Kept,
    /// Part of the jobs that never succeeded.
    Lost,
}

impl Measure {
    /// Every measure, in the order of tables.
    pub const ALL: &'static [Self] = &[
        Self::Goodput,
        Self::Refusals,
        Self::Jain,
        Self::SojournP50,
        Self::SojournP99,
        Self::ServiceP50,
        Self::InFlight,
        Self::Settled,
        Self::Cuts,
        Self::InsideRetryAfter,
        Self::Probes,
        Self::Back,
        Self::Cold,
        Self::Kept,
        Self::Lost,
    ];

    /// The heading of its column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput ÷ oracle",
            Self::Refusals => "refusals per success",
            Self::Jain => "Jain",
            Self::SojournP50 => "sojourn P50, s",
            Self::SojournP99 => "sojourn P99, s",
            Self::ServiceP50 => "service P50, s",
            Self::InFlight => "in flight",
            Self::Settled => "in flight, second half",
            Self::Cuts => "cuts per overload",
            Self::InsideRetryAfter => "inside retry-after",
            Self::Probes => "sent while down",
            Self::Back => "back after, round trips",
            Self::Cold => "cold start, round trips",
            Self::Kept => "window kept",
            Self::Lost => "lost",
        }
    }

    /// Decimals that mean something.
    #[must_use]
    pub const fn decimals(self) -> usize {
        match self {
            Self::Goodput | Self::Jain | Self::Lost => 3,
            Self::Refusals => 4,
            Self::Kept | Self::Cuts => 2,
            Self::SojournP50
            | Self::SojournP99
            | Self::ServiceP50
            | Self::InFlight
            | Self::Settled
            | Self::Back
            | Self::Cold => 1,
            Self::InsideRetryAfter | Self::Probes => 0,
        }
    }

    /// Its value in a run, `oracle` being the oracle's run with the same seed; `None` where it does not apply.
    #[must_use]
    pub fn of(self, run: &Run, oracle: &Run) -> Option<f64> {
        let per_success = |count: u64| count as f64 / run.successes.max(1) as f64;
        match self {
            Self::Goodput => (oracle.delivered > 0.0).then(|| run.delivered / oracle.delivered),
            Self::Refusals => Some(per_success(run.throttled + run.rate_limited)),
            Self::Jain => run.jain,
            Self::SojournP50 => run.sojourn(0.5),
            Self::SojournP99 => run.sojourn(0.99),
            Self::ServiceP50 => run.service(0.5),
            Self::InFlight => Some(run.in_flight),
            Self::Settled => Some(run.settled),
            Self::Cuts => run.cuts,
            Self::InsideRetryAfter => Some(run.inside_retry_after as f64),
            Self::Probes => run.probes.map(|probes| probes as f64),
            Self::Back => run.back,
            Self::Cold => run.cold,
            Self::Kept => run.kept,
            Self::Lost => Some(run.lost as f64 / (run.lost + run.successes).max(1) as f64),
        }
    }
}
