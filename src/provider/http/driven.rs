//! The body of an answer, which drives its connection while it is read.

use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use reqwest::header::HeaderMap;

use super::connection::Connection;
use super::pool::{Pool, patience};

/// The body of an answer, which drives its connection while it is read, and gives it back at its end.
#[derive(Debug)]
pub(in crate::provider) struct Driven {
    /// `None` once the body has ended.
    body: Option<Incoming>,
    connection: Option<Connection>,
    pool: Weak<Pool>,
}

impl Driven {
    pub(super) fn new(body: Incoming, mut connection: Connection, headers: &HeaderMap, pool: Weak<Pool>) -> Self {
        connection.patience = patience(headers);
        Self { body: Some(body), connection: Some(connection), pool }
    }

    /// Gives the connection back where it is clean; closes it otherwise.
    fn end(&mut self) {
        self.body = None;
        if let (Some(mut connection), Some(pool)) = (self.connection.take(), self.pool.upgrade())
            && connection.is_still_idle()
        {
            pool.put(connection);
        }
    }
}

impl HttpBody for Driven {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let mut next = Pin::new(&mut *body).poll_frame(cx);
        if next.is_pending() {
            // What ended the connection hears the body.
            if let Some(connection) = &mut this.connection {
                let (Poll::Pending | Poll::Ready(())) = connection.drive(cx);
            }
            next = Pin::new(body).poll_frame(cx);
        }
        match next {
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
            Poll::Ready(None) => this.end(),
            Poll::Ready(Some(Err(_))) => (this.body, this.connection) = (None, None),
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Driven {
    /// Keeps the connection where only the end of the body was not read any more.
    fn drop(&mut self) {
        self.end();
    }
}
