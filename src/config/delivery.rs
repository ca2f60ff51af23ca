//! How results reach callers later or elsewhere: `[socket]`, `[jobs]`, `[webhooks]`.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::secret::KeySource;
use super::units::{Size, Span};

/// The model whose queue takes tasks that name none: uploads, searches and the like.
pub(crate) const TASKS: &str = "tasks";

/// `[socket]`: one WebSocket connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SocketConfig {
    /// How long a client may say nothing before it is taken for gone; default 120s.
    pub idle: Span,
    /// Most tasks whose results one connection waits for; default 256.
    pub tasks: u32,
    /// Most bytes that wait for a client to read them, one frame always excepted; beyond, the connection is closed.
    /// Default 32MiB.
    pub unsent: Size,
    /// How long a session whose connection broke can be resumed; what nobody else waits for is then given up. Default
    /// 60s.
    pub resume: Span,
    /// How long a synchronous task may take over a socket, since an SDK sends it again after 60s; default 55s.
    pub sync_timeout: Span,
}

impl Default for SocketConfig {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self { idle: seconds(120), tasks: 256, unsent: Size(32 << 20), resume: seconds(60), sync_timeout: seconds(55) }
    }
}

/// `[jobs]`: results that are kept to be asked for, in memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct JobsConfig {
    /// How long a result is kept; default 1h.
    pub keep: Span,
    /// Most tasks known, under way or finished; default 10000.
    pub most: u32,
    /// Most bytes of results; default 256MiB.
    pub bytes: Size,
    /// Most tasks of one tenant; default 2000.
    pub tenant_most: u32,
    /// Most bytes of results of one tenant; default 64MiB.
    pub tenant_bytes: Size,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            keep: Span(Duration::from_secs(3_600)),
            most: 10_000,
            bytes: Size(256 << 20),
            tenant_most: 2_000,
            tenant_bytes: Size(64 << 20),
        }
    }
}

/// `[webhooks]`: results that are posted to where the task says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// Signs each delivery (HMAC-SHA256); default none.
    pub secret: Option<KeySource>,
    /// Hosts that may be posted to over plain http and at private addresses; default none.
    pub hosts: Vec<String>,
    /// Most tries of one delivery, the first included; default 8.
    pub attempts: u32,
    /// Upper end of the wait after the first failure, doubled with each; default 1s.
    pub base: Span,
    /// Upper end of any wait; default 60s.
    pub max: Span,
    /// Longest one try may take; default 10s.
    pub timeout: Span,
    /// Most deliveries that wait or are under way; further ones are given up. Default 1000.
    pub most: u32,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        let seconds = |seconds| Span(Duration::from_secs(seconds));
        Self {
            secret: None,
            hosts: Vec::new(),
            attempts: 8,
            base: seconds(1),
            max: seconds(60),
            timeout: seconds(10),
            most: 1_000,
        }
    }
}

/// The three, found valid.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeliverySettings {
    /// `[socket]`.
    pub socket: SocketConfig,
    /// `[jobs]`.
    pub jobs: JobsConfig,
    /// `[webhooks]`.
    pub webhooks: WebhookConfig,
    /// Its secret, read.
    pub webhook_secret: Option<SecretString>,
}

/// Checks the three tables.
pub(super) fn check(
    check: &mut Check,
    socket: &SocketConfig,
    jobs: &JobsConfig,
    webhooks: &WebhookConfig,
) -> DeliverySettings {
    for (path, span) in [
        ("socket.idle", socket.idle),
        ("socket.resume", socket.resume),
        ("socket.sync_timeout", socket.sync_timeout),
        ("jobs.keep", jobs.keep),
        ("webhooks.base", webhooks.base),
        ("webhooks.max", webhooks.max),
        ("webhooks.timeout", webhooks.timeout),
    ] {
        check.span(path, Some(span), span.0);
    }
    for (path, count) in [
        ("socket.tasks", socket.tasks),
        ("jobs.most", jobs.most),
        ("jobs.tenant_most", jobs.tenant_most),
        ("webhooks.attempts", webhooks.attempts),
        ("webhooks.most", webhooks.most),
    ] {
        check.count(path, Some(count), count);
    }
    for (index, host) in webhooks.hosts.iter().enumerate() {
        if host.is_empty() || host.contains(['/', ':', '@', '*']) {
            let path = format!("webhooks.hosts[{index}]");
            check
                .problem(path, format!("{host:?} is no host; give a name or an IPv4 address, without scheme and port"));
        }
    }
    DeliverySettings {
        socket: socket.clone(),
        jobs: *jobs,
        webhooks: webhooks.clone(),
        webhook_secret: check.key("webhooks.secret", webhooks.secret.as_ref()),
    }
}
