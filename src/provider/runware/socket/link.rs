//! Opening the connection: where to, TLS, handshake, authentication.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::config::Endpoint;
use crate::provider::http::{own_headers, remedy, tls};
use crate::provider::runware::common::Object;
use crate::provider::runware::refusals::failure;
use crate::provider::runware::told::{Told, text};
use crate::provider::secrets::Secrets;
use crate::provider::{Failure, Outcome};

/// Longest that opening and authenticating may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// A connection, plain or encrypted.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

pub(super) type Stream = WebSocketStream<Box<dyn Pipe>>;

/// Where the socket is.
pub(super) struct Address {
    host: String,
    port: u16,
    uri: String,
    tls: Option<TlsConnector>,
    headers: HeaderMap,
    secrets: Secrets,
    max_message: usize,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.uri)
    }
}

impl Address {
    /// Derives the socket's address from that of the REST API: the same, but for the service's own host.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, String> {
        let Endpoint { base_url, max_response: max_message, .. } = endpoint;
        let wrong = || format!("{base_url:?} is no URL of a provider");
        let url = reqwest::Url::parse(base_url).map_err(|_| wrong())?;
        let host = match url.host_str().ok_or_else(wrong)? {
            "api.runware.ai" => "ws-api.runware.ai",
            host => host,
        };
        let secure = url.scheme() == "https";
        let port = url.port_or_known_default().ok_or_else(wrong)?;
        let scheme = if secure { "wss" } else { "ws" };
        let tls =
            if secure { Some(TlsConnector::from(Arc::new(tls(true, endpoint.authorities.as_ref())?))) } else { None };
        let uri = format!("{scheme}://{host}:{port}{}", url.path());
        let host = host.trim_matches(['[', ']']).to_owned();
        let (headers, secrets) = (own_headers(endpoint)?, Secrets::new(&*endpoint.guarded)?);
        Ok(Self { host, port, uri, tls, headers, secrets, max_message: *max_message })
    }

    /// Reads a frame of the server's, without any of our keys.
    pub(super) fn object(&self, message: &Message) -> Option<Object> {
        let frame = match message {
            Message::Text(text) => Bytes::from(text.clone()),
            Message::Binary(bytes) => bytes.clone(),
            _ => return None,
        };
        read(&self.secrets.cut(frame))
    }

    async fn connect(&self) -> Result<Stream, Failure> {
        let failed = |what: &dyn std::fmt::Display| {
            Failure::new(
                Outcome::Overloaded,
                format!("the provider's socket cannot be reached ({what}){}", remedy(&what.to_string())),
            )
        };
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| failed(&error))?;
        tcp.set_nodelay(true).map_err(|error| failed(&error))?;
        let stream: Box<dyn Pipe> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| failed(&error))?;
                Box::new(tls.connect(name, tcp).await.map_err(|error| failed(&error))?)
            }
        };
        let config =
            WebSocketConfig::default().max_message_size(Some(self.max_message)).max_frame_size(Some(self.max_message));
        let mut request = self.uri.as_str().into_client_request().map_err(|error| failed(&error))?;
        request.headers_mut().extend(self.headers.clone());
        let opened = client_async_with_config(request, stream, Some(config)).await;
        opened.map(|(stream, _)| stream).map_err(|error| failed(&error))
    }

    /// Connects and authenticates; returns the session, where it has one: `session` where that is resumed.
    ///
    /// # Errors
    ///
    /// A failure of the account where the key is refused, of the provider otherwise.
    pub(super) async fn open(
        &self,
        key: Option<&SecretString>,
        session: Option<&str>,
    ) -> Result<(Stream, Option<String>), Failure> {
        let open = async {
            let mut stream = self.connect().await?;
            let mut hello = json!({"taskType": "authentication", "apiKey": key.map_or("", |key| key.expose_secret())});
            if let Some(session) = session {
                hello["connectionSessionUUID"] = session.into();
            }
            let lost = || Failure::new(Outcome::Overloaded, "the provider closed its socket while authenticating");
            stream.send(Message::text(json!([hello]).to_string())).await.map_err(|_| lost())?;
            loop {
                let message = stream.next().await.and_then(Result::ok).ok_or_else(lost)?;
                let Some(frame) = self.object(&message) else { continue };
                let Some(told) = Told::read(frame) else { continue };
                let errors: Vec<_> = told.errors.into_iter().map(|fault| fault.object).collect();
                if !errors.is_empty() {
                    return Err(failure(&errors, 401, &HeaderMap::new()));
                }
                let welcome = |item: &Object| text(item, "taskType") == "authentication";
                if let Some(item) = told.items.into_iter().find(welcome) {
                    let session = Some(text(&item, "connectionSessionUUID").to_owned());
                    return Ok((stream, session.filter(|session| !session.is_empty())));
                }
            }
        };
        let late = || Failure::new(Outcome::Overloaded, "the provider's socket did not open in time");
        tokio::time::timeout(OPEN_TIMEOUT, open).await.map_err(|_| late())?
    }
}

/// Reads a frame of the server's; what is none is skipped.
pub(in crate::provider) fn read(frame: &[u8]) -> Option<Object> {
    match serde_json::from_slice(frame) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}
