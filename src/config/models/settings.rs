//! A model that was found valid.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::price::Price;
use crate::config::tenants::TenantPolicy;
use crate::core::broker::BrokerConfig;
use crate::core::fair_queue::{QueueLimits, TenantLimits};
use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

/// A model, found valid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelSettings {
    /// The name callers use.
    pub name: Arc<str>,
    /// Where it can be had.
    pub routes: Vec<RouteSettings>,
    /// Bounds of the queue.
    pub queue: QueueLimits,
    /// Limits of the tenants that have slots reserved here, as they begin.
    pub reserve: BTreeMap<Arc<str>, TenantLimits>,
    /// Longest wait before dispatch.
    pub max_wait: Duration,
    /// Bounds of each route's window.
    pub window: WindowConfig,
    /// Attempts in all, at least 1.
    pub max_attempts: u32,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Retries per request.
    pub retry_budget: f64,
    /// Whether work that the provider may have taken already is sent again.
    pub resubmit: bool,
    /// Longest one attempt may take.
    pub timeout: Duration,
    /// Service time (P90) up to which the model counts as healthy.
    pub healthy_latency: Duration,
    /// Price of an answer whose provider does not state one.
    pub price: Option<Price>,
    /// Whether nothing is dispatched: an operator's doing, no key of the file.
    pub paused: bool,
}

impl ModelSettings {
    /// Returns what the model's broker needs of these settings.
    #[must_use]
    pub fn broker(&self) -> BrokerConfig {
        BrokerConfig {
            queue: self.queue,
            reserve: self.reserve.clone(),
            retry_budget: self.retry_budget,
            max_wait: self.max_wait,
            healthy_latency: self.healthy_latency,
        }
    }

    /// Returns a tenant's limits here: those of its policy, with its reservation, if it has one.
    #[must_use]
    pub fn limits(&self, tenant: &str, policy: &TenantPolicy) -> TenantLimits {
        let reserve = self.reserve.get(tenant).map_or(policy.limits.reserve, |own| own.reserve);
        TenantLimits { reserve, ..policy.limits }
    }
}

/// A route: one way to reach a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteSettings {
    /// Provider account.
    pub provider: Arc<str>,
    /// The model's name there.
    pub model: Arc<str>,
}

/// Settings of models that are asked for but not configured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnknownModels {
    /// Where they go.
    pub provider: Arc<str>,
    /// Everything else, with no routes.
    pub template: ModelSettings,
}

impl UnknownModels {
    /// Returns the settings of a model of that name.
    #[must_use]
    pub fn model(&self, name: &Arc<str>) -> ModelSettings {
        let route = RouteSettings { provider: self.provider.clone(), model: name.clone() };
        ModelSettings { name: name.clone(), routes: vec![route], ..self.template.clone() }
    }
}
