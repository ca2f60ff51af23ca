//! Why an engine did not start.

use crate::config::ConfigError;

/// Why an engine did not start, or did not take a new configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A provider cannot be set up, or the change needs a restart.
    #[error("{0}")]
    Refused(String),
    /// The engine's thread could not be started, or has stopped.
    #[error("the scheduler's thread is not running: {0}")]
    Thread(String),
}
