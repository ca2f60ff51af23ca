//! Responses that are kept for tenants, and how conversations go on from them.
//!
//! A response of a provider of kind `openai` is kept as it came, and forgotten there too. Where the next turn goes to no
//! other account it is continued there; else the response is kept with its conversation, as is what was translated here,
//! and that goes before the next input. Each tenant has its own, bounded by `[jobs]`.

use std::sync::Arc;

use actix_web::HttpResponse;
use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use crate::Fairflow;
use crate::core::time::Time;
use crate::engine::view::receipt::Receipt;
use crate::jobs::{Finished, Jobs, Key};
use crate::wire::openai::{Endpoint, OpenAiRequest};

/// A response.
#[derive(Debug)]
pub(in crate::gateway) struct Kept {
    pub(super) answer: Bytes,
    /// The items of the conversation up to its end, where the next turn may go to an account that does not know them.
    pub(super) turns: Option<Vec<Value>>,
    /// The account that keeps it as well.
    pub(super) holder: Option<Holder>,
    /// Whether the account still makes it, in the background.
    pub(super) under_way: bool,
}

/// An account that keeps a response, and the model's name there.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    pub(super) account: Arc<str>,
    pub(super) upstream_model: Arc<str>,
}

impl Holder {
    pub(super) fn of(receipt: &Receipt) -> Self {
        Self { account: receipt.provider.clone(), upstream_model: receipt.upstream_model.clone() }
    }
}

/// Says whether a response is not made yet.
pub(super) fn is_under_way(answer: &Value) -> bool {
    matches!(answer["status"].as_str(), Some("queued" | "in_progress"))
}

/// Finds a response.
pub(super) fn find(responses: &Jobs<Kept>, key: &Key, now: Time) -> Option<Arc<Kept>> {
    let (_, watch) = responses.find(key, now)?;
    watch.borrow().clone()
}

/// Answers with a response.
pub(super) fn told(answer: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(answer)
}

/// Returns a new id for a response. Not the request's: a caller may give that twice.
pub(in crate::gateway) fn response_id() -> String {
    format!("resp_{}", uuid::Uuid::new_v4().simple())
}

/// Puts the conversation that a request continues before its input, where the gateway keeps it.
pub(in crate::gateway) fn continued(
    responses: &Jobs<Kept>,
    tenant: &Arc<str>,
    request: OpenAiRequest,
    now: Time,
) -> OpenAiRequest {
    let after = request.turn.after.as_deref().filter(|_| request.endpoint == Endpoint::Responses);
    let earlier = after.and_then(|id| find(responses, &(tenant.clone(), id.into()), now));
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
pub(super) fn items(input: Option<Value>) -> Vec<Value> {
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
