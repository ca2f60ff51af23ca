//! A provider account that was found valid.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::file::Transport;
use super::headers::HeaderSetting;
use super::poll::PollSettings;
use super::sim::SimConfig;
use super::verdicts::VerdictRule;
use crate::core::account::AccountConfig;
use crate::core::pacer::{Budgets, Rates};

/// A provider account, found valid.
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
    /// Rules for answers that the built-in tables read otherwise.
    pub verdicts: Vec<VerdictRule>,
}

impl ProviderSettings {
    /// Returns the limits that its routes share.
    pub(crate) const fn account(&self) -> AccountConfig {
        AccountConfig { max_in_flight: self.max_in_flight, rates: self.rates, budgets: self.budgets }
    }
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
    /// The service.
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
    /// Keys of all accounts when this one was read, which no answer may show.
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
