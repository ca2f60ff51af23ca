//! The keys of a tier and of a tenant, set in code; each method is named as its key.

use super::file::{BudgetConfig, TenantConfig, TierConfig, UpgradeConfig};
use crate::config::secret::KeyHash;
use crate::core::fair_queue::Class;

impl TierConfig {
    /// Begins with weight 1, class standard and no caps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the share relative to others, 0.001 to 1000; default 1.
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sets the most urgent class its tenants may ask for, and the one they get by default; default standard.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = Some(class.as_str().to_owned());
        self
    }

    /// Sets the most requests in flight per tenant and model; default no limit.
    #[must_use]
    pub fn max_in_flight(mut self, requests: u32) -> Self {
        self.max_in_flight = Some(requests);
        self
    }

    /// Sets the most requests waiting per tenant and model; default no limit.
    #[must_use]
    pub fn max_queued(mut self, requests: u32) -> Self {
        self.max_queued = Some(requests);
        self
    }

    /// Names the models its tenants may use, each exact or with a `*` at its end; default all.
    #[must_use]
    pub fn models<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.models = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the US dollars that each of its tenants may spend per UTC day; default no limit.
    #[must_use]
    pub fn dollars_per_day(mut self, dollars: f64) -> Self {
        self.budget = Some(BudgetConfig { dollars_per_day: dollars });
        self
    }

    /// Says where its tenants go by what they have used; default nowhere.
    #[must_use]
    pub fn upgrade(mut self, upgrade: UpgradeConfig) -> Self {
        self.upgrade = Some(upgrade);
        self
    }
}

impl TenantConfig {
    /// Begins with the default tier and no keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Names its tier; default that of `[defaults]`.
    #[must_use]
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// Adds an API key of the gateway by its hash.
    #[must_use]
    pub fn api_key(mut self, key: KeyHash) -> Self {
        self.api_keys.push(key);
        self
    }

    /// Names the models it may use, in place of its tier's.
    #[must_use]
    pub fn models<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.models = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the US dollars that it may spend per UTC day, in place of its tier's.
    #[must_use]
    pub fn dollars_per_day(mut self, dollars: f64) -> Self {
        self.budget = Some(BudgetConfig { dollars_per_day: dollars });
        self
    }

    /// Reserves slots of a model.
    #[must_use]
    pub fn reserve(mut self, model: impl Into<String>, slots: u32) -> Self {
        self.reserve.insert(model.into(), slots);
        self
    }
}
