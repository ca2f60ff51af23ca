//! The client of one account: it speaks HTTP/1.1, plain or over TLS, to whatever addresses its adapter names.
//!
//! It is hyper's connection, hyper-util's connector and tower-http's decoders, which are also what reqwest is made of,
//! without reqwest's own work and its task for each connection. Proxies and redirects are not followed. Results behind
//! addresses that a provider names, webhooks and OTLP go through reqwest, with its resolver for public addresses.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use hyper::body::Body as HttpBody;
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, HeaderValue};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower_http::decompression::Decompression;
use tower_service::Service;

use super::connection::Connection;
use super::driven::Driven;
use super::pool::Pool;
use super::sending::Pieces;

/// Longest that a connection takes to be made, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Asks the provider not to compress, which would hold streams back until there is enough to pack. An answer that is
/// compressed all the same is decoded.
pub(super) const UNCOMPRESSED: HeaderValue = HeaderValue::from_static("identity");
/// Most idle connections of an account, over all threads.
pub(super) const MOST_IDLE: usize = 4_096;
/// Silence after which a connection's other side is asked whether it is there, and time between questions.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Unanswered questions after which it is not.
const KEEP_ALIVE_TRIES: u32 = 3;
/// Longest that sent bytes stay unacknowledged before the connection counts as broken.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;

/// A client with connections of its own.
#[derive(Clone)]
pub(super) struct Client {
    connector: HttpConnector,
    tls: TlsConnector,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Why a request has no answer, or an answer no end.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) cause: BoxError,
    /// No connection was made: the request was not sent.
    pub(super) is_connect: bool,
    /// The connection was used before, and ended before its answer began.
    pub(super) is_stale: bool,
}

impl Broken {
    fn connect(cause: impl Into<BoxError>) -> Self {
        Self { cause: cause.into(), is_connect: true, is_stale: false }
    }
}

impl Client {
    /// Makes a client that keeps `most_idle` connections at most, over all threads.
    pub(super) fn new(mut tls: rustls::ClientConfig, most_idle: usize) -> Self {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEP_ALIVE));
        connector.set_keepalive_interval(Some(KEEP_ALIVE));
        connector.set_keepalive_retries(Some(KEEP_ALIVE_TRIES));
        #[cfg(target_os = "linux")]
        connector.set_tcp_user_timeout(Some(USER_TIMEOUT));
        Self { connector, tls: Arc::new(tls).into(), pool: Arc::new(Pool::new(most_idle)) }
    }

    /// Sends a request, over a connection that is idle where `may_reuse`, and over a new one otherwise.
    ///
    /// # Errors
    ///
    /// [`Broken`], when it may have been written and has no answer, or cannot be written at all.
    pub(super) async fn send(
        &self,
        url: &Url,
        mut request: Request<Pieces>,
        may_reuse: bool,
    ) -> Result<Response<Body>, Broken> {
        loop {
            let reused = if may_reuse { self.pool.take(url) } else { None };
            let is_reused = reused.is_some();
            let mut connection = match reused {
                Some(connection) => connection,
                // Boxed as what is rare and large: a request's future is copied around.
                None => Box::pin(self.connect(url)).await?,
            };
            match connection.send(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    // Nobody would take it: requests that go on connections of their own make new ones.
                    let pool = if may_reuse { Arc::downgrade(&self.pool) } else { Weak::new() };
                    let body = Driven::new(body, connection, &head.headers, pool);
                    let response = Response::from_parts(head, body);
                    if response.headers().contains_key(CONTENT_ENCODING) {
                        return Ok(Box::pin(decoded(response)).await);
                    }
                    return Ok(response.map(Body::AsItCame));
                }
                Err(mut error) => match error.take_message() {
                    // Nothing was written: the connection had been closed.
                    Some(unsent) if is_reused => request = unsent,
                    Some(_) => return Err(Broken::connect(error.into_error())),
                    None => {
                        let error = error.into_error();
                        let is_stale = is_reused && is_closed(&error);
                        return Err(Broken { cause: error.into(), is_connect: false, is_stale });
                    }
                },
            }
        }
    }

    async fn connect(&self, url: &Url) -> Result<Connection, Broken> {
        let made = tokio::time::timeout(CONNECT_TIMEOUT, async {
            let host = url.host_str().ok_or_else(|| Broken::connect("the address names no host"))?;
            let port = url.port_or_known_default().unwrap_or(80);
            let address = Uri::try_from(format!("{}://{host}:{port}", url.scheme())).map_err(Broken::connect)?;
            let mut connector = self.connector.clone();
            poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Broken::connect)?;
            let stream = connector.call(address).await.map_err(Broken::connect)?.into_inner();
            if url.scheme() != "https" {
                return Connection::plain(stream, url).await.map_err(Broken::connect);
            }
            let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(name).map_err(Broken::connect)?;
            let stream = self.tls.connect(name, stream).await.map_err(Broken::connect)?;
            Connection::tls(stream, url).await.map_err(Broken::connect)
        });
        let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "connecting took longer than 10 s");
        made.await.unwrap_or_else(|_| Err(Broken::connect(timed_out())))
    }
}

/// The body of an answer, as it is read.
pub(in crate::provider) enum Body {
    AsItCame(Driven),
    Decoded(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::AsItCame(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Decoded(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::AsItCame(body) => body.size_hint(),
            Self::Decoded(body) => body.size_hint(),
        }
    }
}

/// Takes compression off, which nobody asked for.
async fn decoded(response: Response<Driven>) -> Response<Body> {
    let Ok(response) = Decompression::new(Given).call(Request::new(response)).await;
    response.map(|body| Body::Decoded(Box::pin(body)))
}

/// The service that answers with what it is given: decompression stands around services.
struct Given;

impl Service<Request<Response<Driven>>> for Given {
    type Response = Response<Driven>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Driven>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, given: Request<Response<Driven>>) -> Self::Future {
        ready(Ok(given.into_body()))
    }
}

/// Says whether a connection ended before its answer began.
fn is_closed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let kinds = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || { kinds }
        .any(|kind| matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof))
}

/// Returns an error and what it comes from.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| Error::source(*cause))
}
