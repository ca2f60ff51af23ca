//! Responses that are kept: asked for by id, forgotten, and continued from.
//!
//! What a provider of kind `openai` answered is kept as it came, and forgotten there too. Where the next turn goes to no
//! other account it is continued there; else the response is kept with its conversation, as is what was translated here,
//! and that goes before the next input. Each tenant has its own, bounded by `[jobs]`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use super::{background, forget, own, refuse};
use crate::engine::view::receipt::Receipt;
use crate::gateway::refusal::{Refusal, request_id};
use crate::gateway::state::Gateway;
use crate::jobs::{Finished, Jobs, Key};
use crate::provider::Failure;
use crate::wire::Malformed;
use crate::wire::openai::{Endpoint, OpenAiRequest};
use crate::wire::sse::Event;
use crate::{Error, Fairflow};

/// Longest id of a response that is kept: it is the provider's word.
const LONGEST_ID: usize = 256;
/// How long a provider may take to forget one, or to say how one stands.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// A response.
#[derive(Debug)]
pub(in crate::gateway) struct Kept {
    pub(super) answer: Bytes,
    /// The items of the conversation up to its end, where the next turn may go to an account that does not know them.
    pub(super) turns: Option<Vec<Value>>,
    /// The account that keeps it as well.
    pub(super) holder: Option<Holder>,
    /// It is not made yet: the account makes it in the background.
    pub(super) under_way: bool,
}

/// An account that keeps a response, and the model's name there.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) account: Arc<str>,
    pub(super) upstream_model: Arc<str>,
}

impl Holder {
    fn of(receipt: &Receipt) -> Self {
        Self { account: receipt.provider.clone(), upstream_model: receipt.upstream_model.clone() }
    }
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
        find(&gateway, &key).map(|kept| (key, kept)).ok_or_else(Refusal::unknown_response)
    });
    match found {
        Ok((key, kept)) if kept.under_way => background::tell(&gateway, &key, &kept, false, &id).await,
        Ok((_, kept)) => told(kept.answer.clone(), &id),
        Err(refusal) => refuse(&gateway, &refusal, &id),
    }
}

/// Answers with a response.
pub(super) fn told(answer: Bytes, id: &str) -> HttpResponse {
    HttpResponse::Ok().insert_header(("x-request-id", id)).content_type("application/json").body(answer)
}

/// `DELETE /v1/responses/{id}`: a provider that keeps it forgets it first, so that what cannot be reached is asked again.
pub(in crate::gateway) async fn remove(
    request: HttpRequest,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> HttpResponse {
    let kept = own(&request, &gateway, &response).ok().and_then(|key| find(&gateway, &key));
    if let Some(holder) = kept.as_deref().and_then(|kept| kept.holder.as_ref())
        && let Err(error) = forget_there(&gateway, holder, &response).await
    {
        return refuse(&gateway, &error.into(), &request_id(&request));
    }
    forget((&request, &gateway), &gateway.responses, &response, "response", Refusal::unknown_response)
}

/// Has an account forget a response. One that is not configured any more cannot be asked.
async fn forget_there(gateway: &Gateway, holder: &Holder, id: &str) -> Result<(), Error> {
    let Some(client) = gateway.fairflow.client_of(&holder.account).await? else { return Ok(()) };
    asked_once(client.forget_response(id, &holder.upstream_model)).await
}

/// Waits for an answer about a response, outside any schedule; what fails is for the caller to ask again.
pub(super) async fn asked_once<T>(asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Error> {
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Ok(Ok(told)) => Ok(told),
        Ok(Err(failure)) if failure.outcome.is_retryable() => {
            let retry_after = failure.retry_after.unwrap_or(Duration::from_secs(1));
            Err(Error::RetriesExhausted { attempts: 1, retry_after, last: Box::new(failure) })
        }
        Ok(Err(failure)) => Err(Error::Rejected(Box::new(failure))),
        Err(_) => Err(Error::UpstreamTimeout { attempts: 1 }),
    }
}

/// `GET /v1/responses/{id}/input_items`.
pub(in crate::gateway) async fn input_items(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let refusal = Refusal::not_offered("the input items of a response", "keep what you send, or ask the provider");
    refuse(&gateway, &refusal, &request_id(&request))
}

pub(super) fn find(gateway: &Gateway, key: &Key) -> Option<Arc<Kept>> {
    let (_, watch) = gateway.responses.find(key, gateway.fairflow.now())?;
    watch.borrow().clone()
}

/// Puts the conversation that a request continues before its input, where the gateway keeps it.
pub(super) fn continued(gateway: &Gateway, tenant: &Arc<str>, request: OpenAiRequest) -> OpenAiRequest {
    let after = request.turn.after.as_deref().filter(|_| request.endpoint == Endpoint::Responses);
    let earlier = after.and_then(|id| find(gateway, &(tenant.clone(), id.into())));
    match earlier.as_deref().and_then(|kept| kept.turns.as_ref()) {
        Some(turns) => request.continued(turns),
        None => request,
    }
}

/// Names in a provider's own response the one before it, which the provider was not told of.
pub(in crate::gateway) fn name_previous(body: Bytes, previous: Option<&str>) -> Bytes {
    const FIELD: &[u8] = b"\"previous_response_id\"";
    let Some(previous) = previous else { return body };
    let Some(end) = memmem::find(&body, FIELD).map(|at| at + FIELD.len()) else { return body };
    let blanks = |from: usize| from + body[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let colon = blanks(end);
    if body.get(colon) != Some(&b':') {
        return body;
    }
    let value = blanks(colon + 1);
    if !body[value..].starts_with(b"null") {
        return body;
    }
    let name = Value::from(previous).to_string();
    [&body[..value], name.as_bytes(), &body[value + 4..]].concat().into()
}

/// Reads an input as items.
fn items(input: Option<Value>) -> Vec<Value> {
    match input {
        Some(Value::String(text)) => vec![json!({"type": "message", "role": "user", "content": text})],
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// Reads what a response says as items that any account takes: without the names that one gave them, and without
/// reasoning, which only that one can read.
pub(super) fn said(answer: &Value) -> Vec<Value> {
    let mut items = items(answer.get("output").cloned());
    items.retain(|item| item["type"] != "reasoning");
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.remove("id");
    }
    items
}

/// Keeps a response, instead of what was kept of it before.
pub(super) fn keep(responses: &Jobs<Kept>, fairflow: &Fairflow, key: &Key, value: Kept) {
    // Values take a multiple of their text.
    let values: usize = value.turns.iter().flatten().map(|turn| 4 * turn.to_string().len()).sum();
    let bytes = value.answer.len() + values + 512;
    let (limits, at) = (fairflow.settings().delivery.jobs, fairflow.now());
    responses.remove(key, at);
    responses.keep(key, Finished { value, bytes, failed: false, at }, limits);
}

/// Keeps the answer to one request.
#[derive(Debug)]
pub(in crate::gateway) struct Keeper {
    pub(super) responses: Jobs<Kept>,
    pub(super) fairflow: Fairflow,
    tenant: Arc<str>,
    /// The input, as it stands in the request's body.
    input: Bytes,
    /// Whose stream it is, where one is forwarded.
    streamed: Option<Holder>,
    /// Whether the next turn may go to another account.
    is_spread: bool,
}

impl Keeper {
    /// Makes ready to keep the response to a request; `None` where it asks for none, or not to keep it.
    pub(super) fn of(gateway: &Gateway, tenant: &Arc<str>, request: &OpenAiRequest) -> Option<Self> {
        if request.endpoint != Endpoint::Responses || request.turn.is_private {
            return None;
        }
        let settings = gateway.fairflow.settings();
        let routes = settings.models.get(&*request.model).map_or(&[][..], |model| &model.routes);
        Some(Self {
            is_spread: routes.windows(2).any(|pair| pair[0].provider != pair[1].provider),
            responses: gateway.responses.clone(),
            fairflow: gateway.fairflow.clone(),
            tenant: tenant.clone(),
            input: request.input(),
            streamed: None,
        })
    }

    /// Keeps a response that was written here.
    pub(in crate::gateway) fn keep(&self, answer: &Value) {
        self.put(answer, answer.to_string().into(), None);
    }

    /// Keeps a provider's own response; returns its key where it is only begun.
    pub(in crate::gateway) fn keep_verbatim(&self, body: &Bytes, receipt: &Receipt) -> Option<Key> {
        let answer = serde_json::from_slice(body).ok()?;
        self.put(&answer, body.clone(), Some(Holder::of(receipt))).filter(|_| background::is_under_way(&answer))
    }

    /// Makes ready for the stream of the account that answers.
    pub(in crate::gateway) fn expect(&mut self, receipt: &Receipt) {
        self.streamed = Some(Holder::of(receipt));
    }

    /// Looks whether an event that is forwarded ends a response, or begins one that outlives its stream.
    pub(in crate::gateway) fn pass(&self, event: &Event) {
        // Only the last event has the whole of it.
        const ENDS: [&str; 2] = ["response.completed", "response.incomplete"];
        const BEGINS: &str = "response.created";
        if !ENDS.iter().chain([&BEGINS]).any(|kind| memmem::find(event.raw(), kind.as_bytes()).is_some()) {
            return;
        }
        let event: Value = event.data().and_then(|data| serde_json::from_str(&data).ok()).unwrap_or_default();
        let answer = &event["response"];
        let is_told = match event["type"].as_str() {
            Some(BEGINS) => answer["background"] == true,
            kind => kind.is_some_and(|kind| ENDS.contains(&kind)),
        };
        if is_told {
            self.put(answer, answer.to_string().into(), self.streamed.clone());
        }
    }

    /// Keeps an answer, which is `text` as it was told, and the conversation where it is needed here.
    fn put(&self, answer: &Value, text: Bytes, holder: Option<Holder>) -> Option<Key> {
        let id = answer["id"].as_str().filter(|id| !id.is_empty() && id.len() <= LONGEST_ID)?;
        let turns = (holder.is_none() || self.is_spread).then(|| {
            let mut turns = items(serde_json::from_slice(&self.input).ok());
            turns.extend(said(answer));
            turns
        });
        let under_way = holder.is_some() && background::is_under_way(answer);
        let key: Key = (self.tenant.clone(), id.into());
        keep(&self.responses, &self.fairflow, &key, Kept { answer: text, turns, holder, under_way });
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_before_is_named_where_the_provider_could_not() {
        let name = |body: &'static str| name_previous(Bytes::from_static(body.as_bytes()), Some("resp_1"));
        let answer = r#"{"text":"say \"previous_response_id\":null","previous_response_id" : null,"id":"r"}"#;
        let named = r#"{"text":"say \"previous_response_id\":null","previous_response_id" : "resp_1","id":"r"}"#;
        assert_eq!((name(answer), name_previous(answer.into(), None)), (named.into(), answer.into()));
        for other in [
            r#"{"previous_response_id":"resp_0"}"#,
            r#"{"id":"previous_response_id"}"#,
            "\"previous_response_id\"",
            "{}",
        ] {
            assert_eq!(name(other), other);
        }
    }
}
