//! One HTTP client per account, and what its answers mean to the controllers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, IntoUrl, Method, RequestBuilder, Response, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};
use secrecy::{ExposeSecret, SecretString};

pub(super) use super::classify::classify;
use super::headers::Unit;
use super::{Failure, Outcome};
use crate::actor::witness::TraceContext;
use crate::config::{Authorities, Endpoint};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
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
        let client = client(&endpoint.base_url, endpoint.authorities.as_ref(), headers)?;
        Ok(Self { client, base_url: endpoint.base_url.as_str().into(), max_response: endpoint.max_response })
    }

    /// Posts JSON below the base URL.
    #[cfg(feature = "runware")]
    pub(super) fn post(&self, path: &str, body: Bytes) -> RequestBuilder {
        let url = format!("{}{path}", self.base_url);
        self.client.post(url).header("content-type", "application/json").body(body)
    }

    /// Sends the trace context of an attempt along.
    pub(super) fn traced(request: RequestBuilder, trace: Option<&TraceContext>) -> RequestBuilder {
        let Some(trace) = trace else { return request };
        let request = request.header("traceparent", &trace.parent);
        match &trace.state {
            Some(state) => request.header("tracestate", &**state),
            None => request,
        }
    }

    /// Begins a request to a whole address; whoever calls it answers for where the key goes.
    pub(super) fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Returns the address below which everything is.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Returns the most that a whole answer may take, in bytes.
    pub(super) fn max_response(&self) -> usize {
        self.max_response
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
        self.send_for(None, request).await
    }

    /// As [`send`](Self::send), for a request whose unit is known: limits on others say nothing about its refusal.
    pub(super) async fn send_for(&self, unit: Option<Unit>, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| transport(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, mut headers) = (response.status().as_u16(), response.headers().clone());
        if let Some(unit) = unit {
            unit.strip(&mut headers);
        }
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
pub(crate) fn client(base_url: &str, own: Option<&Authorities>, headers: HeaderMap) -> Result<Client, String> {
    Client::builder()
        .default_headers(headers)
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key to wherever it points.
        .redirect(redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(Duration::from_secs(60))
        .tls_backend_preconfigured(tls(base_url.starts_with("https"), own)?)
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

/// Sets up TLS without touching the process-wide default; an account without `https` trusts nobody, one with
/// authorities of `own` trusts these beside the system's.
///
/// # Errors
///
/// A sentence that says what is missing, or wrong with the file of certificates.
pub(crate) fn tls(https: bool, own: Option<&Authorities>) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let failed = |error| format!("TLS cannot be set up: {error}; are root certificates installed?");
    let config = config.map_err(failed)?;
    if !https {
        return Ok(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    }
    if let Some(own) = own {
        let wrong = |error: &dyn std::fmt::Display| format!("ca_file {} cannot be used: {error}", own.file.display());
        let roots: Vec<_> =
            CertificateDer::pem_slice_iter(&own.pem).collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(|error| wrong(&error))?;
        return Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth());
    }
    Ok(config.with_platform_verifier().map_err(failed)?.with_no_client_auth())
}

/// Returns the response's chunks; a break in the middle is an item.
pub(super) fn chunks(response: Response) -> BoxStream<'static, Result<Bytes, Failure>> {
    response.bytes_stream().map(|chunk| chunk.map_err(|error| transport(&error))).boxed()
}

/// What an answer is that exceeds the account's limit.
pub(super) fn too_large(limit: usize) -> Failure {
    Failure::new(Outcome::Overloaded, format!("the answer is larger than {limit} bytes"))
}

/// Says whether a body is said to be an event stream; what it is its first bytes tell.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
}

async fn read(response: Response, limit: usize) -> Result<Bytes, Failure> {
    let expected = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(too_large(limit));
    }
    let mut chunks = response.bytes_stream();
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| transport(&error))?;
        if first.len().max(body.len()) + chunk.len() > limit {
            return Err(too_large(limit));
        }
        // Most small bodies are one chunk, which is then passed on as it is.
        if first.is_empty() {
            first = chunk;
            continue;
        }
        if body.is_empty() {
            body.reserve(expected.max(first.len() + chunk.len()));
            body.extend_from_slice(&first);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() { first } else { body.freeze() })
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
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let cause = causes.last().map_or(String::new(), |cause| format!(" ({cause}){}", remedy(&cause.to_string())));
    // A request that never had a connection was certainly not taken.
    let unsent = error.is_connect();
    Failure { spent: !unsent, unsent, ..Failure::new(Outcome::Overloaded, format!("{what}{cause}")) }
}

/// Says what helps against a certificate that is not trusted; nothing where that is not the trouble.
pub(super) fn remedy(cause: &str) -> &'static str {
    let unknown = cause.contains("UnknownIssuer") || cause.contains("invalid peer certificate");
    if unknown { "; if its certificate comes from an authority of your own, name that in ca_file" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_key_is_never_repeated() {
        let value = bearer(&SecretString::from("sk-123")).expect("valid");
        assert!(!format!("{value:?}").contains("sk-123"));
    }
}
