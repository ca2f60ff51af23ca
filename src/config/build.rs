//! The file's keys, set in code. Each method is named as its key; the fields are public as well.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::headers::HeaderSource;
use super::rate::RateConfig;
use super::schema::{
    Config, ModelConfig, ProviderConfig, QueueConfig, RetryConfig, RouteConfig, SimConfig, TenantConfig, TierConfig,
    WindowConfig,
};
use super::secret::{KeyHash, KeySource};
use super::tenancy::{BudgetConfig, PriceConfig, UpgradeConfig};
use super::units::Size;
use crate::core::fair_queue::Class;

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
}

impl ProviderConfig {
    fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// An account at an OpenAI-compatible server; the URL ends in `/v1`.
    #[must_use]
    pub fn openai(base_url: impl Into<String>) -> Self {
        Self { base_url: Some(base_url.into()), ..Self::of("openai") }
    }

    /// An account at Runware, or at something that speaks its REST API.
    #[must_use]
    pub fn runware(base_url: impl Into<String>) -> Self {
        Self { base_url: Some(base_url.into()), ..Self::of("runware") }
    }

    /// An account that is simulated in process.
    #[must_use]
    pub fn sim(sim: SimConfig) -> Self {
        Self { sim: Some(sim), ..Self::of("sim") }
    }

    /// An account that the embedder reaches itself: by a client of its own, or with [`Fairflow::call`](crate::Fairflow::call).
    #[must_use]
    pub fn custom() -> Self {
        Self::of("custom")
    }

    /// Trusts the certificates of a file (PEM) beside the system's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<std::path::PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Says where its key is found.
    #[must_use]
    pub fn api_key(mut self, key: KeySource) -> Self {
        self.api_key = Some(key);
        self
    }

    /// Sends a header with each request, in place of an earlier one of that name.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: HeaderSource) -> Self {
        self.headers.insert(name.into(), value);
        self
    }

    /// Sets what it is told of who asks; default `fairflow/VERSION`.
    #[must_use]
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = Some(agent.into());
        self
    }

    /// Sets the most requests in flight over all its models; default no limit.
    #[must_use]
    pub fn max_in_flight(mut self, requests: u32) -> Self {
        self.max_in_flight = Some(requests);
        self
    }

    /// Sets the requests per minute that are known to be allowed; default unknown.
    #[must_use]
    pub fn requests_per_minute(mut self, requests: f64) -> Self {
        self.rate.get_or_insert(RateConfig::default()).requests_per_minute = Some(requests);
        self
    }

    /// Sets the requests per day that are known to be allowed; default unknown.
    #[must_use]
    pub fn requests_per_day(mut self, requests: f64) -> Self {
        self.rate.get_or_insert(RateConfig::default()).requests_per_day = Some(requests);
        self
    }

    /// Sets the tokens per day that are known to be allowed; default unknown.
    #[must_use]
    pub fn tokens_per_day(mut self, tokens: f64) -> Self {
        self.rate.get_or_insert(RateConfig::default()).tokens_per_day = Some(tokens);
        self
    }

    /// Sets the tokens per minute that are known to be allowed, read and written ones alike; default unknown.
    #[must_use]
    pub fn tokens_per_minute(mut self, tokens: f64) -> Self {
        self.rate.get_or_insert(RateConfig::default()).tokens_per_minute = Some(tokens);
        self
    }

    /// Sets the largest answer that is read, in bytes; default 64 MiB.
    #[must_use]
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = Some(Size(bytes));
        self
    }
}

impl ModelConfig {
    /// A model with one route: to a provider account, under the same name there.
    #[must_use]
    pub fn on(provider: impl Into<String>) -> Self {
        Self { routes: vec![RouteConfig { provider: provider.into(), model: None }], ..Self::default() }
    }

    /// Adds a route, under the model's name at that provider.
    #[must_use]
    pub fn route(mut self, provider: impl Into<String>, model: impl Into<String>) -> Self {
        self.routes.push(RouteConfig { provider: provider.into(), model: Some(model.into()) });
        self
    }

    /// Sets how many requests may wait; default 10 000.
    #[must_use]
    pub fn queue_capacity(mut self, requests: u32) -> Self {
        self.queue.get_or_insert(QueueConfig::default()).capacity = Some(requests);
        self
    }

    /// Sets how long a request may wait before dispatch; default 60 s.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.queue.get_or_insert(QueueConfig::default()).max_wait = Some(wait.into());
        self
    }

    /// Sets the window's bounds, and what else `window` says of it; what it leaves open stays as it was.
    ///
    /// # Examples
    ///
    /// ```
    /// use fairflow::config::{ModelConfig, WindowConfig};
    ///
    /// let model = ModelConfig::on("lab").window(WindowConfig::between(1..=512).starting_at(16));
    /// assert_eq!(model.window.and_then(|window| window.initial), Some(16));
    /// ```
    #[must_use]
    pub fn window(mut self, window: impl Into<WindowConfig>) -> Self {
        let new: WindowConfig = window.into();
        let old = self.window.unwrap_or_default();
        self.window = Some(WindowConfig {
            initial: new.initial.or(old.initial),
            min: new.min.or(old.min),
            max: new.max.or(old.max),
            ramp: new.ramp.or(old.ramp),
            refusals_free: new.refusals_free.or(old.refusals_free),
            latency_target: new.latency_target.or(old.latency_target),
        });
        self
    }

    /// Sets how many requests a cold window adds per success, 1 to 8; default 2.
    #[must_use]
    pub fn ramp(mut self, requests: u32) -> Self {
        self.window.get_or_insert_default().ramp = Some(requests);
        self
    }

    /// Says that refusals cost nothing, so that capacity is probed about eight times as often; default false.
    #[must_use]
    pub fn refusals_free(mut self, free: bool) -> Self {
        self.window.get_or_insert_default().refusals_free = Some(free);
        self
    }

    /// Sets the median service time that the window gives way for, as far as fewer in flight help; default none.
    #[must_use]
    pub fn latency_target(mut self, median: Duration) -> Self {
        self.window.get_or_insert_default().latency_target = Some(median.into());
        self
    }

    /// Sets the attempts in all, the first included; default 4.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.retry.get_or_insert_default().max_attempts = Some(attempts);
        self
    }

    /// Sets the upper end of the first backoff and of any; default 1 s to 30 s.
    #[must_use]
    pub fn backoff(mut self, ends: RangeInclusive<Duration>) -> Self {
        let retry = self.retry.get_or_insert_default();
        (retry.base, retry.max) = (Some((*ends.start()).into()), Some((*ends.end()).into()));
        self
    }

    /// Sets the retries per request, 0 to 1; default 0.2.
    #[must_use]
    pub fn retry_budget(mut self, budget: f64) -> Self {
        self.retry.get_or_insert(RetryConfig::default()).budget = Some(budget);
        self
    }

    /// Sets how long one attempt may take; default 120 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Sets what an answer costs where its provider does not say; default unknown.
    #[must_use]
    pub fn price(mut self, price: PriceConfig) -> Self {
        self.price = Some(price);
        self
    }

    /// Sets the service time (P90) up to which the model counts as healthy; default 30 s.
    #[must_use]
    pub fn healthy_latency(mut self, latency: Duration) -> Self {
        self.healthy_latency = Some(latency.into());
        self
    }
}

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

impl WindowConfig {
    /// Bounds a window, in requests in flight; default 1 to 256.
    #[must_use]
    pub fn between(bounds: RangeInclusive<u32>) -> Self {
        Self { min: Some(*bounds.start()), max: Some(*bounds.end()), ..Self::default() }
    }

    /// Holds a window at so many requests in flight.
    #[must_use]
    pub fn pinned(requests: u32) -> Self {
        Self::between(requests..=requests).starting_at(requests)
    }

    /// Sets the requests in flight to begin with; default 4.
    #[must_use]
    pub fn starting_at(self, requests: u32) -> Self {
        Self { initial: Some(requests), ..self }
    }
}

impl From<RangeInclusive<u32>> for WindowConfig {
    fn from(bounds: RangeInclusive<u32>) -> Self {
        Self::between(bounds)
    }
}
