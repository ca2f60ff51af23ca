//! The keys of a model, set in code; each method is named as its key.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::file::{ModelConfig, QueueConfig, RetryConfig, RouteConfig, WindowConfig};
use super::price::PriceConfig;

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
