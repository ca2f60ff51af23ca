//! The figures that a scenario of fairness expects.

use serde::Deserialize;

use crate::sim::read::Bad;

/// A figure of a played scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[non_exhaustive]
pub enum Figure {
    /// The largest difference of the work granted by weight, between tenants that both wait, since they began to.
    #[serde(rename = "gap")]
    Gap,
    /// The same of the work done.
    #[serde(rename = "gap as done")]
    GapAsDone,
    /// Work done for the first tenant ÷ that for the second.
    #[serde(rename = "ratio")]
    Ratio,
    /// Work done for a tenant, in units.
    #[serde(rename = "served")]
    Served,
    /// The tenant's part of all work done.
    #[serde(rename = "share")]
    Share,
    /// Mean slots in use by a tenant.
    #[serde(rename = "in flight")]
    InFlight,
    /// The longest wait in the queue, in seconds, of a tenant or of all.
    #[serde(rename = "longest wait")]
    LongestWait,
    /// The mean wait in the queue, in seconds, of a tenant or of all.
    #[serde(rename = "mean wait")]
    MeanWait,
    /// Jobs dispatched, of a tenant or of all.
    #[serde(rename = "dispatched")]
    Dispatched,
    /// The part of the slots that was in use while a job could have run.
    #[serde(rename = "use")]
    Use,
    /// Times at which a reservation was due.
    #[serde(rename = "reservation windows")]
    ReservationWindows,
    /// Those at which it was served later than one residual job.
    #[serde(rename = "reservation misses")]
    ReservationMisses,
    /// Jobs that waited longer than they may.
    #[serde(rename = "expired")]
    Expired,
    /// Jobs that were not admitted.
    #[serde(rename = "refused")]
    Refused,
}

impl Figure {
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
