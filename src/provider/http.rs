//! One HTTP client per account, and what its answers mean to the controllers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, IntoUrl, Method, RequestBuilder, Response, redirect};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};

use super::headers::{hints, retry_after};
use super::{Failure, Outcome, RateHints, Upstream};
use crate::config::Endpoint;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a route rests whose key or quota the provider refuses, where it does not say.
const SUSPENSION: Duration = Duration::from_secs(30);
/// Most of an error's body that is read and passed on.
const MAX_ERROR_BODY: usize = 256 * 1024;

/// A provider's HTTP endpoint.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    base_url: Arc<str>,
    max_response: usize,
}

impl Http {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &endpoint.api_key {
            headers.insert(AUTHORIZATION, bearer(key)?);
        }
        Self::with_headers(endpoint, headers)
    }

    /// As [`new`](Self::new), with the key in headers of the provider's own choice.
    pub(super) fn with_headers(endpoint: &Endpoint, headers: HeaderMap) -> Result<Self, String> {
        let client = client(&endpoint.base_url, headers)?;
        Ok(Self { client, base_url: endpoint.base_url.as_str().into(), max_response: endpoint.max_response })
    }

    /// Posts JSON below the base URL.
    #[cfg(feature = "runware")]
    pub(super) fn post(&self, path: &str, body: Bytes) -> RequestBuilder {
        let url = format!("{}{path}", self.base_url);
        self.client.post(url).header(CONTENT_TYPE, "application/json").body(body)
    }

    /// Begins a request to a whole address; whoever calls it answers for where the key goes.
    pub(super) fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Returns the address below which everything is.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends a request and reads the whole answer, whatever its status.
    #[cfg(feature = "task")]
    pub(super) async fn exchange(&self, request: RequestBuilder) -> Result<(u16, HeaderMap, Bytes), Failure> {
        let response = request.send().await.map_err(|error| transport(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, self.body(response).await?))
    }

    /// Sends a request and returns a successful response, or what its failure means.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| transport(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        // A body that cannot be read does not change what the status says.
        let body = read(response, MAX_ERROR_BODY).await.unwrap_or_default();
        Err(classify(status, &headers, body))
    }

    /// Reads a whole body, up to the account's limit.
    pub(super) async fn body(&self, response: Response) -> Result<Bytes, Failure> {
        read(response, self.max_response).await
    }
}

/// Builds a client for the addresses below one base URL; `headers` go with every request.
///
/// # Errors
///
/// A sentence, when TLS cannot be set up.
pub(crate) fn client(base_url: &str, headers: HeaderMap) -> Result<Client, String> {
    Client::builder()
        .default_headers(headers)
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key to wherever it points.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(60))
        .tls_backend_preconfigured(tls(base_url.starts_with("https"))?)
        .build()
        .map_err(|error| format!("no HTTP client: {error}"))
}

/// Writes a key as the header that carries it, marked as sensitive.
///
/// # Errors
///
/// A sentence, when the key cannot stand in a header.
pub(crate) fn bearer(key: &SecretString) -> Result<HeaderValue, String> {
    secret_header(&format!("Bearer {}", key.expose_secret()))
}

/// Writes a header that holds a key, marked as sensitive.
///
/// # Errors
///
/// A sentence, when the key cannot stand in a header.
pub(super) fn secret_header(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| "the key has characters that cannot stand in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sets up TLS without touching the process-wide default; an account without `https` trusts nobody.
pub(crate) fn tls(https: bool) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let failed = |error| format!("TLS cannot be set up: {error}; are root certificates installed?");
    let config = config.map_err(failed)?;
    if !https {
        return Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    }
    Ok(config.with_platform_verifier().map_err(failed)?.with_no_client_auth())
}

/// Returns the response's chunks; a break in the middle is an item.
pub(super) fn chunks(response: Response) -> BoxStream<'static, Result<Bytes, Failure>> {
    response.bytes_stream().map(|chunk| chunk.map_err(|error| transport(&error))).boxed()
}

async fn read(response: Response, limit: usize) -> Result<Bytes, Failure> {
    let too_large = || Failure::new(Outcome::Overloaded, format!("the answer is larger than {limit} bytes"));
    let expected = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(too_large());
    }
    let mut chunks = chunks(response);
    let mut body = BytesMut::with_capacity(expected);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A connection that failed or broke: the provider is overloaded or gone.
fn transport(error: &reqwest::Error) -> Failure {
    let what = if error.is_connect() {
        "the provider cannot be reached"
    } else if error.is_timeout() {
        "the provider did not answer in time"
    } else {
        "the connection to the provider broke"
    };
    // The URL stays out of it: it may hold what should not be logged.
    let cause = std::error::Error::source(error).map_or(String::new(), |cause| format!(" ({cause})"));
    // A request that never had a connection was certainly not taken.
    let spent = !error.is_connect();
    Failure { spent, ..Failure::new(Outcome::Overloaded, format!("{what}{cause}")) }
}

/// Says what a status, its headers and its body mean.
///
/// A 429 is read as concurrency unless something speaks of a rate: a wrong guess that way costs throughput for a while,
/// the other way round it would never find the cap.
pub(super) fn classify(status: u16, headers: &HeaderMap, body: Bytes) -> Failure {
    let text = String::from_utf8_lossy(&body[..body.len().min(4_096)]).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let stated = retry_after(headers);
    let hints = hints(headers);
    let used_up = [hints.requests, hints.tokens].into_iter().flatten().any(|hint| hint.remaining < 1.0);
    let quota = says(&["insufficient_quota", "insufficientcredits", "billing", "credit balance", "payment"]);
    let (outcome, account_wide, retry_after) = match status {
        401 | 402 => (Outcome::RateLimited, true, Some(stated.unwrap_or(SUSPENSION))),
        429 if quota => (Outcome::RateLimited, true, Some(stated.unwrap_or(SUSPENSION))),
        429 if says(&["concurren"]) => (Outcome::Throttled, false, stated),
        429 if used_up || says(&["per min", "per second", "per day", "per hour", "rpm", "tpm", "tokens per"]) => {
            (Outcome::RateLimited, false, stated.or(reset_of(hints)))
        }
        429 => (Outcome::Throttled, false, stated),
        408 | 502 | 503 | 504 | 529 => (Outcome::Overloaded, false, stated),
        _ => (Outcome::Rejected, false, None),
    };
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    // Our own credentials are not the caller's fault, and a provider's words about them are not for the caller.
    let upstream = (outcome == Outcome::Rejected).then(|| Upstream {
        status,
        content_type: content_type.to_owned(),
        body: body.clone(),
    });
    let message = match status {
        401 | 402 => format!("the provider refused the configured account (status {status})"),
        _ => format!("the provider answered {status}"),
    };
    Failure { retry_after, account_wide, hints, upstream, ..Failure::new(outcome, message) }
}

/// Returns when a dimension that is used up has something again, by the headers.
fn reset_of(hints: RateHints) -> Option<Duration> {
    let used_up = [hints.requests, hints.tokens].into_iter().flatten().filter(|hint| hint.remaining < 1.0);
    used_up
        .filter_map(|hint| {
            // The reset names the full bucket; one unit of it is back after its share of that time.
            let units = hint.limit.filter(|limit| *limit >= 1.0).unwrap_or(1.0);
            hint.reset.map(|reset| reset.div_f64(units))
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        let outcome = |status, pairs: &[(&'static str, &str)], body: &'static str| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
                .collect();
            let failure = classify(status, &headers, Bytes::from_static(body.as_bytes()));
            (failure.outcome, failure.account_wide, failure.upstream.is_some())
        };
        let throttled = (Outcome::Throttled, false, false);
        let limited = (Outcome::RateLimited, false, false);
        let suspended = (Outcome::RateLimited, true, false);
        let left = ("x-ratelimit-remaining-requests", "12");
        let none_left = ("x-ratelimit-remaining-requests", "0");
        for (status, pairs, body, expected) in [
            (429, &[][..], "", throttled),
            (429, &[], r#"{"error":{"type":"rate_limit_error","code":"rate_limit_exceeded"}}"#, throttled),
            (429, &[left], "rate limit", throttled),
            (429, &[none_left], "", limited),
            (429, &[none_left], "too many concurrent requests", throttled),
            (429, &[], "Limit 3 requests per min (RPM)", limited),
            (429, &[], r#"{"error":{"code":"insufficient_quota"}}"#, suspended),
            (401, &[], "bad key sk-123", suspended),
            (503, &[], "", (Outcome::Overloaded, false, false)),
            (529, &[], "", (Outcome::Overloaded, false, false)),
            (400, &[], "bad prompt", (Outcome::Rejected, false, true)),
            (500, &[], "", (Outcome::Rejected, false, true)),
        ] {
            assert_eq!(outcome(status, pairs, body), expected, "{status} {pairs:?} {body}");
        }
    }

    #[test]
    fn our_key_is_never_repeated() {
        let failure = classify(401, &HeaderMap::new(), Bytes::from_static(b"incorrect key sk-123"));
        assert!(!format!("{failure:?} {failure}").contains("sk-123"));
        let value = bearer(&SecretString::from("sk-123")).expect("valid");
        assert!(!format!("{value:?}").contains("sk-123"));
    }
}
