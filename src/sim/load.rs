//! A load says what is asked of the provider.

use std::time::Duration;

use serde::Deserialize;

use super::read::Bad;
use super::steps::Steps;

/// A load says who asks, and when.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Load {
    /// Each client waits for its answer, thinks, and asks again.
    Closed {
        /// How many.
        clients: u32,
        /// Seconds between an answer and the next request; default 0.
        #[serde(default)]
        think: f64,
    },
    /// Requests arrive independently of each other.
    Poisson {
        /// Requests per second.
        rate: Steps,
    },
    /// Poisson in stretches, with silence between them.
    OnOff {
        /// Requests per second while on.
        rate: f64,
        /// Mean length of a stretch, in seconds.
        on: f64,
        /// Mean length of a silence, in seconds.
        off: f64,
    },
    /// Recorded arrivals; they are given by whoever plays the scenario.
    #[serde(skip)]
    Arrivals(Vec<Arrival>),
}

/// An arrival is a recorded request.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// When, counted from the first.
    pub at: Duration,
    /// The tenant that asked.
    pub tenant: String,
    /// Its size relative to the mean, above 0: service time is in proportion to it.
    pub size: f64,
}

impl Load {
    /// Returns the first value that is out of range.
    pub(super) fn problem(&self) -> Option<Bad> {
        let positive = |field, value: f64| {
            let bad = !value.is_finite() || value <= 0.0;
            bad.then(|| Bad::new(field, value, "give a number above 0"))
        };
        match self {
            Self::Closed { clients: 0, .. } => Some(Bad::new("load.clients", 0, "give at least one client")),
            Self::Closed { think, .. } if !think.is_finite() || *think < 0.0 => {
                Some(Bad::new("load.think", think, "give seconds, at least 0"))
            }
            Self::Closed { .. } => None,
            Self::Poisson { rate } => rate.problem(0.0).map(|remedy| Bad::new("load.rate", "no schedule", remedy)),
            Self::OnOff { rate, on, off } => {
                positive("load.rate", *rate).or_else(|| positive("load.on", *on)).or_else(|| positive("load.off", *off))
            }
            Self::Arrivals(arrivals) if arrivals.is_empty() => {
                Some(Bad::new("load", "a trace without arrivals", "give a trace that holds some"))
            }
            Self::Arrivals(_) => None,
        }
    }
}
