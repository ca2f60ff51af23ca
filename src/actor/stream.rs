//! Streams that hold their slot: it ends with the stream, or at once when the stream is dropped.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(feature = "gateway")]
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt};

use super::handle::Settling;
use super::provider::Failure;
use crate::core::cost::Cost;
#[cfg(feature = "gateway")]
use crate::task::wire::usage::UsageFinder;
use crate::task::{TextDelta, Usage};

/// A stream with the slot that serves it; `usage` finds in an item what the generation used.
struct Held<T, F> {
    inner: BoxStream<'static, Result<T, Failure>>,
    /// Taken when the stream ends; dropped with the stream otherwise, which counts as cancelled.
    settling: Option<Settling>,
    usage: F,
}

impl<T, F: FnMut(&T) -> Option<Usage> + Unpin> Stream for Held<T, F> {
    type Item = Result<T, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.settling.is_none() {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let item = ready!(this.inner.poll_next_unpin(cx));
        match &item {
            Some(Ok(item)) => {
                if let (Some(usage), Some(settling)) = ((this.usage)(item), &mut this.settling) {
                    settling.usage = usage;
                    settling.cost = text_cost(usage);
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

/// Holds the slot of a text stream until it ends.
pub(crate) fn hold_deltas(
    inner: BoxStream<'static, Result<TextDelta, Failure>>,
    settling: Settling,
) -> BoxStream<'static, Result<TextDelta, Failure>> {
    Box::pin(Held { inner, settling: Some(settling), usage: |delta: &TextDelta| delta.usage })
}

/// Holds the slot of a chat that is streamed verbatim until it ends; what it used is read as it passes.
#[cfg(feature = "gateway")]
pub(crate) fn hold_chat(
    inner: BoxStream<'static, Result<Bytes, Failure>>,
    settling: Settling,
) -> BoxStream<'static, Result<Bytes, Failure>> {
    let mut finder = UsageFinder::default();
    Box::pin(Held { inner, settling: Some(settling), usage: move |chunk: &Bytes| finder.push(chunk) })
}
