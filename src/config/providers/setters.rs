//! The keys of a provider account, set in code; each method is named as its key.

use std::time::Duration;

use super::file::ProviderConfig;
use super::headers::HeaderSource;
use super::rate::RateConfig;
use super::sim::SimConfig;
use crate::config::secret::KeySource;
use crate::config::units::Size;

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

impl SimConfig {
    /// Begins with the defaults.
    ///
    /// # Examples
    ///
    /// ```
    /// use fairflow::Config;
    /// use fairflow::config::{ModelConfig, ProviderConfig, SimConfig};
    /// use std::time::Duration;
    ///
    /// let sim = SimConfig::new().capacity(200).service(Duration::from_millis(20));
    /// let config = Config::new().provider("sim", ProviderConfig::sim(sim)).model("m", ModelConfig::on("sim"));
    /// assert!(config.validate().is_ok());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many requests are served at once, at least 1; default 24.
    #[must_use]
    pub fn capacity(mut self, requests: u32) -> Self {
        self.capacity = requests;
        self
    }

    /// Sets how many requests may wait at the provider beyond that; default 0.
    #[must_use]
    pub fn queue(mut self, requests: u32) -> Self {
        self.queue = requests;
        self
    }

    /// Sets the median service time of a request of cost `unit_cost`; default 400 ms.
    #[must_use]
    pub fn service(mut self, median: Duration) -> Self {
        self.service = median.into();
        self
    }

    /// Sets the sigma of the lognormal service time, 0 to 3; default 0.5.
    #[must_use]
    pub fn sigma(mut self, sigma: f64) -> Self {
        self.sigma = sigma;
        self
    }

    /// Sets the cost that takes one `service`; default 0, for which size does not matter.
    #[must_use]
    pub fn unit_cost(mut self, cost: u32) -> Self {
        self.unit_cost = cost;
        self
    }

    /// Sets the requests per minute before a rate 429; default no limit.
    #[must_use]
    pub fn requests_per_minute(mut self, requests: f64) -> Self {
        self.requests_per_minute = Some(requests);
        self
    }

    /// Says whether `x-ratelimit-*` headers are sent with the rate; default true.
    #[must_use]
    pub fn headers(mut self, sent: bool) -> Self {
        self.headers = sent;
        self
    }

    /// Sets the `retry-after` of its refusals; default none.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.into());
        self
    }

    /// Sets the share of requests that never answer, 0 to 1; default 0.
    #[must_use]
    pub fn hang(mut self, share: f64) -> Self {
        self.hang = share;
        self
    }

    /// Sets the seed of its randomness; default 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Has each request answered 503 for `span`, from the time `after` the start on; default no outage.
    #[must_use]
    pub fn outage(mut self, after: Duration, span: Duration) -> Self {
        (self.outage_after, self.outage_for) = (Some(after.into()), Some(span.into()));
        self
    }
}
