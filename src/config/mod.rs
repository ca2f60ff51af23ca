//! Configuration: the file as written, checked into what the engine runs on.
//!
//! [`Config`] is the TOML as a tree, every key optional; [`Config::validate`] turns it into [`Settings`] in the terms
//! of core, or says everything that is wrong with it. So core never sees a bad value.

mod accounts;
mod build;
mod cors;
mod delivery;
mod effective;
mod error;
mod headers;
mod queue;
mod rate;
mod read;
mod schema;
mod secret;
mod settings;
mod telemetry;
mod tenancy;
mod tenants;
mod tenants_file;
#[cfg(test)]
mod tests;
mod units;
mod validate;
mod verdicts;

use std::path::Path;

pub use self::cors::CorsConfig;
#[cfg(feature = "gateway")]
pub(crate) use self::delivery::TASKS;
pub use self::delivery::{DeliverySettings, JobsConfig, SocketConfig, WebhookConfig};
pub(crate) use self::error::nearest;
#[cfg(any(feature = "openai", feature = "task"))]
pub(crate) use self::error::shown;
pub use self::error::{ConfigError, Place, Problem};
pub use self::headers::{HeaderSetting, HeaderSource, USER_AGENT};
pub use self::rate::RateConfig;
pub(crate) use self::read::read;
pub use self::schema::{
    AuthMode, Classes, Config, Defaults, GroupConfig, ModelConfig, PollConfig, ProviderConfig, QueueConfig,
    RetryConfig, RouteConfig, ServerConfig, SimConfig, TenantConfig, TierConfig, Transport, WindowConfig,
};
pub use self::secret::{KeyHash, KeySource};
pub use self::settings::{
    Authorities, Endpoint, ModelSettings, PollSettings, Preset, Price, ProviderKind, ProviderSettings, RouteSettings,
    RunwareSettings, Settings, TaskSettings, TenantPolicy, UnknownModels, Upgrade,
};
pub use self::telemetry::{TelemetryConfig, TelemetrySettings};
pub use self::tenancy::{BudgetConfig, ModelNames, PriceConfig, UpgradeConfig};
pub use self::tenants_file::TenantsFrom;
pub use self::units::{Size, Span};
pub(crate) use self::validate::LONGEST_NAME;
pub use self::verdicts::{Texts, VerdictConfig, VerdictRule};

impl Config {
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
            let more: Vec<_> = read::unrelated(found, &problems).collect();
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
