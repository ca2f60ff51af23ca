//! `[server]`: addresses, authentication and limits of the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::cors::CorsConfig;
use super::secret::KeySource;
use super::units::{Size, Span};

/// How callers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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
#[non_exhaustive]
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
            drain_timeout: Span(Duration::from_secs(60)),
            drain_delay: Span(Duration::ZERO),
            keep_alive: Span(Duration::from_secs(5)),
            client_keep_alive: Span(Duration::from_secs(75)),
            cors: CorsConfig::default(),
            state: None,
            tenants_file: None,
        }
    }
}

/// Checks the table and reads the key of the admin port.
pub(super) fn check(check: &mut Check, server: &ServerConfig) -> Option<SecretString> {
    if server.max_body.0 == 0 {
        check.problem("server.max_body", "0 is out of range; give a size like \"64MiB\"");
    }
    check.span("server.keep_alive", Some(server.keep_alive), server.keep_alive.0);
    check.span("server.client_keep_alive", Some(server.client_keep_alive), server.client_keep_alive.0);
    server.cors.check(check, server.auth == AuthMode::Keys);
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
