//! From what is written to what may run: every problem found, none of them fatal to finding the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::delivery::TASKS;
use super::error::{ConfigError, Problem, nearest};
use super::schema::{self, AuthMode, Config, Defaults, ModelConfig, RouteConfig};
use super::secret::KeySource;
use super::settings::{ModelSettings, ProviderSettings, RouteSettings, Settings, UnknownModels};
use super::units::Span;
use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

/// Longest name of a model, a provider or a tenant, in bytes; a longer one is certainly not configured.
pub(crate) const LONGEST_NAME: usize = 256;

/// Collects problems while the walk goes on.
#[derive(Default)]
pub(super) struct Check(Vec<Problem>);

impl Check {
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Problem { path: path.into(), problem: problem.into(), place: None });
    }

    /// Returns a whole number, or its default; zero is a problem.
    pub(super) fn count(&mut self, path: &str, value: Option<u32>, default: u32) -> u32 {
        if value == Some(0) {
            self.problem(path, "0 is out of range; at least 1, or leave it out");
        }
        value.filter(|value| *value > 0).unwrap_or(default)
    }

    pub(super) fn span(&mut self, path: &str, value: Option<Span>, default: Duration) -> Duration {
        if value.is_some_and(|span| span.0.is_zero()) {
            self.problem(path, "0s is out of range; give a time above zero");
        }
        value.map_or(default, |span| self.wait(path, span))
    }

    /// Returns a span that may be zero.
    pub(super) fn wait(&mut self, path: &str, Span(span): Span) -> Duration {
        if span > Span::LONGEST {
            self.problem(path, format!("{span:?} is out of range; give at most {}", Span(Span::LONGEST)));
        }
        span.min(Span::LONGEST)
    }

    /// Checks a name that people choose: it shows in headers, metrics and logs.
    fn name(&mut self, path: &str, name: &str) {
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            self.problem(path, format!("is no name; give 1 to {LONGEST_NAME} bytes without control characters"));
        }
    }

    pub(super) fn rate(&mut self, path: &str, value: Option<f64>) -> Option<f64> {
        let value = value?;
        if !value.is_finite() || value <= 0.0 {
            self.problem(path, format!("{value} is no rate; give a number per minute above 0, or leave it out"));
        }
        Some(value)
    }

    pub(super) fn fraction(&mut self, path: &str, value: f64) -> f64 {
        if !(0.0..=1.0).contains(&value) {
            self.problem(path, format!("{value} is out of range; give a number from 0 to 1"));
        }
        value
    }

    pub(super) fn known<'a>(
        &mut self,
        path: &str,
        name: &str,
        table: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        if known.clone().any(|candidate| candidate == name) {
            return;
        }
        if name.is_empty() {
            return self.problem(path, format!("is missing; name one of [{table}]"));
        }
        let hint = nearest(name, known)
            .map_or_else(|| format!("define it as [{table}.{name:?}]"), |near| format!("did you mean {near:?}?"));
        self.problem(path, format!("{name:?} is not among [{table}]; {hint}"));
    }

    pub(super) fn key(&mut self, path: &str, source: Option<&KeySource>) -> Option<SecretString> {
        source?.read().map_err(|error| self.problem(path, error)).ok()
    }
}

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
            .map(|(name, raw)| (Arc::from(name.as_str()), super::accounts::provider(&mut check, name, raw)))
            .collect();
        let providers = super::accounts::guarded(providers);
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
            (Arc::from(name.as_str()), model(&mut check, &path, name, raw, &self.defaults))
        });
        let mut models: BTreeMap<Arc<str>, ModelSettings> = models.collect();
        if let Some(provider) = self.lone_runware() {
            // Uploads, searches and the like name no model; they wait in a queue of their own.
            let route = RouteConfig { provider: provider.to_owned(), model: None };
            let raw = ModelConfig { routes: vec![route], ..ModelConfig::default() };
            let tasks = || model(&mut check, "defaults", TASKS, &raw, &self.defaults);
            models.entry(TASKS.into()).or_insert_with(tasks);
        }
        if let Some(name) = &self.defaults.unknown_models {
            check.known("defaults.unknown_models", name, "providers", names());
        }
        let template = model(&mut check, "defaults", "", &ModelConfig::default(), &self.defaults);
        let unknown_models =
            self.defaults.unknown_models.as_deref().map(|name| UnknownModels { provider: name.into(), template });

        let policies = super::tenants::policies(&mut check, self, &models);
        super::tenants::reserve(&mut check, self, &policies, &mut models);
        let keys = self.check_keys(&mut check);
        let admin_key = self.check_server(&mut check);
        let delivery = super::delivery::check(&mut check, &self.socket, &self.jobs, &self.webhooks);
        let telemetry = super::telemetry::check(&mut check, &self.telemetry);
        if !check.0.is_empty() {
            return Err(ConfigError::Invalid(check.0));
        }
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

    fn check_keys(&self, check: &mut Check) -> HashMap<super::KeyHash, Arc<str>> {
        let mut keys: HashMap<super::KeyHash, Arc<str>> = HashMap::new();
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

    fn check_server(&self, check: &mut Check) -> Option<SecretString> {
        let server = &self.server;
        if let (Some(file), None) = (&server.tenants_file, &self.tenants_from) {
            let problem = format!("{} is only read for a configuration that is a file itself", file.display());
            check.problem("server.tenants_file", problem);
        }
        if server.max_body.0 == 0 {
            check.problem("server.max_body", "0 is out of range; give a size like \"64MiB\"");
        }
        check.span("server.keep_alive", Some(server.keep_alive), server.keep_alive.0);
        check.span("server.client_keep_alive", Some(server.client_keep_alive), server.client_keep_alive.0);
        server.cors.check(check, server.auth);
        check.wait("server.drain_timeout", server.drain_timeout);
        check.wait("server.drain_delay", server.drain_delay);
        if server.auth == AuthMode::Open && !server.listen.ip().is_loopback() {
            let problem = format!("\"open\" lets anyone in and {} is not loopback; set auth = \"keys\"", server.listen);
            check.problem("server.auth", problem);
        }
        if server.listen == server.admin_listen && server.listen.port() != 0 {
            check.problem(
                "server.admin_listen",
                format!("{} is the public address too; give the admin its own", server.listen),
            );
        }
        if server.admin_key.is_none() && !server.admin_listen.ip().is_loopback() {
            let problem = format!("needed because admin_listen {} is not loopback", server.admin_listen);
            check.problem("server.admin_key", problem);
        }
        check.key("server.admin_key", server.admin_key.as_ref())
    }
}

fn model(check: &mut Check, path: &str, name: &str, raw: &ModelConfig, defaults: &Defaults) -> ModelSettings {
    // A key of a table falls back on its own: `queue = { capacity = 5 }` keeps the default max_wait.
    let (queue, queue_default) = (raw.queue.unwrap_or_default(), defaults.queue.unwrap_or_default());
    let (retry, retry_default) = (raw.retry.unwrap_or_default(), defaults.retry.unwrap_or_default());
    let (window, window_default) = (raw.window.unwrap_or_default(), defaults.window.unwrap_or_default());
    let at = |key: &str| format!("{path}.{key}");
    let backoff = Backoff {
        base: check.span(&at("retry.base"), retry.base.or(retry_default.base), Duration::from_secs(1)),
        max: check.span(&at("retry.max"), retry.max.or(retry_default.max), Duration::from_secs(30)),
    };
    if backoff.base > backoff.max {
        let problem = format!("{:?} is above retry.max {:?}", backoff.base, backoff.max);
        check.problem(at("retry.base"), problem);
    }
    let route = |route: &super::schema::RouteConfig| RouteSettings {
        provider: route.provider.as_str().into(),
        model: route.model.as_deref().unwrap_or(name).into(),
    };
    ModelSettings {
        name: name.into(),
        routes: raw.routes.iter().map(route).collect(),
        queue: super::queue::limits(check, &at("queue"), &queue, &queue_default),
        reserve: BTreeMap::new(),
        max_wait: check.span(&at("queue.max_wait"), queue.max_wait.or(queue_default.max_wait), Duration::from_secs(60)),
        window: check_window(check, &at("window"), &window, &window_default),
        max_attempts: check.count(&at("retry.max_attempts"), retry.max_attempts.or(retry_default.max_attempts), 4),
        backoff,
        resubmit: retry.resubmit.or(retry_default.resubmit).unwrap_or(false),
        retry_budget: check.fraction(&at("retry.budget"), retry.budget.or(retry_default.budget).unwrap_or(0.2)),
        timeout: check.span(&at("timeout"), raw.timeout.or(defaults.timeout), Duration::from_secs(120)),
        healthy_latency: check.span(
            &at("healthy_latency"),
            raw.healthy_latency.or(defaults.healthy_latency),
            Duration::from_secs(30),
        ),
        price: raw.price.map(|raw| super::tenants::price(check, &at("price"), &raw)),
        paused: false,
    }
}

fn check_window(
    check: &mut Check,
    path: &str,
    raw: &schema::WindowConfig,
    default: &schema::WindowConfig,
) -> WindowConfig {
    let at = |key: &str| format!("{path}.{key}");
    let least = check.count(&at("min"), raw.min.or(default.min), 1);
    let most = check.count(&at("max"), raw.max.or(default.max), 256.max(least));
    if least > most {
        check.problem(at("min"), format!("{least} is above max {most}; give min ≤ max"));
        return WindowConfig { initial: least, min: least, max: least, ..WindowConfig::default() };
    }
    let start = check.count(&at("initial"), raw.initial.or(default.initial), 4.clamp(least, most));
    if !(least..=most).contains(&start) {
        check.problem(at("initial"), format!("{start} is outside min {least} to max {most}"));
    }
    let usual = WindowConfig::default();
    let ramp = raw.ramp.or(default.ramp).unwrap_or(usual.ramp);
    if !(1..=8).contains(&ramp) {
        check.problem(at("ramp"), format!("{ramp} is out of range; give 1 to 8 requests per success"));
    }
    let target = raw.latency_target.or(default.latency_target);
    WindowConfig {
        initial: start.clamp(least, most),
        min: least,
        max: most,
        ramp,
        refusals_free: raw.refusals_free.or(default.refusals_free).unwrap_or(usual.refusals_free),
        latency_target: target.map(|target| check.span(&at("latency_target"), Some(target), target.0)),
    }
}
