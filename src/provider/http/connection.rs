//! A connection that is driven by the request which has it: no task of its own, no channel to one, no other thread woken.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_util::task::noop_waker;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection as Driver, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio_rustls::client::TlsStream;

use super::sending::Pieces;

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Pieces>,
    /// `None` once the connection has ended.
    driver: Option<Stream>,
    /// The address it leads to, of which only scheme, host and port count.
    url: Url,
    /// The runtime whose reactor it hangs on.
    pub(super) runtime: runtime::Id,
    /// Sweeps that the connection may stay idle.
    pub(super) patience: u32,
}

#[derive(Debug)]
enum Stream {
    Plain(Box<Driver<TokioIo<TcpStream>, Pieces>>),
    Tls(Box<Driver<TokioIo<TlsStream<TcpStream>>, Pieces>>),
}

impl Connection {
    pub(super) async fn plain(stream: TcpStream, url: &Url) -> hyper::Result<Self> {
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        Ok(Self::new(sender, Stream::Plain(Box::new(driver)), url))
    }

    pub(super) async fn tls(stream: TlsStream<TcpStream>, url: &Url) -> hyper::Result<Self> {
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        Ok(Self::new(sender, Stream::Tls(Box::new(driver)), url))
    }

    fn new(sender: SendRequest<Pieces>, driver: Stream, url: &Url) -> Self {
        let runtime = runtime::Handle::current().id();
        Self { sender, driver: Some(driver), url: url.clone(), runtime, patience: 0 }
    }

    /// Says whether the connection leads where an address does.
    pub(super) fn leads_to(&self, url: &Url) -> bool {
        let port = Url::port_or_known_default;
        self.url.scheme() == url.scheme() && self.url.host_str() == url.host_str() && port(&self.url) == port(url)
    }

    /// Moves bytes in both directions; ready when the connection has ended.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ended = match &mut self.driver {
            None => return Poll::Ready(()),
            Some(Stream::Plain(driver)) => ready!(Pin::new(driver).poll(cx)),
            Some(Stream::Tls(driver)) => ready!(Pin::new(driver).poll(cx)),
        };
        // The request that is under way hears it too.
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection to a provider broke");
        }
        self.driver = None;
        Poll::Ready(())
    }

    /// Says whether the connection can take a request: it has carried out the last one, and is not known to be closed.
    pub(super) fn is_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx).is_pending() && self.sender.is_ready()
    }

    /// As [`is_idle`](Self::is_idle), where nobody waits.
    pub(super) fn is_still_idle(&mut self) -> bool {
        self.is_idle(&mut Context::from_waker(&noop_waker()))
    }

    /// Sends a request and waits for the head of its answer. Where nothing was written, the error holds the request.
    pub(super) async fn send(
        &mut self,
        request: Request<Pieces>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Pieces>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            // The answer hears how the connection ended.
            let (Poll::Pending | Poll::Ready(())) = self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }
}
