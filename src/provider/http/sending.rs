//! A request whose body is a chain of slices, and which can be sent again.
//!
//! The HTTP client repeats bodies of one piece by itself; of a chain it would have to copy all. So the chain is kept beside
//! the request, and put under each sending of it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use reqwest::RequestBuilder;

use crate::wire::Body;

/// A request, and its body where that is not part of it yet.
#[derive(Debug)]
pub(in crate::provider) struct Sending {
    head: RequestBuilder,
    body: Option<Body>,
}

impl Sending {
    /// Puts a request and its body together.
    #[cfg(any(feature = "openai", feature = "task"))]
    pub(in crate::provider) fn new(head: RequestBuilder, body: Body) -> Self {
        Self { head, body: Some(body) }
    }

    /// Returns the same sending once more; `None` where its body cannot be repeated.
    pub(super) fn try_clone(&self) -> Option<Self> {
        Some(Self { head: self.head.try_clone()?, body: self.body.clone() })
    }

    /// Returns the request as the HTTP client takes it.
    pub(super) fn whole(self) -> RequestBuilder {
        match self.body {
            None => self.head,
            Some(body) => self.head.body(sent(body)),
        }
    }
}

impl From<RequestBuilder> for Sending {
    /// Takes a request that is whole.
    fn from(head: RequestBuilder) -> Self {
        Self { head, body: None }
    }
}

/// Returns a body as the HTTP client takes it; its length is known in either case.
fn sent(body: Body) -> reqwest::Body {
    if body.pieces().len() <= 1 {
        return body.joined().into();
    }
    let left = body.len() as u64;
    reqwest::Body::wrap(Pieces { rest: body.into_pieces().into_iter(), left })
}

/// Pieces of a body on their way out.
struct Pieces {
    rest: IntoIter<Bytes>,
    /// Bytes of the pieces that are left.
    left: u64,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.rest.next();
        self.left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
