//! Refusals and receipts as headers and bodies.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::json;

use crate::{Error, Receipt};

/// Returns the caller's request id, or a new one.
pub(super) fn request_id(request: &HttpRequest) -> String {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    given.filter(|id| !id.is_empty() && id.len() <= 128).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

/// Begins a response of a status, with id, reason and retry-after.
pub(super) fn begin(status: u16, reason: &str, retry_after: Option<Duration>, id: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    response.insert_header(("x-request-id", id)).insert_header(("x-fairflow-reason", reason));
    if reason == "unconfirmed" {
        // The official SDKs send a 5xx again by themselves, which could be paid twice.
        response.insert_header(("x-should-retry", "false"));
    }
    if let Some(wait) = retry_after {
        // Whole seconds, at least one: a zero would be read as "at once".
        response.insert_header(("retry-after", wait.as_secs_f64().ceil().max(1.0).to_string()));
        response.insert_header(("retry-after-ms", wait.as_millis().max(1).to_string()));
    }
    response
}

/// Adds the `x-fairflow-*` headers of a success.
pub(super) fn receipt(response: &mut HttpResponseBuilder, receipt: &Receipt, id: &str) {
    response
        .insert_header(("x-request-id", id))
        .insert_header(("x-fairflow-queue-ms", receipt.queued.as_millis().to_string()))
        .insert_header(("x-fairflow-upstream-ms", receipt.upstream.as_millis().to_string()))
        .insert_header(("x-fairflow-attempts", receipt.attempts.to_string()))
        .insert_header(("x-fairflow-route", format!("{}/{}", receipt.provider, receipt.upstream_model)));
}

/// Words an error in OpenAI's shape; a provider's own refusal passes through untouched.
pub(super) fn openai(error: &Error, id: &str) -> HttpResponse {
    let mut response = begin(error.status(), error.reason(), error.retry_after(), id);
    if let Error::Rejected(failure) = error
        && let Some(upstream) = &failure.upstream
    {
        return response.content_type(upstream.content_type.as_str()).body(upstream.body.clone());
    }
    let kind = match error.status() {
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let param = if let Error::InvalidRequest(malformed) = error { Some(malformed.field.as_str()) } else { None };
    let body = json!({"message": error.to_string(), "type": kind, "param": param, "code": error.reason()});
    response.json(json!({"error": body}))
}

/// Refuses a missing or unknown key.
pub(super) fn openai_key(id: &str) -> HttpResponse {
    let message = "missing or unknown API key; send authorization: Bearer KEY";
    begin(401, "invalid_key", None, id).json(json!({
        "error": {"message": message, "type": "invalid_request_error", "param": null, "code": "invalid_api_key"},
    }))
}
