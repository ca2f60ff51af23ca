//! Streams that hold their slot: it ends with the stream, or at once when the stream is dropped.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(feature = "gateway")]
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::StreamExt;

use super::handle::Settling;
use super::provider::{Failure, Pieces};
use super::streams::Streams;
use crate::core::cost::Cost;
use crate::task::Usage;
#[cfg(feature = "gateway")]
use crate::task::{output_units, wire::openai::Endpoint, wire::usage::UsageFinder};

/// What a piece tells of the work behind it.
struct Told {
    /// Work that went into it.
    units: u64,
    /// What the whole generation used and cost.
    end: Option<(Usage, Option<Cost>)>,
}

/// A stream with the slot that serves it; `read` reads what its pieces tell.
struct Held<T, F> {
    inner: Pieces<T>,
    /// Taken when the stream ends; dropped with the stream otherwise, which counts as cancelled.
    settling: Option<Settling>,
    read: F,
}

impl<T, F: FnMut(&T) -> Told + Unpin> Stream for Held<T, F> {
    type Item = Result<T, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.settling.is_none() {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let item = ready!(this.inner.poll_next_unpin(cx));
        match &item {
            Some(Ok(item)) => {
                if let Some(settling) = &mut this.settling {
                    let Told { units, end } = (this.read)(item);
                    settling.slot.spend(units);
                    if let Some((usage, cost)) = end {
                        (settling.usage, settling.cost) = (usage, cost);
                    }
                }
            }
            Some(Err(failure)) => {
                if let Some(settling) = this.settling.take() {
                    settling.slot.fail(failure);
                }
            }
            None => {
                if let Some(settling) = this.settling.take() {
                    settling.done();
                }
            }
        }
        Poll::Ready(item)
    }
}

/// Holds the slot of a task that is streamed until it ends.
pub(crate) fn hold<T: Streams>(inner: Pieces<T::Piece>, settling: Settling) -> Pieces<T::Piece> {
    let read =
        |piece: &T::Piece| Told { units: T::units(piece), end: T::usage(piece).map(|usage| (usage, T::spent(usage))) };
    Box::pin(Held { inner, settling: Some(settling), read })
}

/// Holds the slot of an answer that is streamed verbatim until it ends; what it used is read as it passes.
#[cfg(feature = "gateway")]
pub(crate) fn hold_verbatim(inner: Pieces<Bytes>, settling: Settling, endpoint: Endpoint) -> Pieces<Bytes> {
    let mut finder = UsageFinder::default();
    let read = move |chunk: &Bytes| told(&mut finder, endpoint, chunk);
    Box::pin(Held { inner, settling: Some(settling), read })
}

#[cfg(feature = "gateway")]
fn told(finder: &mut UsageFinder, endpoint: Endpoint, chunk: &[u8]) -> Told {
    let usage = finder.push(chunk);
    let events = finder.take_events();
    // Providers of text send an event for each token, or for a few.
    let units = if endpoint.is_text() { output_units(events) } else { 0 };
    Told { units, end: usage.map(|usage| (usage, endpoint.cost(usage))) }
}

#[cfg(all(test, feature = "gateway"))]
mod tests {
    use super::*;

    #[test]
    fn images_are_not_charged_by_the_token() {
        let chunk = b"event: image_generation.completed\ndata: {\"b64_json\":\"AA==\",\
            \"usage\":{\"input_tokens\":50,\"output_tokens\":4160}}\n\n";
        let read = |endpoint| {
            let Told { units, end } = told(&mut UsageFinder::default(), endpoint, chunk);
            let (usage, cost) = end.expect("it tells what it used");
            assert_eq!((usage.input_tokens, usage.output_tokens), (Some(50), Some(4160)));
            (units, cost)
        };
        assert_eq!(read(Endpoint::Chat), (2, Some(Cost::new(50 + 2 * 4160))));
        // Their prediction is in another unit, and stands.
        assert_eq!((read(Endpoint::Images), read(Endpoint::Edits)), ((0, None), (0, None)));
    }
}
