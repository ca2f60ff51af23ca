//! Why an engine did not start.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::contract::provider::ProviderError;

/// Why an engine did not start, or did not take a new configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The client of a provider account cannot be set up.
    #[error("providers.{account:?}: {source}")]
    Provider {
        /// The account, as the configuration names it.
        account: Arc<str>,
        /// Error of the factory: what is missing or wrong.
        source: ProviderError,
    },
    /// The engine's thread could not be started, or has stopped.
    #[error("the scheduler's thread is not running: {0}")]
    Thread(String),
}
