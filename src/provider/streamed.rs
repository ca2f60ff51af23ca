//! Answers that stream: whether one does, whether it begins with an error, and its pieces of text.

use bytes::{Bytes, BytesMut};
use futures_util::stream::{StreamExt, iter};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::common::unreadable;
use super::http::{Http, Response, classify, is_event_stream, too_large};
use super::{Failure, Outcome, Pieces};
use crate::task::TextDelta;
use crate::wire::Malformed;
use crate::wire::event::{error_in, error_of, moves};
use crate::wire::sse::{self, Begins, Event, Events};

/// An answer that a provider gives where a stream is asked for.
pub(super) enum Opened {
    /// Events, the first of which is no error.
    Events(Pieces<Bytes>),
    /// The whole answer, where the provider does not stream it.
    Whole(Bytes),
}

/// How one dialect's events are read.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// Reads a piece; `None` for the last event.
    pub(super) decode: fn(&str) -> Result<Option<TextDelta>, Malformed>,
    /// Says what an error among the events means.
    pub(super) refused: fn(&Value, &HeaderMap) -> Failure,
}

/// Waits for the first event, or for the whole of an answer that does not stream. What it is its first bytes say: content
/// types are missing, or wrong.
///
/// # Errors
///
/// The failure that the first event or the whole answer is: nothing has gone to the caller yet, so another attempt can
/// be made.
pub(super) async fn open(
    http: &Http,
    mut response: Response,
    refused: fn(&Value, &HeaderMap) -> Failure,
) -> Result<Opened, Failure> {
    let headers = std::mem::take(response.headers_mut());
    let mut chunks = http.chunks(response);
    let mut begun = BytesMut::new();
    let mut events = loop {
        let chunk = chunks.next().await.transpose()?;
        let is_over = chunk.is_none();
        let mut chunk = chunk.unwrap_or_default();
        if !begun.is_empty() {
            begun.extend_from_slice(&chunk);
            chunk = begun.split().freeze();
        }
        let streams = match sse::begins(&chunk) {
            Begins::Yes => true,
            Begins::No => false,
            Begins::Unknown if is_over => is_event_stream(&headers),
            Begins::Unknown => {
                // Blanks may come for ever.
                begun.extend_from_slice(sse::leading(&chunk));
                continue;
            }
        };
        if !streams {
            let body = rest(http, chunk, chunks).await?;
            let answer = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            return error_of(&answer).map_or(Ok(Opened::Whole(body)), |error| Err(refused(error, &headers)));
        }
        let mut events = Events::default();
        events.push(chunk).map_err(|error| unreadable(&error))?;
        break events;
    };
    let first = loop {
        if let Some(event) = std::iter::from_fn(|| events.next_event()).find(says) {
            break event;
        }
        let Some(chunk) = chunks.next().await else {
            let rest = events.rest().filter(says);
            break rest
                .ok_or_else(|| Failure::new(Outcome::Failed, "the provider's stream ended before its first event"))?;
        };
        events.push(chunk?).map_err(|error| unreadable(&error))?;
    };
    let data = first.payload().unwrap_or_default();
    if let Some(error) = error_in(&data) {
        return Err(refused(&error, &headers));
    }
    if !sse::is_whole(&data) {
        return Err(Failure::new(Outcome::Failed, "the provider's stream is none: its first event is no JSON"));
    }
    drop(data);
    let mut ready = vec![Ok(first.into_raw())];
    ready.extend(std::iter::from_fn(|| events.next_event()).map(|event| Ok(event.into_raw())));
    ready.extend(events.rest().map(|event| Ok(event.into_raw())));
    Ok(Opened::Events(iter(ready).chain(chunks).boxed()))
}

/// Says whether there is more to an event than comments, or the end of all.
fn says(event: &Event) -> bool {
    event.data().is_some_and(|data| data.trim() != "[DONE]")
}

/// Reads the rest of an answer that does not stream, up to the account's limit.
async fn rest(http: &Http, begun: Bytes, mut chunks: Pieces<Bytes>) -> Result<Bytes, Failure> {
    let mut body = BytesMut::from(begun);
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk?);
        if body.len() > http.max_response() {
            return Err(too_large(http.max_response()));
        }
    }
    Ok(body.freeze())
}

/// Cuts an event stream into pieces of text; it ends at `[DONE]`, at its end, or with the first error. Events that bring
/// nothing are passed over.
pub(super) fn deltas(chunks: Pieces<Bytes>, dialect: Dialect) -> Pieces<TextDelta> {
    let begin = Some((chunks, Events::default()));
    let batches = futures_util::stream::unfold(begin, move |state| async move {
        let (mut chunks, mut events) = state?;
        let mut pieces = Vec::new();
        while pieces.is_empty() {
            let ends = match chunks.next().await {
                Some(chunk) => chunk
                    .and_then(|chunk| events.push(chunk).map_err(|error| unreadable(&error)))
                    .and_then(|()| dialect.read(std::iter::from_fn(|| events.next_event()), &mut pieces)),
                None => dialect.last(events.rest(), &mut pieces).map(|()| true),
            };
            match ends {
                Ok(false) => {}
                Ok(true) => return Some((pieces, None)),
                Err(failure) => {
                    pieces.push(Err(failure));
                    return Some((pieces, None));
                }
            }
        }
        Some((pieces, Some((chunks, events))))
    });
    batches.fuse().flat_map(iter).boxed()
}

impl Dialect {
    /// Reads events, and says whether the last was among them.
    fn read(
        self,
        events: impl Iterator<Item = Event>,
        pieces: &mut Vec<Result<TextDelta, Failure>>,
    ) -> Result<bool, Failure> {
        for event in events {
            let Some(data) = event.data() else { continue };
            if let Some(error) = error_in(&*data) {
                return Err((self.refused)(&error, &HeaderMap::new()));
            }
            match (self.decode)(&data).map_err(|error| unreadable(&error))? {
                None => return Ok(true),
                Some(delta) if delta == TextDelta::default() && !moves(&*data) => {}
                Some(delta) => pieces.push(Ok(delta)),
            }
        }
        Ok(false)
    }

    /// Reads what stands behind the last blank line: some servers leave that out.
    fn last(self, rest: Option<Event>, pieces: &mut Vec<Result<TextDelta, Failure>>) -> Result<(), Failure> {
        let Some(rest) = rest else { return Ok(()) };
        if rest.payload().is_some_and(|data| !sse::is_whole(data)) {
            return Err(Failure::new(Outcome::Failed, "the provider's stream ended in the middle of an event"));
        }
        self.read(std::iter::once(rest), pieces).map(|_| ())
    }
}

/// Says what an error object means that came without a status of its own: by the status that it names, by its type, and
/// else that the provider failed at it.
pub(super) fn refused(error: &Value, headers: &HeaderMap) -> Failure {
    let word = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| {
        let value = error.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
    };
    let named = ["code", "status", "status_code", "http_code"].into_iter().find_map(number);
    let status = named.and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status));
    let status = status.or(match (word("type"), word("code")) {
        ("insufficient_quota" | "rate_limit_error" | "rate_limit_exceeded", _)
        | (_, "insufficient_quota" | "rate_limit_exceeded") => Some(429),
        ("overloaded_error", _) | (_, "overloaded_error") => Some(529),
        ("authentication_error", _) | (_, "invalid_api_key") => Some(401),
        ("invalid_request_error" | "BadRequestError", _) => Some(400),
        _ => None,
    });
    // One that names none says that the provider failed at it.
    let mut headers = headers.clone();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    classify(status.unwrap_or(500), &headers, json!({"error": error}).to_string().into())
}
