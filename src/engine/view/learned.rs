//! State that an engine has learned of its routes, to begin with after a restart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::route::Memory;

/// Learned windows and rates by model. Routes are known by their provider and the model's name there, so that a changed
/// configuration takes over what still applies.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fairflow::{Config, Fairflow};
///
/// let before = Fairflow::builder(Config::demo()).start().await?;
/// let learned = before.learned();
/// let after = Fairflow::builder(Config::demo()).remember(learned).start().await?;
/// # drop(after);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Learned {
    /// Routes by model.
    pub models: BTreeMap<String, Vec<LearnedRoute>>,
    /// Spending of the tenants whose tier has a budget or a tier above it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, LearnedTenant>,
    /// Cost that a unit of predicted work has lately had on each model, in US dollars, 0 or more: what is set aside for
    /// the first requests where no price is configured.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, f64>,
}

/// Spending of a tenant. Days are counted from 1970 in UTC, money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LearnedTenant {
    /// Day of its first request.
    pub first_day: u64,
    /// Day that `day_micros` belongs to.
    pub day: u64,
    /// Money spent on that day.
    pub day_micros: u64,
    /// Money spent in all.
    pub total_micros: u64,
    /// Requests answered in all.
    pub requests: u64,
}

/// State that was learned of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LearnedRoute {
    /// Provider account.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// Requests it may have in flight, at least 1; nothing where it stood where a cold one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// Requests per second at which the provider refused last, above 0, where refusals told a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
}

impl Learned {
    /// Returns what was learned of a route.
    pub(crate) fn memory(&self, model: &str, provider: &str, upstream: &str) -> Memory {
        let routes = self.models.get(model).into_iter().flatten();
        let mut here = routes.filter(|route| route.provider == provider && route.model == upstream);
        here.next().map_or_else(Memory::default, |route| Memory { window: route.window, rate: route.rate })
    }
}
