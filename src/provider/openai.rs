//! OpenAI's API, and the many servers that speak it.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::headers::hints;
use super::http::{Http, chunks};
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, Reply, Upstream};
use crate::actor::stream::text_cost;
use crate::config::Endpoint;
use crate::core::cost::Cost;
use crate::task::wire::openai::{self, OpenAiRequest};
use crate::task::wire::sse::Events;
use crate::task::wire::{Malformed, Wire};
use crate::task::{Request, TextDelta, Usage, Work};

/// An account at an OpenAI-compatible service.
#[derive(Debug)]
pub(super) struct OpenAi {
    http: Http,
}

/// The one part of an answer that scheduling reads.
#[derive(Deserialize)]
struct WithUsage {
    usage: Option<Map<String, Value>>,
}

impl OpenAi {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, String> {
        Ok(Self { http: Http::new(endpoint)? })
    }

    /// Forwards a request of this dialect and its answer as they are.
    async fn forward(&self, request: &OpenAiRequest, attempt: &Attempt) -> Result<Answer, Failure> {
        let body = request.body_for(attempt.upstream_model());
        let response = self.http.send(self.http.post(request.endpoint.path(), body)).await?;
        let (status, hints) = (response.status().as_u16(), hints(response.headers()));
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or("application/json").to_owned();
        if request.stream && content_type.starts_with("text/event-stream") {
            return Ok(Answer { hints, ..Answer::new(Reply::Stream(chunks(response))) });
        }
        let body = self.http.body(response).await?;
        let usage = serde_json::from_slice::<WithUsage>(&body).ok().and_then(|told| told.usage);
        let usage = usage.as_ref().map(Usage::from_json).unwrap_or_default();
        let cost = actual_cost(request.endpoint, usage);
        Ok(Answer { reply: Reply::Verbatim(Upstream { status, content_type, body }), usage, cost, hints })
    }

    async fn make(&self, work: &Work, attempt: &Attempt) -> Result<Answer, Failure> {
        let Some((endpoint, body)) = openai::encode(work, attempt.upstream_model()) else {
            let message = format!("an openai provider cannot do {} tasks", work.kind());
            return Err(Failure::new(Outcome::Rejected, message));
        };
        let response = self.http.send(self.http.post(endpoint.path(), body.to_string().into())).await?;
        let hints = hints(response.headers());
        if matches!(work, Work::Text(task) if task.stream) {
            return Ok(Answer { hints, ..Answer::new(Reply::Deltas(deltas(chunks(response), openai::decode_delta))) });
        }
        let body = self.http.body(response).await?;
        let product = openai::decode(endpoint, &body).map_err(|error| unreadable(&error))?;
        let cost = actual_cost(endpoint, product.usage());
        Ok(Answer { cost, hints, ..Answer::product(product) })
    }
}

impl Provider for OpenAi {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            match request {
                Request::Wire(Wire::OpenAi(request)) => self.forward(request, attempt).await,
                Request::Typed(work) => self.make(work, attempt).await,
                Request::Wire(_) => self.make(&read_work(request)?, attempt).await,
            }
        })
    }
}

/// Reads a wire request of another dialect.
pub(super) fn read_work(request: &Request) -> Result<Work, Failure> {
    request.work().map_err(|error| Failure::new(Outcome::Rejected, error.to_string()))
}

/// A 2xx that cannot be read: the provider is not well, and another attempt may be.
pub(super) fn unreadable(error: &Malformed) -> Failure {
    Failure::new(Outcome::Overloaded, format!("the provider's answer cannot be read: {error}"))
}

fn actual_cost(endpoint: openai::Endpoint, usage: Usage) -> Option<Cost> {
    match endpoint {
        openai::Endpoint::Chat => text_cost(usage),
        openai::Endpoint::Embeddings => usage.input_tokens.map(Cost::new),
        openai::Endpoint::Images => None,
    }
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
