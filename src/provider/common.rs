//! What the HTTP providers share: answers that stream, and answers that cannot be read.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

use super::{Failure, Outcome};
use crate::core::cost::Cost;
use crate::task::wire::Malformed;
use crate::task::wire::sse::Events;
use crate::task::{Product, Task, TextDelta, Work};

/// A 2xx that cannot be read: the provider is not well, and another attempt may be.
pub(super) fn unreadable(error: &Malformed) -> Failure {
    Failure::new(Outcome::Overloaded, format!("the provider's answer cannot be read: {error}"))
}

/// Cuts an event stream into pieces of text; it ends at `[DONE]`, at its end, or with the first error.
pub(super) fn deltas(
    chunks: BoxStream<'static, Result<Bytes, Failure>>,
    decode: fn(&str) -> Result<Option<TextDelta>, Malformed>,
) -> BoxStream<'static, Result<TextDelta, Failure>> {
    struct State {
        chunks: BoxStream<'static, Result<Bytes, Failure>>,
        events: Events,
        ready: VecDeque<TextDelta>,
        ended: bool,
    }
    let state = State { chunks, events: Events::default(), ready: VecDeque::new(), ended: false };
    futures_util::stream::unfold(state, move |mut state| async move {
        loop {
            if let Some(delta) = state.ready.pop_front() {
                return Some((Ok(delta), state));
            }
            if state.ended {
                return None;
            }
            let step = match state.chunks.next().await {
                None => {
                    state.ended = true;
                    continue;
                }
                Some(chunk) => chunk.and_then(|chunk| state.events.push(&chunk).map_err(|error| unreadable(&error))),
            };
            let read = step.and_then(|()| {
                while let Some(event) = state.events.next_event() {
                    match decode(&event).map_err(|error| unreadable(&error))? {
                        Some(delta) => state.ready.push_back(delta),
                        None => state.ended = true,
                    }
                }
                Ok(())
            });
            if let Err(failure) = read {
                state.ended = true;
                return Some((Err(failure), state));
            }
        }
    })
    .boxed()
}

/// The cost by what was delivered: tokens where they are told, else the predicted cost less what is missing.
pub(super) fn actual_cost(work: &Work, product: &Product) -> Option<Cost> {
    let (asked, delivered) = match (work, product) {
        (Work::Image(task), Product::Image(result)) => (task.count, result.images.len()),
        (Work::Video(task), Product::Video(result)) => (task.count, result.videos.len()),
        (Work::Audio(task), Product::Audio(result)) => (task.count, result.audios.len()),
        (Work::Text(_), Product::Text(result)) => return result.usage.text_cost(),
        (Work::Embedding(_), Product::Embedding(result)) => return result.usage.input_tokens.map(Cost::new),
        _ => return None,
    };
    let each = u64::from(work.cost().units()) / asked.max(1);
    Some(Cost::new(each.saturating_mul(delivered as u64)))
}
