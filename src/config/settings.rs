//! A configuration that was found valid, in the terms of core.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use secrecy::SecretString;

use super::delivery::DeliverySettings;
use super::models::{ModelSettings, UnknownModels};
use super::providers::ProviderSettings;
use super::secret::KeyHash;
use super::server::ServerConfig;
use super::telemetry::TelemetrySettings;
use super::tenants::TenantPolicy;

/// Settings that the engine runs on; made by [`Config::validate`](super::Config::validate).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The gateway's own keys.
    pub server: ServerConfig,
    /// Key of the admin port, read.
    pub admin_key: Option<SecretString>,
    /// How results are delivered later or elsewhere.
    pub delivery: DeliverySettings,
    /// Where traces and metrics are sent.
    pub telemetry: TelemetrySettings,
    /// Provider accounts.
    pub providers: BTreeMap<Arc<str>, ProviderSettings>,
    /// Models by the name callers use.
    pub models: BTreeMap<Arc<str>, Arc<ModelSettings>>,
    /// Settings of models that are not configured; `None` where only configured models may be used.
    pub unknown_models: Option<UnknownModels>,
    /// Policy of tenants that are not named.
    pub default_policy: Arc<TenantPolicy>,
    /// Policies of those that are.
    pub tenants: HashMap<Arc<str>, Arc<TenantPolicy>>,
    /// Tenants by the hashes of their keys.
    pub keys: HashMap<KeyHash, Arc<str>>,
}

impl Settings {
    /// Returns the policy that a tenant begins with; what it has used may have brought it to a
    /// [higher one](TenantPolicy::after).
    #[must_use]
    pub fn policy(&self, tenant: &str) -> &Arc<TenantPolicy> {
        self.tenants.get(tenant).unwrap_or(&self.default_policy)
    }
}
