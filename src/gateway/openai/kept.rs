//! Responses that are kept: asked for by id, forgotten, and continued from.
//!
//! What a provider of kind `openai` answered is kept as it came, and continued there; what was translated here is kept
//! with its conversation, which then goes before the next input. Each tenant has its own, bounded by `[jobs]`.

use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{forget, own, refuse};
use crate::Fairflow;
use crate::gateway::refusal::{Refusal, request_id};
use crate::gateway::state::Gateway;
use crate::jobs::{Finished, Jobs, Key};
use crate::task::wire::Malformed;
use crate::task::wire::openai::{Endpoint, OpenAiRequest};
use crate::task::wire::sse::Events;

/// Longest id of a response that is kept: it is the provider's word.
const LONGEST_ID: usize = 256;

/// A response.
#[derive(Debug)]
pub(in crate::gateway) struct Kept {
    answer: Bytes,
    /// The items of the conversation up to its end, where the gateway wrote it.
    turns: Option<Vec<Value>>,
}

/// `GET /v1/responses/{id}`.
pub(in crate::gateway) async fn retrieve(
    request: HttpRequest,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    let id = request_id(&request);
    let found = own(&request, &gateway, &response).and_then(|key| {
        if request.query_string().split('&').any(|pair| pair == "stream=true") {
            return Err(Malformed::new("stream", "must not be true: a response that is kept is told as a whole").into());
        }
        find(&gateway, &key).ok_or_else(Refusal::unknown_response)
    });
    match found {
        Ok(kept) => HttpResponse::Ok()
            .insert_header(("x-request-id", id))
            .content_type("application/json")
            .body(kept.answer.clone()),
        Err(refusal) => refuse(&gateway, &refusal, &id),
    }
}

/// `DELETE /v1/responses/{id}`: it is forgotten here; a provider that keeps it too is not told.
pub(in crate::gateway) async fn remove(
    request: HttpRequest,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    forget((&request, &gateway), &gateway.responses, &response, "response", Refusal::unknown_response)
}

fn find(gateway: &Gateway, key: &Key) -> Option<Arc<Kept>> {
    let (_, watch) = gateway.responses.find(key, gateway.fairflow.now())?;
    watch.borrow().clone()
}

/// Puts the conversation that a request continues before its input, where the gateway keeps it.
///
/// # Errors
///
/// [`Malformed`] where the input is none.
pub(super) fn continued(
    gateway: &Gateway,
    tenant: &Arc<str>,
    request: OpenAiRequest,
) -> Result<OpenAiRequest, Malformed> {
    const FIELD: &str = "previous_response_id";
    if request.endpoint != Endpoint::Responses || memmem::find(&request.body, FIELD.as_bytes()).is_none() {
        return Ok(request);
    }
    let mut body = fields(&request.body);
    let earlier = body.get(FIELD).and_then(Value::as_str);
    let earlier = earlier.and_then(|id| find(gateway, &(tenant.clone(), id.into())));
    let Some(turns) = earlier.as_deref().and_then(|kept| kept.turns.as_ref()) else { return Ok(request) };
    let input = items(body.remove("input"));
    body.remove(FIELD);
    body.insert("input".into(), turns.iter().cloned().chain(input).collect());
    OpenAiRequest::parse(Endpoint::Responses, Value::Object(body).to_string().into())
}

fn fields(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

/// Reads an input as items.
fn items(input: Option<Value>) -> Vec<Value> {
    match input {
        Some(Value::String(text)) => vec![json!({"type": "message", "role": "user", "content": text})],
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Keeps the answer to one request.
#[derive(Debug)]
pub(in crate::gateway) struct Keeper {
    responses: Jobs<Kept>,
    fairflow: Fairflow,
    tenant: Arc<str>,
    /// What was asked.
    request: Bytes,
    /// What passed by of a stream that is forwarded.
    events: Events,
}

impl Keeper {
    /// Makes ready to keep the response to a request; `None` where it asks for none, or not to keep it.
    pub(super) fn of(gateway: &Gateway, tenant: &Arc<str>, request: &OpenAiRequest) -> Option<Self> {
        if request.endpoint != Endpoint::Responses {
            return None;
        }
        #[derive(Deserialize)]
        struct Wish {
            store: Option<Value>,
        }
        // Read by itself: inputs may be large, and most are never looked at again.
        let wish = serde_json::from_slice::<Wish>(&request.body);
        if wish.map_or_else(|_| request.field("store"), |wish| wish.store) == Some(Value::Bool(false)) {
            return None;
        }
        Some(Self {
            responses: gateway.responses.clone(),
            fairflow: gateway.fairflow.clone(),
            tenant: tenant.clone(),
            request: request.body.clone(),
            events: Events::default(),
        })
    }

    /// Keeps a response that was written here.
    pub(in crate::gateway) fn keep(&self, answer: &Value) {
        let mut turns = items(fields(&self.request).remove("input"));
        turns.extend(items(answer.get("output").cloned()));
        let text: Bytes = answer.to_string().into();
        // Values take a multiple of their text.
        let bytes = text.len() + 4 * turns.iter().map(|turn| turn.to_string().len()).sum::<usize>();
        self.put(answer["id"].as_str(), Kept { answer: text, turns: Some(turns) }, bytes);
    }

    /// Keeps a provider's own response.
    pub(super) fn keep_verbatim(&self, body: &Bytes) {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let named = serde_json::from_slice::<Named>(body).ok();
        self.put(named.as_ref().map(|named| &*named.id), Kept { answer: body.clone(), turns: None }, body.len());
    }

    /// Looks for the end of a response in a stream that is forwarded.
    pub(in crate::gateway) fn pass(&mut self, chunk: &[u8]) {
        if self.events.push(chunk).is_err() {
            return;
        }
        while let Some(event) = self.events.next_event() {
            // Only the last event has the whole of it.
            if !event.contains("\"response.completed\"") && !event.contains("\"response.incomplete\"") {
                continue;
            }
            let event: Value = serde_json::from_str(&event).unwrap_or_default();
            if matches!(event["type"].as_str(), Some("response.completed" | "response.incomplete")) {
                let answer = Bytes::from(event["response"].to_string());
                let bytes = answer.len();
                self.put(event["response"]["id"].as_str(), Kept { answer, turns: None }, bytes);
            }
        }
    }

    fn put(&self, id: Option<&str>, kept: Kept, bytes: usize) {
        let Some(id) = id.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID) else { return };
        let limits = self.fairflow.settings().delivery.jobs;
        let finished = Finished { value: kept, bytes: bytes + 512, failed: false, at: self.fairflow.now() };
        self.responses.keep(&(self.tenant.clone(), id.into()), finished, limits);
    }
}
