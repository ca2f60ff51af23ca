//! Configuration: the file as written, checked into what the engine runs on.
//!
//! [`Config`] is the TOML as a tree, every key optional; [`Config::validate`] turns it into [`Settings`] in the terms
//! of core, or says everything that is wrong with it. So core never sees a bad value.

mod check;
mod cors;
mod delivery;
mod effective;
mod file;
mod models;
mod problem;
mod providers;
mod read;
mod secret;
mod server;
mod settings;
mod telemetry;
mod tenants;
#[cfg(test)]
mod tests;
mod units;
mod validate;

pub(crate) use self::check::LONGEST_NAME;
pub use self::cors::CorsConfig;
#[cfg(feature = "gateway")]
pub(crate) use self::delivery::TASKS;
pub use self::delivery::{DeliverySettings, JobsConfig, SocketConfig, WebhookConfig};
pub use self::file::{Config, Defaults, TenantsFrom};
pub use self::models::{
    Classes, ModelConfig, ModelSettings, Price, PriceConfig, QueueConfig, RetryConfig, RouteConfig, RouteSettings,
    UnknownModels, WindowConfig,
};
pub use self::problem::{ConfigError, Place, Problem};
pub use self::providers::{
    Authorities, Endpoint, HeaderSetting, HeaderSource, PollConfig, PollSettings, Preset, ProviderConfig, ProviderKind,
    ProviderSettings, RateConfig, RunwareSettings, SimConfig, TaskSettings, Texts, Transport, USER_AGENT,
    VerdictConfig, VerdictRule,
};
#[cfg(feature = "simulator")]
pub(crate) use self::read::read;
pub use self::secret::{KeyError, KeyHash, KeySource};
pub use self::server::{AuthMode, ServerConfig};
pub use self::settings::Settings;
pub use self::telemetry::{TelemetryConfig, TelemetrySettings};
pub use self::tenants::{
    BudgetConfig, GroupConfig, ModelNames, TenantConfig, TenantPolicy, TierConfig, Upgrade, UpgradeConfig,
};
pub use self::units::{Size, Span};
