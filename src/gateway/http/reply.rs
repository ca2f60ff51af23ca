//! Headers of answers, and refusals in the usual shape, which is that of OpenAI's API.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};

use super::door::Told;
use super::refusal::Refusal;
use super::{names, words};
use crate::provider::Upstream;
use crate::{Reason, Receipt};

/// A budget that is renewed later than this is not worth an SDK's retries.
const NOT_TODAY: Duration = Duration::from_secs(60);

impl Refusal {
    /// Begins the answer: status, reason and retry-after, and the refusal itself for the middleware that counts it.
    pub(in crate::gateway) fn begin(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((names::REASON, self.reason.as_str()));
        let tomorrow = self.reason == Reason::BudgetExhausted && self.retry_after > Some(NOT_TODAY);
        // What failed by the request itself fails again.
        let own = self.reason == Reason::Rejected && self.status >= 500;
        if self.reason == Reason::Unconfirmed || own || tomorrow {
            // The official SDKs send a 5xx or 429 again by themselves, which could be paid twice, or is in vain.
            response.insert_header(("x-should-retry", "false"));
        }
        if let Some(id) = &self.upstream_id {
            response.insert_header((names::UPSTREAM_ID, visible(&**id)));
        }
        response.extensions_mut().insert(Told(vec![self.clone()]));
        if let Some(wait) = self.retry_after {
            // Whole seconds, at least one: a zero would be read as "at once".
            response.insert_header(("retry-after", wait.as_secs_f64().ceil().max(1.0).to_string()));
            response.insert_header(("retry-after-ms", wait.as_millis().max(1).to_string()));
        }
        match self.status {
            401 => drop(response.insert_header(("www-authenticate", "Bearer realm=\"fairflow\""))),
            // The rest of the body is not read, so nothing can follow it.
            413 => drop(response.force_close()),
            415 => drop(response.insert_header(("accept-encoding", "gzip, deflate"))),
            _ => {}
        }
        response
    }

    /// Returns the error object of an event: the provider's own where it is in OpenAI's shape, else in our words.
    pub(in crate::gateway) fn openai_error(&self) -> Value {
        let own = self.upstream.as_ref().and_then(words::openai_error);
        own.unwrap_or_else(|| self.openai_body()["error"].take())
    }

    /// Words the refusal in OpenAI's shape.
    pub(in crate::gateway) fn openai_body(&self) -> Value {
        let kind = match self.status {
            429 if self.reason == Reason::BudgetExhausted => self.reason.openai_code(),
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let param = match &self.words {
            Some(words) => words.openai_param(),
            None => self.param.as_deref(),
        };
        json!({"error": {"message": self.message, "type": kind, "param": param, "code": self.openai_code()}})
    }

    /// Returns the code that OpenAI's SDKs know.
    pub(in crate::gateway) fn openai_code(&self) -> &'static str {
        self.words.as_ref().map_or(self.reason.openai_code(), |words| words.openai_code())
    }
}

/// Answers in OpenAI's shape; a provider's own refusal passes through untouched where it has that shape.
impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.begin();
        match self.upstream.as_ref().filter(|upstream| words::is_openai(upstream)) {
            Some(upstream) => response.content_type(upstream.content_type.as_str()).body(upstream.body.clone()),
            None => response.json(self.openai_body()),
        }
    }
}

/// Returns the error object of a provider's own words, where they are in OpenAI's shape.
pub(in crate::gateway) fn own_error(upstream: &Upstream) -> Option<Value> {
    words::openai_error(upstream)
}

/// Adds the `x-fairflow-*` headers of a success.
pub(in crate::gateway) fn receipt(response: &mut HttpResponseBuilder, receipt: &Receipt) {
    response
        .insert_header((names::QUEUE_MS, receipt.queued.as_millis().to_string()))
        .insert_header((names::UPSTREAM_MS, receipt.upstream.as_millis().to_string()))
        .insert_header((names::ATTEMPTS, receipt.attempts.to_string()))
        .insert_header((names::ROUTE, visible(format!("{}/{}", receipt.provider, receipt.upstream_model))));
    if let Some(id) = &receipt.told.id {
        response.insert_header((names::UPSTREAM_ID, visible(&**id)));
    }
    for (name, value) in &receipt.told.headers {
        response.insert_header((&**name, visible(&**value)));
    }
}

/// Writes a text so that it can stand in a header: all but visible ASCII as `%XX`.
fn visible(text: impl Into<String>) -> String {
    let text = text.into();
    let is_visible = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(is_visible) {
        return text;
    }
    let write = |byte| if is_visible(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(write).collect()
}
