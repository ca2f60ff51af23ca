//! What an engine has learned of its routes, to begin with after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::handle::{Builder, Fairflow};

/// Learned windows by model. Routes are known by their provider and the model's name there, so that a changed
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Learned {
    /// Windows of each model's routes.
    pub models: BTreeMap<String, Vec<LearnedRoute>>,
    /// What tenants have spent, of those whose tier has a budget or a tier above it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenants: BTreeMap<String, LearnedTenant>,
}

/// What one tenant has spent. Days are counted from 1970 in UTC, money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What was learned of one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedRoute {
    /// Provider account.
    pub provider: String,
    /// The model's name there.
    pub model: String,
    /// Requests it may have in flight, at least 1.
    pub window: u32,
}

impl Learned {
    /// Returns the window of a route, if one was learned.
    pub(super) fn window(&self, model: &str, provider: &str, upstream: &str) -> Option<u32> {
        let routes = self.models.get(model)?;
        let route = routes.iter().find(|route| route.provider == provider && route.model == upstream)?;
        Some(route.window).filter(|window| *window > 0)
    }
}

impl Fairflow {
    /// Returns what was learned so far, and what tenants have spent; a window that stands where a cold one begins says nothing and is left out.
    #[must_use]
    pub fn learned(&self) -> Learned {
        let mut models = BTreeMap::new();
        for model in self.engine.shared.all_models() {
            let initial = model.settings().window.initial;
            let capacity = model.capacity.borrow();
            let routes = capacity.routes.iter().filter(|route| route.window > 0 && route.window != initial);
            let routes: Vec<_> = routes
                .map(|route| LearnedRoute {
                    provider: route.provider.to_string(),
                    model: route.model.to_string(),
                    window: route.window,
                })
                .collect();
            if !routes.is_empty() {
                models.insert(model.name.to_string(), routes);
            }
        }
        let shared = &self.engine.shared;
        Learned { models, tenants: shared.ledger.keep(&shared.settings()) }
    }
}

impl Builder {
    /// Begins with what an earlier engine has [learned](Fairflow::learned), instead of cold: such a window is held, and
    /// confirmed by one request more.
    #[must_use]
    pub fn remember(mut self, learned: Learned) -> Self {
        self.learned = Arc::new(learned);
        self
    }
}
