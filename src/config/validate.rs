//! From what is written to what may run: every problem found, none of them fatal to finding the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::check::Check;
use super::delivery::{self, TASKS};
use super::file::Config;
use super::models::{self, ModelConfig, ModelSettings, RouteConfig, UnknownModels};
use super::problem::ConfigError;
use super::providers::{self, ProviderSettings};
use super::secret::KeyHash;
use super::server::{self, AuthMode};
use super::settings::Settings;
use super::telemetry;
use super::tenants;

impl Config {
    /// Checks every value and turns the configuration into what the engine runs on.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every problem, each naming the key, the value and the remedy.
    pub fn validate(&self) -> Result<Settings, ConfigError> {
        let mut check = Check::default();
        self.providers.keys().for_each(|name| check.name(&format!("providers.{name:?}"), name));
        self.models.keys().for_each(|name| check.name(&format!("models.{name:?}"), name));
        self.tenants.keys().for_each(|name| check.name(&self.tenant_at(name), name));
        let providers: BTreeMap<Arc<str>, ProviderSettings> = self
            .providers
            .iter()
            .map(|(name, raw)| (Arc::from(name.as_str()), providers::provider(&mut check, name, raw)))
            .collect();
        let providers = providers::guarded(providers);
        let mut files: HashMap<&std::path::Path, &str> = HashMap::new();
        for (name, raw) in &self.providers {
            if let Some(other) = raw.handles.as_deref().and_then(|path| files.insert(path, name)) {
                let path = format!("providers.{name:?}.handles");
                check.problem(path, format!("is the file of provider {other:?} too; give each its own"));
            }
        }
        let names = || self.providers.keys().map(String::as_str);
        let models = self.models.iter().map(|(name, raw)| {
            let path = format!("models.{name:?}");
            if raw.routes.is_empty() {
                check.problem(format!("{path}.routes"), "no route; give at least one { provider = \"…\" }");
            }
            for (index, route) in raw.routes.iter().enumerate() {
                check.known(&format!("{path}.routes[{index}].provider"), &route.provider, "providers", names());
                let upstream = |route: &RouteConfig| route.model.clone().unwrap_or_else(|| name.clone());
                let same = |other: &RouteConfig| other.provider == route.provider && upstream(other) == upstream(route);
                if let Some(first) = raw.routes[..index].iter().position(same) {
                    let problem = format!("is routes[{first}] again; list each provider and model once");
                    check.problem(format!("{path}.routes[{index}]"), problem);
                }
            }
            (Arc::from(name.as_str()), models::model(&mut check, &path, name, raw, &self.defaults))
        });
        let mut models: BTreeMap<Arc<str>, ModelSettings> = models.collect();
        if let Some(provider) = self.lone_runware() {
            // Uploads, searches and the like name no model; they wait in a queue of their own.
            let route = RouteConfig { provider: provider.to_owned(), model: None };
            let raw = ModelConfig { routes: vec![route], ..ModelConfig::default() };
            let tasks = || models::model(&mut check, "defaults", TASKS, &raw, &self.defaults);
            models.entry(TASKS.into()).or_insert_with(tasks);
        }
        if let Some(name) = &self.defaults.unknown_models {
            check.known("defaults.unknown_models", name, "providers", names());
        }
        let template = models::model(&mut check, "defaults", "", &ModelConfig::default(), &self.defaults);
        let unknown_models =
            self.defaults.unknown_models.as_deref().map(|name| UnknownModels { provider: name.into(), template });

        let policies = tenants::policies(&mut check, self, &models);
        tenants::reserve(&mut check, self, &policies, &mut models);
        let keys = self.check_keys(&mut check);
        if let (Some(file), None) = (&self.server.tenants_file, &self.tenants_from) {
            let problem = format!("{} is only read for a configuration that is a file itself", file.display());
            check.problem("server.tenants_file", problem);
        }
        let admin_key = server::check(&mut check, &self.server);
        let delivery = delivery::check(&mut check, &self.socket, &self.jobs, &self.webhooks);
        let telemetry = telemetry::check(&mut check, &self.telemetry);
        check.finish()?;
        Ok(Settings {
            server: self.server.clone(),
            admin_key,
            delivery,
            telemetry,
            providers,
            models: models.into_iter().map(|(name, settings)| (name, Arc::new(settings))).collect(),
            unknown_models,
            default_policy: policies.default,
            tenants: policies.tenants.into_iter().collect(),
            keys,
        })
    }

    /// Returns the only runware account, where there is one.
    fn lone_runware(&self) -> Option<&str> {
        let mut accounts = self.providers.iter().filter(|(_, raw)| raw.kind == "runware");
        accounts.next().filter(|_| accounts.next().is_none()).map(|(name, _)| name.as_str())
    }

    fn check_keys(&self, check: &mut Check) -> HashMap<KeyHash, Arc<str>> {
        let mut keys: HashMap<KeyHash, Arc<str>> = HashMap::new();
        for (name, raw) in &self.tenants {
            for (index, hash) in raw.api_keys.iter().enumerate() {
                if let Some(other) = keys.insert(*hash, name.as_str().into()) {
                    let path = format!("{}.api_keys[{index}]", self.tenant_at(name));
                    check.problem(path, format!("the same key belongs to tenant {other:?}; a key names one tenant"));
                }
            }
        }
        if self.server.auth == AuthMode::Keys && keys.is_empty() {
            check.problem(
                "server.auth",
                "\"keys\" without any tenants.*.api_keys lets nobody in; add one from `fairflow hash-key`",
            );
        }
        keys
    }
}
