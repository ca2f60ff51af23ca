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
use crate::task::{output_units, wire::usage::UsageFinder};

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

/// The cost of text by what was used: input + 2 × output tokens, the unit its prediction was made in.
pub(crate) fn text_cost(usage: Usage) -> Option<Cost> {
    let (input, output) = (usage.input_tokens?, usage.output_tokens?);
    Some(Cost::new(input.saturating_add(output.saturating_mul(2))))
}

/// Holds the slot of a task that is streamed until it ends.
pub(crate) fn hold<T: Streams>(inner: Pieces<T::Piece>, settling: Settling) -> Pieces<T::Piece> {
    let read =
        |piece: &T::Piece| Told { units: T::units(piece), end: T::usage(piece).map(|usage| (usage, T::spent(usage))) };
    Box::pin(Held { inner, settling: Some(settling), read })
}

/// Holds the slot of a chat that is streamed verbatim until it ends; what it used is read as it passes.
#[cfg(feature = "gateway")]
pub(crate) fn hold_chat(inner: Pieces<Bytes>, settling: Settling) -> Pieces<Bytes> {
    let mut finder = UsageFinder::default();
    let read = move |chunk: &Bytes| {
        let usage = finder.push(chunk);
        // Providers send an event for each token, or for a few.
        Told { units: output_units(finder.take_events()), end: usage.map(|usage| (usage, text_cost(usage))) }
    };
    Box::pin(Held { inner, settling: Some(settling), read })
}
