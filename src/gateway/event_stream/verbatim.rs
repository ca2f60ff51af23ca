//! A provider's events on their way to the caller, as they came: whole ones, looked at as they pass.

use std::future::ready;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{StreamExt, once, unfold};

use super::writer::{Events, Writer};
use crate::clock::Clock;
use crate::core::outcome::Outcome;
use crate::core::time::Time;
use crate::engine::caller::slot::Settling;
use crate::engine::caller::stream::{Told, hold_with};
use crate::provider::{Failure, Pieces};
use crate::task::output_units;
use crate::wire::event::{error_in, moves};
use crate::wire::openai::Endpoint;
use crate::wire::sse::{self, Event};
use crate::wire::usage::{tokens_in, usage_in};

/// For how long after an event that brings something new others are taken to do so too, without being parsed.
const TRUST: Duration = Duration::from_secs(1);
/// Bytes that end an event whose own end was left out.
const END: &[u8] = b"\n\n";

/// Forwards whole events. A break shows as an event of its own: bytes that just end would look like a whole answer.
pub(super) fn forward(chunks: Pieces<Bytes>, settling: Settling, mut writer: Writer) -> Events {
    let clock = settling.slot.clock();
    let mut reader = Reader { endpoint: writer.endpoint(), clock, moved: Time::ZERO };
    hold_with(cut(chunks), settling, move |events: &Vec<Event>| reader.read(events))
        .map(move |piece| match piece {
            Ok(events) => join(events.into_iter().filter_map(|event| writer.pass(event)).collect()),
            Err(failure) => (writer.failure(&failure) + &writer.close()).into(),
        })
        .filter(|passed: &Bytes| ready(!passed.is_empty()))
        .map(Ok)
        .boxed_local()
}

/// Cuts chunks into the events that end in them. Half an event at the end is none, and neither is one that is no JSON:
/// clients would stumble over it.
fn cut(chunks: Pieces<Bytes>) -> Pieces<Vec<Event>> {
    let begin = Some((chunks, sse::Events::default()));
    unfold(begin, |state| async move {
        let (mut chunks, mut events) = state?;
        loop {
            let Some(chunk) = chunks.next().await else {
                // Some servers leave out the last blank line.
                return match events.rest().map(|rest| whole(&rest).ok_or_else(broken_off)) {
                    None => None,
                    Some(Ok(last)) => Some((Ok(vec![last]), None)),
                    Some(Err(failure)) => Some((Err(failure), None)),
                };
            };
            let taken = chunk
                .and_then(|chunk| events.push(chunk).map_err(|error| Failure::new(Outcome::Failed, error.to_string())));
            if let Err(failure) = taken {
                return Some((Err(failure), None));
            }
            let mut whole: Vec<Event> = std::iter::from_fn(|| events.next_event()).collect();
            if let Some(noise) = whole.iter().position(|event| !is_legible(event)) {
                whole.truncate(noise);
                let failure = Failure::new(Outcome::Failed, "the provider's stream broke off: an event is no JSON");
                chunks = once(ready(Err(failure))).boxed();
            }
            if !whole.is_empty() {
                return Some((Ok(whole), Some((chunks, events))));
            }
        }
    })
    .boxed()
}

/// Says whether clients can read an event: it begins with a field or a comment, and its payload is JSON, the mark of the
/// end, or nothing.
fn is_legible(event: &Event) -> bool {
    let is_noise = matches!(sse::begins(event.raw()), sse::Begins::No);
    !is_noise && event.payload().is_none_or(|data| data.trim_ascii().is_empty() || sse::is_whole(data))
}

/// Gives an event the end that it lacks, where its payload is whole.
fn whole(rest: &Event) -> Option<Event> {
    let is_whole = rest.payload().is_none_or(sse::is_whole);
    is_whole.then(|| Event::from(Bytes::from([rest.raw(), END].concat())))
}

fn broken_off() -> Failure {
    Failure::new(Outcome::Failed, "the provider's stream ended in the middle of an event")
}

/// Puts events together again; one by itself, which is the rule, is not copied.
fn join(mut events: Vec<Event>) -> Bytes {
    if events.len() == 1
        && let Some(event) = events.pop()
    {
        return event.into_raw();
    }
    let mut all = BytesMut::with_capacity(events.iter().map(|event| event.raw().len()).sum());
    events.iter().for_each(|event| all.extend_from_slice(event.raw()));
    all.freeze()
}

/// Reads what events tell of the work behind them.
struct Reader {
    endpoint: Endpoint,
    clock: Clock,
    /// When something new last came.
    moved: Time,
}

impl Reader {
    fn read(&mut self, events: &[Event]) -> Told {
        let mut told = Told { is_idle: true, ..Told::default() };
        let now = self.clock.now();
        for event in events {
            let Some(data) = event.payload() else { continue };
            told.end = usage_in(&data).map(|usage| (usage, self.endpoint.cost(usage))).or(told.end);
            told.units += if self.endpoint.is_text() { output_units(tokens_in(&data)) } else { 0 };
            if let Some(error) = error_in(&data) {
                let words = error.get("message").and_then(serde_json::Value::as_str).unwrap_or("no reason given");
                told.broken = Some(Failure::new(Outcome::Failed, format!("the provider broke off: {words}")));
            }
            if now.since(self.moved) < TRUST {
                told.is_idle = false;
            } else if moves(&data) {
                (self.moved, told.is_idle) = (now, false);
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::iter;

    use super::*;
    use crate::core::cost::Cost;

    fn reader(endpoint: Endpoint) -> Reader {
        Reader { endpoint, clock: Clock::start(), moved: Time::ZERO }
    }

    fn events(text: &'static str) -> Vec<Event> {
        let mut events = sse::Events::default();
        events.push(text).expect("small");
        std::iter::from_fn(|| events.next_event()).collect()
    }

    #[test]
    fn images_are_not_charged_by_the_token() {
        let chunk = events(
            "event: image_generation.completed\ndata: {\"b64_json\":\"AA==\",\"delta\":\"a\",\
             \"usage\":{\"input_tokens\":50,\"output_tokens\":4160}}\n\n",
        );
        let read = |endpoint| {
            let Told { units, end, .. } = reader(endpoint).read(&chunk);
            let (usage, cost) = end.expect("it tells what it used");
            assert_eq!((usage.input_tokens, usage.output_tokens), (Some(50), Some(4160)));
            (units, cost)
        };
        assert_eq!(read(Endpoint::Chat), (2, Some(Cost::new(50 + 2 * 4160))));
        // Their prediction is in another unit, and stands.
        assert_eq!((read(Endpoint::Images), read(Endpoint::Edits)), ((0, None), (0, None)));
    }

    #[test]
    fn an_error_that_passes_is_noticed() {
        let mut reader = reader(Endpoint::Chat);
        assert!(reader.read(&events("data: {\"error\":null,\"choices\":[]}\n\n")).broken.is_none());
        let told = reader.read(&events("data: {\"error\":{\"message\":\"out of memory\"}}\n\n"));
        assert_eq!(told.broken.expect("it failed").message, "the provider broke off: out of memory");
    }

    #[tokio::test]
    async fn only_whole_events_pass() {
        let read = |chunks: &'static [&'static str]| async {
            let chunks = chunks.iter().map(|chunk| match *chunk {
                "RESET" => Err(Failure::new(Outcome::Overloaded, "reset")),
                chunk => Ok(Bytes::from_static(chunk.as_bytes())),
            });
            let pieces: Vec<_> = cut(iter(chunks).boxed()).collect().await;
            let words = pieces.into_iter().map(|piece| match piece {
                Ok(events) => String::from_utf8(join(events).to_vec()).expect("text"),
                Err(failure) => failure.message,
            });
            words.collect::<Vec<_>>()
        };
        assert_eq!(
            read(&["data: 1\n\nda", "ta: 2\n", "\ndata: {\"a", "RESET"]).await,
            ["data: 1\n\n", "data: 2\n\n", "reset"]
        );
        assert_eq!(read(&["data: 1\n\ndata: [DONE]"]).await, ["data: 1\n\n", "data: [DONE]\n\n"]);
        assert_eq!(read(&["data: {\"a\":1}\n"]).await, ["data: {\"a\":1}\n\n\n"]);
        let half = read(&["data: 1\n\ndata: {\"a\":"]).await;
        assert_eq!(half, ["data: 1\n\n", "the provider's stream ended in the middle of an event"]);
        let noise = "the provider's stream broke off: an event is no JSON";
        assert_eq!(
            read(&["data: 1\n\n: comment\n\ndata:\n\ndata: {nonsense\n\ndata: 2\n\n", "data: 3\n\n"]).await,
            ["data: 1\n\n: comment\n\ndata:\n\n", noise]
        );
        assert_eq!(read(&["data: 1\n\n", "data: \u{0}\n\n", "data: 3\n\n"]).await, ["data: 1\n\n", noise]);
        assert_eq!(read(&["data: 1\n\nbytes\n\n"]).await, ["data: 1\n\n", noise]);
    }
}
