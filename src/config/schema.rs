//! The file as it is written: every key, its unit and its default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cors::CorsConfig;
use super::delivery::{JobsConfig, SocketConfig, WebhookConfig};
use super::headers::HeaderSource;
use super::rate::RateConfig;
use super::secret::{KeyHash, KeySource};
use super::telemetry::TelemetryConfig;
use super::tenancy::{BudgetConfig, PriceConfig, UpgradeConfig};
use super::tenants_file::TenantsFrom;
use super::units::{Size, Span};
use super::verdicts::VerdictConfig;
use crate::core::fair_queue::Class;

/// A whole configuration. Unknown keys are errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Listening, authentication and limits of the gateway.
    pub server: ServerConfig,
    /// Provider accounts by name.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Models by the name callers use.
    pub models: BTreeMap<String, ModelConfig>,
    /// What a model or tenant does not say.
    pub defaults: Defaults,
    /// Named bundles of tenant limits.
    pub tiers: BTreeMap<String, TierConfig>,
    /// Tenants that share as one, by name.
    pub groups: BTreeMap<String, GroupConfig>,
    /// Tenants by name.
    pub tenants: BTreeMap<String, TenantConfig>,
    /// Limits of WebSocket connections.
    pub socket: SocketConfig,
    /// Results that are kept to be asked for.
    pub jobs: JobsConfig,
    /// Results that are posted elsewhere.
    pub webhooks: WebhookConfig,
    /// Traces and metrics that are sent elsewhere.
    pub telemetry: TelemetryConfig,
    /// Which tenants came from `server.tenants_file`; no key of the file.
    #[serde(skip)]
    pub tenants_from: Option<TenantsFrom>,
}

/// How callers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Anyone, on loopback only; the tenant is `x-fairflow-tenant`, else the bearer key.
    #[default]
    Open,
    /// By API key; each tenant lists its keys.
    Keys,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Public address; default 127.0.0.1:8080.
    pub listen: SocketAddr,
    /// Admin address (dashboard, metrics, admin); default 127.0.0.1:8081.
    pub admin_listen: SocketAddr,
    /// Default `open`.
    pub auth: AuthMode,
    /// Key of the admin port; needed unless that port is on loopback.
    pub admin_key: Option<KeySource>,
    /// Largest request body; default 64MiB.
    pub max_body: Size,
    /// How long a drain may take; default 60s.
    pub drain_timeout: Span,
    /// How long a drain waits before it refuses anything, while the gateway says already that it is not ready: so that a
    /// load balancer has turned away by then. Default 0s.
    pub drain_delay: Span,
    /// How long an event stream may say nothing before a comment keeps it alive; a streamed request that waits longer
    /// for its first piece begins its answer then. Default 5s.
    pub keep_alive: Span,
    /// How long a caller's connection stays open without a request; above the idle time of a load balancer before it,
    /// which would otherwise send a request into a connection that is closing. Default 75s.
    pub client_keep_alive: Span,
    /// Web pages of other origins that may use the public port; default none.
    #[serde(skip_serializing_if = "CorsConfig::is_empty")]
    pub cors: CorsConfig,
    /// File that keeps learned windows and what tenants have spent over a restart; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
    /// Another file with `[tenants.*]` tables, beside this one unless its path is absolute; default none. It is read
    /// again when it changes, whatever has become of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants_file: Option<PathBuf>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            auth: AuthMode::Open,
            admin_key: None,
            max_body: Size(64 << 20),
            drain_timeout: Span(std::time::Duration::from_secs(60)),
            drain_delay: Span(std::time::Duration::ZERO),
            keep_alive: Span(std::time::Duration::from_secs(5)),
            client_keep_alive: Span(std::time::Duration::from_secs(75)),
            cors: CorsConfig::default(),
            state: None,
            tenants_file: None,
        }
    }
}

/// `[providers.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// `openai`, `runware`, `bfl`, `fal`, `replicate`, `ark`, `sim`, or `custom`: the embedder's own.
    #[serde(default)]
    pub kind: String,
    /// Where it answers; openai's ends in `/v1` by custom and may hold `{model}`. Only openai needs it: the others have
    /// their service's own address as default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Key sent with each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<KeySource>,
    /// File of certificates (PEM) that are trusted beside the system's, for a provider whose certificate comes from an
    /// authority of its own; for `https` and the socket alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Headers of each request to it, beside those that the kind sends; none of the connection's or the message's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderSource>,
    /// What it is told of who asks; default `fairflow/VERSION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Most requests in flight over all models of the account; default no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Known rate limits of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateConfig>,
    /// Largest answer read, default 64MiB; a longer one is an error of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_response: Option<Size>,
    /// Only for `openai`: `authorization` (default: `Bearer KEY`) or, as Azure has it, `api-key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_header: Option<String>,
    /// Only for `openai`: the query `api-version` that Azure wants, like "2024-10-21"; sent with each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Only for `runware`: one HTTP request per task, or one socket for all of them; default rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Only for `bfl`, `fal`, `replicate`, `ark` and `runware`: how results are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollConfig>,
    /// Only for `bfl`, `fal`, `replicate` and `ark`: file that remembers the generations under way, so that named ones
    /// are resumed after a restart; left out, they are remembered until the process ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handles: Option<PathBuf>,
    /// What answers mean where the built-in tables read them otherwise; the first that fits counts. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictConfig>,
    /// Only for `sim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sim: Option<SimConfig>,
}

/// How Runware is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// One HTTP request per task.
    #[default]
    Rest,
    /// One WebSocket that carries all tasks of the account.
    WebSocket,
}

/// `poll = { … }`: how the state of a submitted generation is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct PollConfig {
    /// Wait before the first question; default 500ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<Span>,
    /// Longest wait between two questions that the provider did not ask for; default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// What each wait is multiplied by for the next, 1 to 10; default 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<f64>,
    /// Most questions per second over the whole account; default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Questions in a row that may fail before the generation is given up; default 8. A 429 does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Hosts, beside the provider's own, to which its polling URLs may lead with the key, like "api.*.example.com".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// How the simulated provider behaves: `sim = { … }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimConfig {
    /// Requests served at once; default 24.
    pub capacity: u32,
    /// Requests that may wait at the provider beyond that; default 0, so that one too many is a 429.
    pub queue: u32,
    /// Median service time of a request of cost `unit_cost`; default 400ms.
    pub service: Span,
    /// Sigma of the lognormal service time; default 0.5, 0 for none.
    pub sigma: f64,
    /// Cost that takes one `service`; 0, the default, when size does not matter.
    pub unit_cost: u32,
    /// Requests per minute before a rate 429; default no limit.
    pub requests_per_minute: Option<f64>,
    /// Sends `x-ratelimit-*` headers with the rate; default true.
    pub headers: bool,
    /// `retry-after` of its refusals; default none.
    pub retry_after: Option<Span>,
    /// Out of order from then …
    pub outage_after: Option<Span>,
    /// … for that long, answering 503.
    pub outage_for: Option<Span>,
    /// Share of requests that never answer, 0 to 1; default 0.
    pub hang: f64,
    /// Seed of its randomness; default 1.
    pub seed: u64,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            capacity: 24,
            queue: 0,
            service: Span(std::time::Duration::from_millis(400)),
            sigma: 0.5,
            unit_cost: 0,
            requests_per_minute: None,
            headers: true,
            retry_after: None,
            outage_after: None,
            outage_for: None,
            hang: 0.0,
            seed: 1,
        }
    }
}

/// One way to reach a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Name under `[providers]`.
    #[serde(default)]
    pub provider: String,
    /// The model's name there; default the same as here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// `[models.NAME]`. What is left out comes from `[defaults]`, then from the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Where it can be had; at least one.
    pub routes: Vec<RouteConfig>,
    /// Bounds of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
    /// Bounds of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// Attempts and backoff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Longest one attempt may take; default 120s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Service time (P90) up to which a model counts as healthy; default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_latency: Option<Span>,
    /// What an answer costs where its provider does not say; default unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceConfig>,
}

/// `queue = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Most requests waiting; default 10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Longest wait before dispatch; default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait: Option<Span>,
    /// Share of each class, 0.001 to 1000; default 64, 16 and 4 for interactive, standard and batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<Classes<f64>>,
    /// Most requests of each class waiting; default no limit but `capacity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_max_queued: Option<Classes<u32>>,
    /// By how much the interactive class may run ahead of its share, in largest costs, 0 to 2; default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_start: Option<f64>,
    /// Part of reserved but unclaimed slots that long jobs may not take, 0 to 1; default 0.25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlendable: Option<f64>,
    /// Expected service time above which a job is long; default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long: Option<Span>,
}

/// A value for each class: `{ interactive = …, standard = …, batch = … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Classes<T> {
    /// Of the interactive class.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub interactive: Option<T>,
    /// Of the standard class.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub standard: Option<T>,
    /// Of the batch class.
    #[serde(default = "nothing", skip_serializing_if = "Option::is_none")]
    pub batch: Option<T>,
}

const fn nothing<T>() -> Option<T> {
    None
}

impl<T: Copy> Classes<T> {
    /// Returns the value of a class, where it is given.
    #[must_use]
    pub fn of(&self, class: Class) -> Option<T> {
        match class {
            Class::Interactive => self.interactive,
            Class::Standard => self.standard,
            Class::Batch => self.batch,
        }
    }
}

/// `window = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct WindowConfig {
    /// Requests in flight to begin with; default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<u32>,
    /// Fewest in flight; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Most in flight; default 256. Equal to `min` it pins the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Requests that a cold window adds per success, 1 to 8; default 2. 1 where a provider punishes steep ramps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<u32>,
    /// Whether refusals cost nothing, so that capacity is probed about eight times as often; default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals_free: Option<bool>,
    /// Median service time that the window gives way for, down to `min`; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_target: Option<Span>,
}

/// `retry = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Attempts in all, the first included; default 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Upper end of the first backoff; default 1s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Span>,
    /// Upper end of any backoff; default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// Retries per request, 0 to 1; default 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<f64>,
    /// Sends media work again where the provider may have taken it already (the connection broke, the attempt timed
    /// out), so that it may be paid twice; default false. Providers with an idempotency key do not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resubmit: Option<bool>,
}

/// `[defaults]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// Tier of tenants that name none, and of all in `auth = "open"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Provider for models that are asked for but not configured; left out, those are an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_models: Option<String>,
    /// Bounds of the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
    /// Bounds of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowConfig>,
    /// Attempts and backoff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Longest one attempt may take; default 120s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Service time (P90) up to which a model counts as healthy; default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_latency: Option<Span>,
}

/// `[tiers.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TierConfig {
    /// Share relative to others, 0.001 to 1000; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Most urgent class its tenants may ask for, and the one they get when they do not ask; default standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Most requests in flight per tenant and model; default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Most requests waiting per tenant and model; default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queued: Option<u32>,
    /// Models its tenants may use: names, or beginnings of names with a `*` behind; default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What each of its tenants may spend; default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetConfig>,
    /// Where its tenants go from here by what they have used; default nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeConfig>,
}

/// `[groups.NAME]`: tenants that share by weight as one, such as one customer with many keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct GroupConfig {
    /// Share relative to other groups and to tenants without one, 0.001 to 1000; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `[tenants.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    /// Name under `[tiers]`; default that of `[defaults]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Name under `[groups]`: shares with the group's other tenants as if they were one; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Models it may use, in place of its tier's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What it may spend, in place of its tier's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetConfig>,
    /// Hashes of its keys, from `fairflow hash-key`. All of them are valid, so a key is changed by adding the new one and
    /// removing the old one later.
    pub api_keys: Vec<KeyHash>,
    /// Slots guaranteed per model.
    pub reserve: BTreeMap<String, u32>,
}
