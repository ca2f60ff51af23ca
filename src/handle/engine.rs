//! State that all clones of a handle share.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actor::running::Running;
use crate::config::{Config, ConfigError, ProviderConfig, Settings};
use crate::contract::provider::Provider;
use crate::engine::shared::registry::Shared;

/// Clients that the embedder brings, by the names of their accounts.
pub(super) type Clients = BTreeMap<String, Arc<dyn Provider>>;

/// A running engine.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) running: Running,
    /// Accounts whose clients the embedder gave.
    pub(super) own: Clients,
}

/// Adds the accounts of `own` that the configuration does not name, and validates.
pub(super) fn complete(mut config: Config, own: &Clients) -> Result<Arc<Settings>, ConfigError> {
    for name in own.keys() {
        config.providers.entry(name.clone()).or_insert_with(ProviderConfig::custom);
    }
    config.validate().map(Arc::new)
}
