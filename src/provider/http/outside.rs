//! reqwest's client, for addresses that are no provider's.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap};

use super::client::UNCOMPRESSED;
use super::tls::tls;
use crate::config::Authorities;

/// Builds a client of reqwest's for the addresses below one base URL, where that is no provider's; `headers` go with every
/// request.
///
/// # Errors
///
/// A sentence, when TLS cannot be set up.
pub(crate) fn client(
    base_url: &str,
    own: Option<&Authorities>,
    mut headers: HeaderMap,
) -> Result<reqwest::Client, String> {
    headers.entry(ACCEPT_ENCODING).or_insert(UNCOMPRESSED);
    let builder = reqwest::Client::builder()
        .user_agent(crate::config::USER_AGENT)
        .default_headers(headers)
        .connect_timeout(Duration::from_secs(10))
        // A redirect would carry the key to wherever it points.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(60))
        .tls_backend_preconfigured(tls(base_url.starts_with("https"), own)?);
    builder.build().map_err(|error| format!("no HTTP client: {error}"))
}
