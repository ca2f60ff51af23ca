//! The figures that a scenario of fairness expects.

use serde::{Deserialize, Deserializer};

use crate::sim::read::Bad;

/// A figure of a played scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Figure {
    /// The largest difference of the work granted by weight, between tenants that both wait, since they began to.
    Gap,
    /// The largest difference of the work done by weight, between tenants that both wait, since they began to.
    GapAsDone,
    /// Work done for the first tenant ÷ that for the second.
    Ratio,
    /// Work done for a tenant, in units.
    Served,
    /// The tenant's part of all work done.
    Share,
    /// Mean slots in use by a tenant.
    InFlight,
    /// The longest wait in the queue, in seconds, of a tenant or of all.
    LongestWait,
    /// The mean wait in the queue, in seconds, of a tenant or of all.
    MeanWait,
    /// Jobs dispatched, of a tenant or of all.
    Dispatched,
    /// The part of the slots that was in use while a job could have run.
    Use,
    /// Times at which a reservation was due.
    ReservationWindows,
    /// Times at which a due reservation was served later than one residual job.
    ReservationMisses,
    /// Jobs that waited longer than they may.
    Expired,
    /// Jobs that were not admitted.
    Refused,
}

impl Figure {
    /// Every figure.
    pub const ALL: &'static [Self] = &[
        Self::Gap,
        Self::GapAsDone,
        Self::Ratio,
        Self::Served,
        Self::Share,
        Self::InFlight,
        Self::LongestWait,
        Self::MeanWait,
        Self::Dispatched,
        Self::Use,
        Self::ReservationWindows,
        Self::ReservationMisses,
        Self::Expired,
        Self::Refused,
    ];

    /// Returns the name that scenarios give it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::GapAsDone => "gap as done",
            Self::Ratio => "ratio",
            Self::Served => "served",
            Self::Share => "share",
            Self::InFlight => "in flight",
            Self::LongestWait => "longest wait",
            Self::MeanWait => "mean wait",
            Self::Dispatched => "dispatched",
            Self::Use => "use",
            Self::ReservationWindows => "reservation windows",
            Self::ReservationMisses => "reservation misses",
            Self::Expired => "expired",
            Self::Refused => "refused",
        }
    }

    /// Returns the least and the most tenants that it is of.
    const fn tenants(self) -> (usize, usize) {
        match self {
            Self::Gap | Self::GapAsDone => (2, usize::MAX),
            Self::Ratio => (2, 2),
            Self::Served | Self::Share | Self::InFlight => (1, 1),
            Self::LongestWait | Self::MeanWait | Self::Dispatched => (0, 1),
            Self::Use | Self::ReservationWindows | Self::ReservationMisses | Self::Expired | Self::Refused => (0, 0),
        }
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = || {
            let known: Vec<&str> = Self::ALL.iter().map(|figure| figure.as_str()).collect();
            serde::de::Error::custom(format_args!("{name:?} is no figure; say one of {}", known.join(", ")))
        };
        Self::ALL.iter().copied().find(|figure| figure.as_str() == name).ok_or_else(unknown)
    }
}

/// A figure with its bounds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// The figure.
    pub measure: Figure,
    /// The tenants that it is of.
    #[serde(default)]
    pub of: Vec<String>,
    /// The first second that counts; default 0.
    #[serde(default)]
    pub from: f64,
    /// The last second that counts; default the end.
    pub until: Option<f64>,
    /// The least that is expected; default no bound.
    pub min: Option<f64>,
    /// The most that is expected; default no bound.
    pub max: Option<f64>,
    /// The figure that others reached, in words.
    #[serde(default)]
    pub published: String,
}

impl Expect {
    /// Says whether a figure that came is within the bounds.
    #[must_use]
    pub fn is_met(&self, figure: f64) -> bool {
        (self.min.unwrap_or(f64::MIN)..=self.max.unwrap_or(f64::MAX)).contains(&figure)
    }

    pub(super) fn problem(&self, tenants: &[String]) -> Option<Bad> {
        let (least, most) = self.measure.tenants();
        if let Some(unknown) = self.of.iter().find(|name| !tenants.contains(name)) {
            return Some(Bad::new("of", format!("{unknown:?}"), "name a tenant of a client"));
        }
        if !(least..=most).contains(&self.of.len()) {
            let remedy = if least == most { format!("name {least} tenants") } else { format!("name {least} or more") };
            return Some(Bad::new("of", format!("{:?}", self.of), remedy));
        }
        if self.min.is_none() && self.max.is_none() {
            return Some(Bad::new("min", "missing, and max too", "give at least one of them"));
        }
        None
    }
}
