//! `[providers.NAME]` as it is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::headers::HeaderSource;
use super::poll::PollConfig;
use super::rate::RateConfig;
use super::sim::SimConfig;
use super::verdicts::VerdictConfig;
use crate::config::secret::KeySource;
use crate::config::units::Size;

/// `[providers.NAME]`.
// fields: one for each key of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
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
    /// `User-Agent` of its requests; default `fairflow/VERSION`.
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
    /// Rules for answers that the built-in tables read otherwise; the first that fits counts. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictConfig>,
    /// Only for `sim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sim: Option<SimConfig>,
}

/// How Runware is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// An HTTP request for each task.
    #[default]
    Rest,
    /// A WebSocket that carries all tasks of the account.
    WebSocket,
}
