//! The file as it is written: its tables, their keys and defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::delivery::{JobsConfig, SocketConfig, WebhookConfig};
use super::models::{ModelConfig, QueueConfig, RetryConfig, WindowConfig};
use super::problem::{ConfigError, Problem};
use super::providers::{ProviderConfig, SimConfig};
use super::read::{read, unrelated};
use super::server::ServerConfig;
use super::telemetry::TelemetryConfig;
use super::tenants::{GroupConfig, TenantConfig, TierConfig};
use super::units::Span;

/// A whole configuration. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Config {
    /// Listening, authentication and limits of the gateway.
    pub server: ServerConfig,
    /// Provider accounts by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Models by the name callers use.
    pub models: BTreeMap<String, ModelConfig>,
    /// Defaults of models and tenants.
    pub defaults: Defaults,
    /// Named bundles of tenant limits.
    pub tiers: BTreeMap<String, TierConfig>,
    /// Tenants that share as one, by name.
    pub groups: BTreeMap<String, GroupConfig>,
    /// Tenants by name.
    pub tenants: BTreeMap<String, TenantConfig>,
    /// Limits of WebSocket connections.
    pub socket: SocketConfig,
    /// Results that are kept to be asked for.
    pub jobs: JobsConfig,
    /// Results that are posted elsewhere.
    pub webhooks: WebhookConfig,
    /// Traces and metrics that are sent elsewhere.
    pub telemetry: TelemetryConfig,
    /// Names of the tenants that came from `server.tenants_file`; no key of the file.
    #[serde(skip)]
    pub tenants_from: Option<TenantsFrom>,
}

/// `[defaults]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Defaults {
    /// Tier of tenants that name none, and of all in `auth = "open"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Provider for models that are asked for but not configured; left out, those are an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_models: Option<String>,
    /// Bounds of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
    /// Bounds of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// Attempts and backoff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Longest one attempt may take; default 120s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Service time (P90) up to which a model counts as healthy; default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_latency: Option<Span>,
}

/// A separate file of tenants, and the names in it.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantsFrom {
    pub(super) file: PathBuf,
    pub(super) names: BTreeSet<String>,
    /// Whether the file says nothing at all.
    pub(super) is_blank: bool,
}

impl Config {
    /// Begins with nothing but defaults.
    ///
    /// # Examples
    ///
    /// ```
    /// use fairflow::config::{KeySource, ModelConfig, ProviderConfig, TenantConfig, TierConfig};
    /// use fairflow::{Class, Config};
    /// use std::time::Duration;
    ///
    /// let config = Config::new()
    ///     .provider("lab", ProviderConfig::openai("http://127.0.0.1:9300/v1").max_in_flight(256))
    ///     .model("gpt-test", ModelConfig::on("lab").window(1..=256).max_wait(Duration::from_secs(20)))
    ///     .tier("gold", TierConfig::new().weight(4.0).class(Class::Interactive))
    ///     .tenant("acme", TenantConfig::new().tier("gold"));
    /// assert!(config.validate().is_ok());
    /// assert_eq!(Config::from_toml(&config.to_toml()).unwrap(), config);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider account, or replaces it.
    #[must_use]
    pub fn provider(mut self, name: impl Into<String>, provider: ProviderConfig) -> Self {
        self.providers.insert(name.into(), provider);
        self
    }

    /// Adds a model, or replaces it.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>, model: ModelConfig) -> Self {
        self.models.insert(name.into(), model);
        self
    }

    /// Adds a tier, or replaces it.
    #[must_use]
    pub fn tier(mut self, name: impl Into<String>, tier: TierConfig) -> Self {
        self.tiers.insert(name.into(), tier);
        self
    }

    /// Adds a tenant, or replaces it.
    #[must_use]
    pub fn tenant(mut self, name: impl Into<String>, tenant: TenantConfig) -> Self {
        self.tenants.insert(name.into(), tenant);
        self
    }

    /// Writes the configuration as TOML, which [`from_toml`](Self::from_toml) reads as the same. Tenants that came from a
    /// file of their own are written with the others, and that file is named no more.
    ///
    /// A key given as a value is written as `[redacted]`, which [`validate`](Self::validate) refuses: give keys by
    /// environment variable or file where a configuration is to be stored.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut whole = self.clone();
        if whole.tenants_from.take().is_some() {
            whole.server.tenants_file = None;
        }
        toml::to_string(&whole).unwrap_or_else(|error| unreachable!("every key has a TOML form: {error}"))
    }

    /// Reads a configuration file, and the `server.tenants_file` that it names.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`], or [`ConfigError::Invalid`] with every value that cannot be read and what else is
    /// wrong beside it, or where a tenant is in both files.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let (config, mut problems) = read::<Self>(&text, None);
        let Some(mut config) = config else { return Err(ConfigError::Invalid(problems)) };
        if let Some(tenants) = config.tenants_path(path) {
            problems.extend(config.take_tenants(&tenants)?);
        }
        config.unless(problems)
    }

    /// Reads a configuration from TOML.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every value that cannot be read, each with line, key and the nearest known key, and
    /// what else is wrong beside it.
    ///
    /// # Examples
    ///
    /// ```
    /// let error = fairflow::Config::from_toml("[defaults]\nqueue = { capactiy = 5 }").unwrap_err().to_string();
    /// assert!(error.contains("did you mean `capacity`?"), "{error}");
    /// ```
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        match read::<Self>(text, None) {
            (Some(config), problems) => config.unless(problems),
            (None, problems) => Err(ConfigError::Invalid(problems)),
        }
    }

    /// Returns the configuration, unless something in its text could not be read: then what is wrong with the rest is
    /// told too.
    fn unless(self, mut problems: Vec<Problem>) -> Result<Self, ConfigError> {
        if problems.is_empty() {
            return Ok(self);
        }
        if let Err(ConfigError::Invalid(found)) = self.validate() {
            let more: Vec<_> = unrelated(found, &problems).collect();
            problems.extend(more);
        }
        Err(ConfigError::Invalid(problems))
    }

    /// Returns the configuration that `fairflow serve` runs without a file: a simulated provider with a model of each
    /// kind of task.
    #[must_use]
    pub fn demo() -> Self {
        let models = ["sim-text", "sim-image", "sim-upscale", "sim-embedding", "sim-video", "sim-audio", "tasks"];
        let demo = Self::new().provider("sim", ProviderConfig::sim(SimConfig::default()));
        models.into_iter().fold(demo, |demo, name| demo.model(name, ModelConfig::on("sim")))
    }
}
