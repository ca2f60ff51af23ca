//! The HTTP client of an account, and what its answers mean to the controllers.

mod client;
mod connection;
mod driven;
mod key;
#[cfg(feature = "gateway")]
mod outside;
mod pool;
mod sending;
mod tls;

use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use hyper::body::Body as _;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;

use self::client::{Body, Broken, Client, MOST_IDLE, UNCOMPRESSED, causes};
pub(crate) use self::key::bearer;
pub(super) use self::key::secret_header;
#[cfg(feature = "gateway")]
pub(crate) use self::outside::client;
pub(in crate::provider) use self::sending::Sending;
pub(super) use self::tls::remedy;
pub(crate) use self::tls::tls;
pub(super) use super::classify::classify;
use super::headers::Unit;
use super::secrets::Secrets;
use super::{Failure, Outcome, Told};
use crate::config::Endpoint;
use crate::contract::attempt::TraceContext;

/// Most of an error's body that is read and passed on.
const MAX_ERROR_BODY: usize = 256 * 1024;
/// Headers in which services name a request: OpenAI and most, Anthropic, Azure, Amazon, Cloudflare.
const REQUEST_IDS: [&str; 6] =
    ["x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-amzn-requestid", "cf-ray"];
/// Longest of them, and of another header that is passed on, in bytes.
const LONGEST_ID: usize = 256;
/// Most of the provider's headers that are passed on.
const MOST_TOLD: usize = 16;

/// An answer whose body is still to be read.
pub(super) type Response = http::Response<Body>;

/// A provider's HTTP endpoint.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: Client,
    /// Headers that go with each request which has none of their name.
    headers: HeaderMap,
    base_url: Arc<str>,
    max_response: usize,
    secrets: Secrets,
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
        let headers =
            own_headers(endpoint)?.into_iter().chain(headers).filter_map(|(name, value)| Some((name?, value)));
        let mut headers: HeaderMap = headers.collect();
        headers.entry(ACCEPT_ENCODING).or_insert(UNCOMPRESSED);
        Ok(Self {
            client: Client::new(tls(endpoint.base_url.starts_with("https"), endpoint.authorities.as_ref())?, MOST_IDLE),
            headers,
            base_url: endpoint.base_url.as_str().into(),
            max_response: endpoint.max_response,
            secrets: Secrets::new(&*endpoint.guarded)?,
        })
    }

    /// Sends the trace context of an attempt along.
    pub(super) fn traced(request: Sending, trace: Option<&TraceContext>) -> Sending {
        let Some(trace) = trace else { return request };
        let state = trace.state.as_deref().map(|state| ("tracestate", state));
        let context = [Some(("traceparent", &*trace.parent)), state].into_iter().flatten();
        context.fold(request, |request, (name, value)| match HeaderValue::from_str(value) {
            Ok(value) => request.header(HeaderName::from_static(name), value),
            Err(_) => request,
        })
    }

    /// Begins a request to a whole address; whoever calls it answers for where the key goes.
    pub(super) fn request(&self, method: Method, url: Url) -> Sending {
        Sending::new(method, url)
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
    pub(super) async fn exchange(&self, request: Sending) -> Result<(u16, HeaderMap, Bytes), Failure> {
        self.whole(self.answer(&request, true).await?).await
    }

    /// As [`exchange`](Self::exchange), for a request that must not go twice.
    #[cfg(feature = "task")]
    pub(super) async fn exchange_once(&self, request: Sending) -> Result<(u16, HeaderMap, Bytes), Failure> {
        self.whole(self.answer(&request, false).await?).await
    }

    #[cfg(feature = "task")]
    async fn whole(&self, response: Response) -> Result<(u16, HeaderMap, Bytes), Failure> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, self.body(response).await?))
    }

    /// Sends a request: one that may go twice, over a connection that is there, and any other over one of its own. One that
    /// meets a connection which the provider closes just then goes again, at once, on a new one: that is no failure of the
    /// provider's.
    async fn answer(&self, request: &Sending, mut may_reuse: bool) -> Result<Response, Failure> {
        loop {
            let written = request.request(&self.headers).map_err(|problem| Failure::new(Outcome::Rejected, problem))?;
            match self.client.send(&request.url, written, may_reuse).await {
                Ok(response) => return readable(response),
                // Only one that was used before can be.
                Err(broken) if broken.is_stale => may_reuse = false,
                Err(broken) => return Err(transport(&broken)),
            }
        }
    }

    /// Sends a request and returns a successful response, or what its failure means.
    pub(super) async fn send(&self, request: Sending) -> Result<Response, Failure> {
        self.successful(None, self.answer(&request, true).await?).await
    }

    /// As [`send`](Self::send), for a request whose unit is known: limits on others say nothing about its refusal. One that
    /// goes `once` is not sent again, whatever its connection does.
    pub(super) async fn send_for(&self, unit: Unit, request: Sending, once: bool) -> Result<Response, Failure> {
        self.successful(Some(unit), self.answer(&request, !once).await?).await
    }

    async fn successful(&self, unit: Option<Unit>, response: Response) -> Result<Response, Failure> {
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, mut headers) = (response.status().as_u16(), response.headers().clone());
        if let Some(unit) = unit {
            unit.strip(&mut headers);
        }
        // A body that cannot be read does not change what the status says.
        let body = self.secrets.cut(read(response, MAX_ERROR_BODY).await.unwrap_or_default());
        let upstream_id = self.id_of(&headers);
        Err(Failure { upstream_id, ..classify(status, &headers, body) })
    }

    /// Reads a whole body, up to the account's limit.
    pub(super) async fn body(&self, response: Response) -> Result<Bytes, Failure> {
        Ok(self.secrets.cut(read(response, self.max_response).await?))
    }

    /// Returns the response's chunks; a break in the middle is an item.
    pub(super) fn chunks(&self, response: Response) -> BoxStream<'static, Result<Bytes, Failure>> {
        self.secrets.cut_stream(chunks(response))
    }

    /// Returns the name that the provider gave a request, by which its support finds it.
    pub(super) fn id_of(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let text = REQUEST_IDS.into_iter().find_map(|name| headers.get(name)?.to_str().ok());
        let text = text.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
        Some(self.secrets.cut_text(text).into())
    }

    /// Returns what the provider says beside its answer: its name for the request, and the headers of OpenAI's API.
    pub(super) fn told(&self, headers: &HeaderMap) -> Told {
        let own = headers.iter().filter(|(name, _)| name.as_str().starts_with("openai-"));
        let own =
            own.filter_map(|(name, value)| Some((name, value.to_str().ok().filter(|text| text.len() <= LONGEST_ID)?)));
        let cut = own.take(MOST_TOLD).map(|(name, text)| (name.as_str().into(), self.secrets.cut_text(text).into()));
        Told { headers: cut.collect(), id: self.id_of(headers) }
    }
}

/// Returns the headers that the configuration sends with each request.
///
/// # Errors
///
/// A sentence, when one cannot stand in a header.
pub(super) fn own_headers(endpoint: &Endpoint) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let agent = HeaderValue::from_str(&endpoint.user_agent).map_err(|_| "user_agent cannot stand in a header")?;
    headers.insert(USER_AGENT, agent);
    for header in &endpoint.headers {
        let name =
            HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| format!("{:?} is no header", header.name))?;
        headers.insert(name, secret_header(header.value.expose_secret())?);
    }
    Ok(headers)
}

/// Reads the address below which everything of an account is.
///
/// # Errors
///
/// A sentence that names it, where it is no address.
#[cfg(any(feature = "runware", feature = "task"))]
pub(super) fn address(base_url: &str) -> Result<Url, String> {
    Url::parse(base_url).map_err(|error| format!("base_url {base_url:?} is no address: {error}"))
}

fn chunks(response: Response) -> BoxStream<'static, Result<Bytes, Failure>> {
    let body = Some(response.into_body());
    let chunks = unfold(body, |body| async move {
        let mut body = body?;
        match next(&mut body).await? {
            Ok(chunk) => Some((Ok(chunk), Some(body))),
            Err(failure) => Some((Err(failure), None)),
        }
    });
    chunks.fuse().boxed()
}

/// Reads the next piece of a body; what stands behind it is passed over.
async fn next(body: &mut Body) -> Option<Result<Bytes, Failure>> {
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await? {
            Ok(frame) => {
                if let Ok(chunk) = frame.into_data() {
                    return Some(Ok(chunk));
                }
            }
            Err(cause) => return Some(Err(transport(&Broken { cause, is_connect: false, is_stale: false }))),
        }
    }
}

/// Words the failure of an answer that exceeds the account's limit.
pub(super) fn too_large(limit: usize) -> Failure {
    Failure::new(Outcome::Overloaded, format!("the answer is larger than {limit} bytes"))
}

/// Says whether a body is said to be an event stream; what it is its first bytes tell.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/event-stream")
}

async fn read(response: Response, limit: usize) -> Result<Bytes, Failure> {
    let mut rest = response.into_body();
    let expected = usize::try_from(rest.size_hint().exact().unwrap_or(0)).unwrap_or(usize::MAX);
    if expected > limit {
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = next(&mut rest).await {
        let chunk = chunk?;
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

/// Refuses an answer whose compression could not be taken off. Of a failure the status says enough, and names that are no
/// compression (`utf-8`) do no harm.
fn readable(response: Response) -> Result<Response, Failure> {
    const COMPRESSED: [&str; 7] = ["gzip", "x-gzip", "compress", "x-compress", "deflate", "br", "zstd"];
    let encoding = response.headers().get(CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let encoding = encoding.unwrap_or_default().to_ascii_lowercase();
    if !response.status().is_success() || !encoding.split(',').any(|name| COMPRESSED.contains(&name.trim())) {
        return Ok(response);
    }
    let message =
        format!("the provider's answer is encoded as {encoding:?}, which nobody asked for and cannot be read");
    Err(Failure { spent: true, ..Failure::new(Outcome::Failed, message) })
}

/// A connection that failed or broke: the provider is overloaded or gone.
fn transport(broken: &Broken) -> Failure {
    use std::io::{Error, ErrorKind::TimedOut};
    let causes: Vec<_> = causes(&*broken.cause).collect();
    let is_http = causes.iter().any(|cause| cause.is::<hyper::Error>());
    // What is not the connection's matter is the encoding's.
    if !broken.is_connect && !is_http {
        let message = "the provider's answer cannot be decoded: it is not what its content-encoding says";
        return Failure { spent: true, ..Failure::new(Outcome::Failed, message) };
    }
    let mut kinds = causes.iter().filter_map(|cause| cause.downcast_ref::<Error>()).map(Error::kind);
    let what = if broken.is_connect {
        "the provider cannot be reached"
    } else if kinds.any(|kind| kind == TimedOut) {
        "the provider did not answer in time"
    } else {
        "the connection to the provider broke"
    };
    let cause = causes.last().map_or(String::new(), |cause| format!(" ({cause}){}", remedy(&cause.to_string())));
    // A request that never had a connection was certainly not taken. One whose peer is not trusted never will be.
    let (spent, trusted) = (!broken.is_connect, remedy(&cause).is_empty());
    Failure { spent, unsent: !spent && trusted, ..Failure::new(Outcome::Overloaded, format!("{what}{cause}")) }
}

#[cfg(test)]
mod tests;
