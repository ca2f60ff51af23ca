//! The keys of a provider account, set in code; each method is named as its key.

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
