//! A configuration that was found valid, in the terms of core.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::delivery::DeliverySettings;
use super::headers::HeaderSetting;
use super::schema::{ServerConfig, SimConfig, Transport};
use super::secret::KeyHash;
use super::telemetry::TelemetrySettings;
use super::tenancy::ModelNames;
use super::verdicts::VerdictRule;
use crate::core::broker::BrokerConfig;
use crate::core::fair_queue::{Class, QueueLimits, TenantLimits};
use crate::core::ledger::{Lifetime, Money, Thresholds};
use crate::core::pacer::{Budgets, Rates};
use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

/// What the engine runs on; made by [`Config::validate`](super::Config::validate).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The gateway's own keys.
    pub server: ServerConfig,
    /// Key of the admin port, read.
    pub admin_key: Option<SecretString>,
    /// How results are delivered later or elsewhere.
    pub delivery: DeliverySettings,
    /// Where traces and metrics are sent.
    pub telemetry: TelemetrySettings,
    /// Provider accounts.
    pub providers: BTreeMap<Arc<str>, ProviderSettings>,
    /// Models by the name callers use.
    pub models: BTreeMap<Arc<str>, Arc<ModelSettings>>,
    /// What a model that is not configured gets, if it may be used at all.
    pub unknown_models: Option<UnknownModels>,
    /// Policy of tenants that are not named.
    pub default_policy: Arc<TenantPolicy>,
    /// Policies of those that are.
    pub tenants: HashMap<Arc<str>, Arc<TenantPolicy>>,
    /// Whose key it is.
    pub keys: HashMap<KeyHash, Arc<str>>,
}

impl Settings {
    /// Returns the policy that a tenant begins with; what it has used may have brought it to a
    /// [higher one](TenantPolicy::after).
    #[must_use]
    pub fn policy(&self, tenant: &str) -> &Arc<TenantPolicy> {
        self.tenants.get(tenant).unwrap_or(&self.default_policy)
    }
}

/// One provider account.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProviderSettings {
    /// Its name.
    pub name: Arc<str>,
    /// How it is spoken to.
    pub kind: ProviderKind,
    /// Most requests in flight over all its models.
    pub max_in_flight: Option<u32>,
    /// Its known rates.
    pub rates: Rates,
    /// Its known budgets.
    pub budgets: Budgets,
    /// What its answers mean where the built-in tables read them otherwise.
    pub verdicts: Vec<VerdictRule>,
}

/// How a provider is spoken to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ProviderKind {
    /// OpenAI's API over HTTP.
    OpenAi(Endpoint),
    /// Runware's API.
    Runware(RunwareSettings),
    /// A service that is submitted to and polled.
    Task(TaskSettings),
    /// In process, simulated.
    Sim(SimConfig),
    /// By the embedder's own means.
    Custom,
}

impl ProviderKind {
    /// Returns where it answers, where that is over a network.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::OpenAi(endpoint) => Some(endpoint),
            Self::Runware(account) => Some(&account.endpoint),
            Self::Task(account) => Some(&account.endpoint),
            Self::Sim(_) | Self::Custom => None,
        }
    }

    pub(super) const fn endpoint_mut(&mut self) -> Option<&mut Endpoint> {
        match self {
            Self::OpenAi(endpoint) => Some(endpoint),
            Self::Runware(account) => Some(&mut account.endpoint),
            Self::Task(account) => Some(&mut account.endpoint),
            Self::Sim(_) | Self::Custom => None,
        }
    }

    /// Returns the name that a configuration gives it as its `kind`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OpenAi(_) => "openai",
            Self::Runware(_) => "runware",
            Self::Task(account) => account.preset.name(),
            Self::Sim(_) => "sim",
            Self::Custom => "custom",
        }
    }
}

/// An account at Runware.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunwareSettings {
    /// Where it answers: `http(s)` for both transports.
    pub endpoint: Endpoint,
    /// How it is spoken to.
    pub transport: Transport,
    /// How asynchronous results are asked for.
    pub poll: PollSettings,
}

/// An account at a service that is submitted to and polled.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskSettings {
    /// Which service.
    pub preset: Preset,
    /// Where it answers.
    pub endpoint: Endpoint,
    /// How results are asked for.
    pub poll: PollSettings,
    /// File that remembers the generations under way.
    pub handles: Option<PathBuf>,
}

/// The services that one adapter serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// Black Forest Labs.
    Bfl,
    /// fal.
    Fal,
    /// Replicate.
    Replicate,
    /// Volcengine Ark.
    Ark,
}

impl Preset {
    /// Returns the name that a configuration gives it as its `kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bfl => "bfl",
            Self::Fal => "fal",
            Self::Replicate => "replicate",
            Self::Ark => "ark",
        }
    }

    /// Returns the service's own address.
    #[must_use]
    pub const fn base_url(self) -> &'static str {
        match self {
            Self::Bfl => "https://api.bfl.ai/v1",
            Self::Fal => "https://queue.fal.run",
            Self::Replicate => "https://api.replicate.com/v1",
            Self::Ark => "https://ark.cn-beijing.volces.com/api/v3",
        }
    }
}

/// How the state of a submitted generation is asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PollSettings {
    /// Wait before the first question.
    pub initial: Duration,
    /// Longest wait that the provider did not ask for.
    pub max: Duration,
    /// What each wait is multiplied by, at least 1.
    pub growth: f64,
    /// Most questions per second over the account.
    pub per_second: f64,
    /// Questions in a row that may fail.
    pub patience: u32,
    /// Hosts, beside the provider's own, that may get the key.
    pub hosts: Vec<String>,
}

impl Default for PollSettings {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(5),
            growth: 1.5,
            per_second: 20.0,
            patience: 8,
            hosts: Vec::new(),
        }
    }
}

/// Certificates that are trusted beside the system's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authorities {
    /// Where they were read.
    pub file: PathBuf,
    /// The file as it was then.
    pub pem: Arc<[u8]>,
}

/// Where an HTTP provider answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Endpoint {
    /// Without a slash at its end.
    pub base_url: String,
    /// Trusted for this provider.
    pub authorities: Option<Authorities>,
    /// Sent as a bearer token, or as the provider wants it.
    pub api_key: Option<SecretString>,
    /// Whether the key goes as it is into the header `api-key`.
    pub bare_key: bool,
    /// The query `api-version` of each request.
    pub api_version: Option<String>,
    /// Sent with each request, beside the key.
    pub headers: Vec<HeaderSetting>,
    /// The header `user-agent`.
    pub user_agent: String,
    /// Largest answer read, in bytes.
    pub max_response: usize,
    /// What no answer may show: the keys of all accounts, as they were when this one was read.
    pub guarded: Arc<[SecretString]>,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        // Taken apart, so that a field that is added is not forgotten here. Another account's new key makes this no other.
        let Self { base_url, authorities, api_key, bare_key, api_version, headers, user_agent, max_response, .. } =
            self;
        let values = |headers: &[HeaderSetting]| -> Vec<(String, String)> {
            headers.iter().map(|header| (header.name.clone(), header.value.expose_secret().to_owned())).collect()
        };
        let key = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        base_url == &other.base_url
            && authorities == &other.authorities
            && key(api_key) == key(&other.api_key)
            && bare_key == &other.bare_key
            && api_version == &other.api_version
            && values(headers) == values(&other.headers)
            && user_agent == &other.user_agent
            && max_response == &other.max_response
    }
}

/// One model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelSettings {
    /// The name callers use.
    pub name: Arc<str>,
    /// Where it can be had.
    pub routes: Vec<RouteSettings>,
    /// Bounds of the queue.
    pub queue: QueueLimits,
    /// Limits of the tenants that have slots reserved here, as they begin.
    pub reserve: BTreeMap<Arc<str>, TenantLimits>,
    /// Longest wait before dispatch.
    pub max_wait: Duration,
    /// Bounds of each route's window.
    pub window: WindowConfig,
    /// Attempts in all, at least 1.
    pub max_attempts: u32,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Retries per request.
    pub retry_budget: f64,
    /// Whether work that the provider may have taken already is sent again.
    pub resubmit: bool,
    /// Longest one attempt may take.
    pub timeout: Duration,
    /// Service time (P90) up to which the model counts as healthy.
    pub healthy_latency: Duration,
    /// What an answer costs where its provider does not say.
    pub price: Option<Price>,
    /// Whether nothing is dispatched: an operator's doing, no key of the file.
    pub paused: bool,
}

impl ModelSettings {
    /// Returns what the model's broker needs of these settings.
    #[must_use]
    pub fn broker(&self) -> BrokerConfig {
        BrokerConfig {
            queue: self.queue,
            reserve: self.reserve.clone(),
            retry_budget: self.retry_budget,
            max_wait: self.max_wait,
            healthy_latency: self.healthy_latency,
        }
    }

    /// Returns a tenant's limits here: those of its policy, with its reservation, if it has one.
    #[must_use]
    pub fn limits(&self, tenant: &str, policy: &TenantPolicy) -> TenantLimits {
        let reserve = self.reserve.get(tenant).map_or(policy.limits.reserve, |own| own.reserve);
        TenantLimits { reserve, ..policy.limits }
    }
}

/// One way to reach a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteSettings {
    /// Provider account.
    pub provider: Arc<str>,
    /// The model's name there.
    pub model: Arc<str>,
}

/// What models get that are asked for but not configured.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UnknownModels {
    /// Where they go.
    pub provider: Arc<str>,
    /// Everything else, with no routes.
    pub template: ModelSettings,
}

impl UnknownModels {
    /// Returns the settings of a model of that name.
    #[must_use]
    pub fn model(&self, name: &Arc<str>) -> ModelSettings {
        let route = RouteSettings { provider: self.provider.clone(), model: name.clone() };
        ModelSettings { name: name.clone(), routes: vec![route], ..self.template.clone() }
    }
}

/// What an answer costs, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Price {
    /// Per answer.
    pub request: f64,
    /// Per token read.
    pub input: f64,
    /// Per token written.
    pub output: f64,
}

impl Price {
    /// Returns what an answer costs; `None` where that depends on tokens nobody told of.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no answer has that many tokens")]
    pub fn of(&self, input: Option<u64>, output: Option<u64>) -> Option<Money> {
        let part = |price: f64, tokens: Option<u64>| match tokens {
            Some(tokens) => Some(price * tokens as f64),
            None => (price == 0.0).then_some(0.0),
        };
        Some(Money::from_dollars(self.request + part(self.input, input)? + part(self.output, output)?))
    }

    /// Returns the dollars that an answer is likely to cost, of which the tokens may be known in part; `None` where the
    /// price says nothing without them.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no answer has that many tokens")]
    pub fn estimate(&self, input: Option<u64>, output: Option<u64>) -> Option<f64> {
        let part = |price: f64, tokens: Option<u64>| price * tokens.unwrap_or(0) as f64;
        let missing = |price: f64, tokens: Option<u64>| price > 0.0 && tokens.is_none();
        let known = self.request + part(self.input, input) + part(self.output, output);
        let is_blind = missing(self.input, input) || missing(self.output, output);
        (known > 0.0 || !is_blind).then_some(known)
    }
}

/// What a tenant may do.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TenantPolicy {
    /// Name of the tier it comes from, if any.
    pub tier: Option<Arc<str>>,
    /// Weight and caps.
    pub limits: TenantLimits,
    /// Most urgent class it may ask for, and the one it gets when it does not ask.
    pub class: Class,
    /// Models it may use; `None` for all.
    pub models: Option<Arc<ModelNames>>,
    /// What it may spend per UTC day.
    pub budget: Option<Money>,
    /// The policy that comes after this one.
    pub upgrade: Option<Upgrade>,
}

/// A higher policy, and from when on it is in force.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Upgrade {
    /// What must have been used.
    pub after: Thresholds,
    /// What comes then.
    pub to: Arc<TenantPolicy>,
}

impl TenantPolicy {
    /// Returns the class for a request that asks for `wanted`: never more urgent than the tier's.
    #[must_use]
    pub fn class_for(&self, wanted: Option<Class>) -> Class {
        wanted.map_or(self.class, |wanted| wanted.min(self.class))
    }

    /// Says whether a model may be used.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contain(model))
    }

    /// Says whether what a tenant uses matters to it.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.budget.is_some() || self.upgrade.is_some()
    }

    /// Returns the policy of a tenant that began with this one and has used so much.
    #[must_use]
    pub fn after<'a>(self: &'a Arc<Self>, used: &Lifetime) -> &'a Arc<Self> {
        let mut policy = self;
        while let Some(upgrade) = policy.upgrade.as_ref().filter(|upgrade| upgrade.after.reached(used)) {
            policy = &upgrade.to;
        }
        policy
    }
}
