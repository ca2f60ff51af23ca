//! Connections that the other side has closed while they were idle: a request that meets one is our pool's mishap, not
//! the provider's.
//!
//! Servers close what they keep alive after a time of their own, some after each answer whatever they promised. The pool
//! hands out such a connection as long as the news is under way. What was written to it was read by nobody; but an answer
//! that never began looks the same where the server died at the request. So only a connection that was used before counts.

use std::cell::Cell;
use std::io;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use reqwest::{RequestBuilder, Response};
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    /// Whether a connection was opened for the request under way.
    static OPENED: Cell<bool>;
}

/// Sends a request, and says whether it met a connection that was closed already.
pub(super) async fn send(request: RequestBuilder) -> Result<Response, (reqwest::Error, bool)> {
    let sent = async {
        let sent = request.send().await;
        (sent, OPENED.with(Cell::get))
    };
    let (sent, opened) = OPENED.scope(Cell::new(false), sent).await;
    sent.map_err(|error| {
        let is_stale = !opened && is_closed(&error);
        (error, is_stale)
    })
}

/// Says whether a connection ended before its answer began.
fn is_closed(error: &reqwest::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.any(|cause| {
        let http = cause.downcast_ref::<hyper::Error>();
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        http.is_some_and(|error| error.is_incomplete_message() || error.is_canceled() || error.is_closed())
            || matches!(io, Some(BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof))
    })
}

/// Says whether an answer ended early because its connection did.
pub(super) fn is_broken(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.any(|cause| {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause.is::<hyper::Error>() || inner.is_some_and(|inner| inner.is::<hyper::Error>())
    })
}

/// Has a client note for which requests it opens connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoteOpened;

impl<S> Layer<S> for NoteOpened {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

/// Opens connections, and notes each where the request under way is its own: one that is opened in vain, because another
/// became free first, goes on in a task of its own.
#[derive(Debug, Clone)]
pub(super) struct Noting<S>(S);

impl<S, T> Service<T> for Noting<S>
where
    S: Service<T>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: T) -> Self::Future {
        let opening = self.0.call(target);
        Box::pin(async move {
            let opened = opening.await?;
            // Outside of a request of ours there is nobody to tell.
            OPENED.try_with(|note| note.set(true)).ok();
            Ok(opened)
        })
    }
}
