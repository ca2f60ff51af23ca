//! Refusals and receipts as headers and bodies, in either dialect.

mod words;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use serde_json::{Value, json};

use self::words::Words;
use crate::engine::view::reason::Counted;
use crate::provider::Upstream;
use crate::wire::Malformed;
use crate::{Error, Reason, Receipt};

/// A budget that is renewed later than this is not worth an SDK's retries.
const NOT_TODAY: Duration = Duration::from_secs(60);
/// Longest request id that is echoed.
const LONGEST_ID: usize = 128;

/// Why a request gets no generation: the scheduler's error, or what the gateway found wrong before.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: Reason,
    pub(super) message: String,
    /// The field or header at fault.
    pub(super) param: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// The provider's own answer, which passes through where it is in the caller's dialect.
    pub(super) upstream: Option<Upstream>,
    /// What the provider says, for callers of any dialect.
    words: Option<Box<Words>>,
    /// The provider's own name for the request.
    upstream_id: Option<Arc<str>>,
    /// Whether a model has counted it already.
    counted: bool,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (status, reason, message, retry_after) =
            (error.status(), error.reason(), error.to_string(), error.retry_after());
        let param = match &error {
            Error::InvalidRequest(malformed) => Some(malformed.field.clone()),
            Error::UnknownModel { .. } | Error::ModelForbidden { .. } => Some("model".to_owned()),
            _ => None,
        };
        let upstream_id = error.failure().and_then(|failure| failure.upstream_id.clone());
        let counted = reason.counted() != Counted::AtTheDoor;
        let Error::Rejected(failure) = error else {
            let refusal = Self::new(reason, message, None);
            return Self { status, param, retry_after, upstream_id, counted, ..refusal };
        };
        let words = Words::of(&failure, message);
        let (message, param) = (words.message.clone(), words.param.clone());
        Self {
            status,
            reason,
            message,
            param,
            retry_after,
            upstream: failure.upstream,
            words: Some(Box::new(words)),
            upstream_id,
            counted,
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Self {
        Error::InvalidRequest(malformed).into()
    }
}

impl Refusal {
    fn new(reason: Reason, message: impl Into<String>, param: Option<&str>) -> Self {
        Self {
            status: reason.status(),
            reason,
            message: message.into(),
            param: param.map(str::to_owned),
            retry_after: None,
            upstream: None,
            words: None,
            upstream_id: None,
            counted: false,
        }
    }

    /// Words an error that no model has counted, since no request was scheduled for it.
    pub(super) fn unscheduled(error: impl Into<Error>) -> Self {
        Self { counted: false, ..Self::from(error.into()) }
    }

    /// Says whether a model has counted the refusal already.
    pub(super) fn is_counted(&self) -> bool {
        self.counted
    }

    pub(super) fn invalid_key() -> Self {
        Self::new(Reason::InvalidKey, "missing or unknown API key; send authorization: Bearer KEY", None)
    }

    /// A request that another web page makes somebody's browser send.
    pub(super) fn foreign(message: &'static str) -> Self {
        Self::new(Reason::ForeignPage, message, None)
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let size = bytesize::ByteSize::b(limit as u64).display().iec();
        Self::new(Reason::BodyTooLarge, format!("`body` is larger than the {size} allowed; send less"), Some("body"))
    }

    /// A key that came before with another body. Not 409: the SDKs would send it again.
    pub(super) fn key_reused() -> Self {
        let message = "invalid request: `idempotency-key` was used for another request; use a new key for each";
        Self { status: 422, ..Self::new(Reason::InvalidRequest, message, Some("idempotency-key")) }
    }

    /// Keys under way beyond their bounds.
    pub(super) fn too_many_keys() -> Self {
        let message = "too many requests with an `idempotency-key` are under way; wait for some to finish";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Reason::TenantQueueFull, message, None) }
    }

    /// A `taskUUID` that came before with another task.
    pub(super) fn uuid_reused() -> Self {
        let message = "invalid request: `taskUUID` was used for another task; use a new one for each";
        Self::new(Reason::Conflict, message, Some("taskUUID"))
    }

    /// The bounds of `[jobs]`, which only tasks under way can fill.
    pub(super) fn too_many_jobs() -> Self {
        let message = "too many tasks are under way; wait for some to finish";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Reason::TenantQueueFull, message, None) }
    }

    /// A task under way that is to be posted to more places than are kept for one.
    pub(super) fn too_many_places() -> Self {
        let message = "invalid request: `webhookURL` is one too many for this task; use a new taskUUID";
        Self::new(Reason::Conflict, message, Some("webhookURL"))
    }

    /// A synchronous task that would outlast what its SDK waits.
    pub(super) fn too_slow(limit: Duration) -> Self {
        let message = format!("not done within {limit:.1?}; ask for it with deliveryMethod \"async\"");
        Self::new(Reason::SyncTimeout, message, None)
    }

    /// A body that is packed in a way nothing here unpacks.
    pub(super) fn unknown_encoding(given: &str) -> Self {
        let given: String = given.chars().take(40).collect();
        let message = format!("`content-encoding` {given:?} is not understood; send gzip, deflate, or no encoding");
        Self { status: 415, ..Self::new(Reason::InvalidRequest, message, Some("content-encoding")) }
    }

    /// A path that is not served; `hint` says where those that are can be read.
    pub(super) fn unknown_path(request: &HttpRequest, hint: &str) -> Self {
        Self::new(Reason::UnknownPath, format!("no such path: {}; {hint}", request.path()), None)
    }

    /// A video that this tenant has not, or has no more.
    pub(super) fn unknown_video() -> Self {
        let message = "no such video; results are kept for a while only";
        Self::new(Reason::NotFound, message, Some("video_id"))
    }

    /// A response that this tenant has not, or has no more.
    pub(super) fn unknown_response() -> Self {
        let message = "no such response; only responses created with `store` are kept, and only for a while";
        Self::new(Reason::NotFound, message, Some("response_id"))
    }

    /// A path of OpenAI's API that is known, and not offered here. Not 501: the SDKs would send it again.
    pub(super) fn not_offered(what: &str, instead: &str) -> Self {
        Self::new(Reason::UnknownPath, format!("{what} are not offered here; {instead}"), None)
    }

    /// A plain GET where a WebSocket is served.
    pub(super) fn no_upgrade(request: &HttpRequest) -> Self {
        let message = format!("GET {} is a WebSocket; connect with one, or POST an array of tasks", request.path());
        Self { status: 426, ..Self::new(Reason::InvalidRequest, message, Some("upgrade")) }
    }

    /// A WebSocket handshake that is none; `problem` says what is missing.
    pub(super) fn no_handshake(status: u16, problem: &impl std::fmt::Display) -> Self {
        let message = format!("the WebSocket handshake failed: {problem}; connect with a WebSocket client");
        Self { status, ..Self::new(Reason::InvalidRequest, message, Some("upgrade")) }
    }

    pub(super) fn wrong_method(request: &HttpRequest, allowed: &str) -> Self {
        let message = format!("{} does not take {}; use {allowed}", request.path(), request.method());
        Self { status: 405, ..Self::new(Reason::UnknownPath, message, None) }
    }

    /// Begins the response, with id, reason and retry-after.
    pub(super) fn begin(&self, id: &str) -> HttpResponseBuilder {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        response.insert_header(("x-request-id", id)).insert_header(("x-fairflow-reason", self.reason.as_str()));
        let tomorrow = self.reason == Reason::BudgetExhausted && self.retry_after > Some(NOT_TODAY);
        // What failed by the request itself fails again.
        let own = self.reason == Reason::Rejected && self.status >= 500;
        if self.reason == Reason::Unconfirmed || own || tomorrow {
            // The official SDKs send a 5xx or 429 again by themselves, which could be paid twice, or is in vain.
            response.insert_header(("x-should-retry", "false"));
        }
        if let Some(id) = &self.upstream_id {
            response.insert_header(("x-fairflow-upstream-id", visible(id)));
        }
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

    /// Answers in the shape of the API that a path belongs to.
    pub(super) fn at(&self, path: &str, id: &str) -> HttpResponse {
        match path {
            "/" | "/v1" => self.runware(&[self.runware_error("", "")], id),
            _ => self.openai(id),
        }
    }

    /// Answers in OpenAI's shape; a provider's own refusal passes through untouched where it has that shape.
    pub(super) fn openai(&self, id: &str) -> HttpResponse {
        let mut response = self.begin(id);
        match self.upstream.as_ref().filter(|upstream| words::is_openai(upstream)) {
            Some(upstream) => response.content_type(upstream.content_type.as_str()).body(upstream.body.clone()),
            None => response.json(self.openai_body()),
        }
    }

    /// Returns the error object of an event: the provider's own where it is in OpenAI's shape, else in our words.
    pub(super) fn openai_error(&self) -> Value {
        let own = self.upstream.as_ref().and_then(words::openai_error);
        own.unwrap_or_else(|| self.openai_body()["error"].take())
    }

    /// Words the refusal in OpenAI's shape.
    pub(super) fn openai_body(&self) -> Value {
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
    pub(super) fn openai_code(&self) -> &'static str {
        self.words.as_ref().map_or(self.reason.openai_code(), |words| words.openai_code())
    }

    /// Words the refusal of one task as Runware's SDKs understand it; it always names its task.
    pub(super) fn runware_error(&self, task_type: &str, uuid: &str) -> Value {
        // A provider's own error object goes on as it is, with its task named.
        if let Some(mut own) = self.upstream.as_ref().and_then(words::runware_error) {
            own["taskUUID"] = uuid.into();
            own["taskType"] = task_type.into();
            return own;
        }
        let parameter = match &self.words {
            Some(words) => words.runware_param().unwrap_or_default(),
            None if self.reason == Reason::InvalidKey => "apiKey",
            None => self.param.as_deref().unwrap_or_default(),
        };
        let mut error = json!({"code": self.runware_code(), "message": self.message, "parameter": parameter, "type": "string",
            "taskType": task_type, "taskUUID": uuid, "reason": self.reason.as_str(), "status": self.status});
        if let Some(wait) = self.retry_after {
            error["retryAfter"] = wait.as_secs_f64().ceil().max(1.0).into();
        }
        error
    }

    /// Returns the code that Runware's SDKs know.
    fn runware_code(&self) -> &'static str {
        self.words.as_ref().map_or(self.reason.runware_code(), |words| words.runware_code())
    }

    /// Answers in Runware's shape with the errors of its tasks.
    pub(super) fn runware(&self, errors: &[Value], id: &str) -> HttpResponse {
        let mut body = json!({"data": [], "errors": errors, "message": self.message});
        if self.reason == Reason::InvalidKey {
            // The newer JS SDK looks for a bad key here.
            body["error"] = errors.first().cloned().unwrap_or_default();
        }
        self.begin(id).json(body)
    }
}

/// The id under which a request is known everywhere; set where it comes in.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Returns the request's id: the caller's, or a new one.
pub(super) fn request_id(request: &HttpRequest) -> String {
    if let Some(RequestId(id)) = request.extensions().get() {
        return id.clone();
    }
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let given = given.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID && !id.contains(char::is_control));
    given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned)
}

/// Returns the error object of a provider's own words, where they are in OpenAI's shape.
pub(super) fn own_error(upstream: &Upstream) -> Option<Value> {
    words::openai_error(upstream)
}

/// Adds the `x-fairflow-*` headers of a success.
pub(super) fn receipt(response: &mut HttpResponseBuilder, receipt: &Receipt) {
    response
        .insert_header(("x-fairflow-queue-ms", receipt.queued.as_millis().to_string()))
        .insert_header(("x-fairflow-upstream-ms", receipt.upstream.as_millis().to_string()))
        .insert_header(("x-fairflow-attempts", receipt.attempts.to_string()))
        .insert_header(("x-fairflow-route", visible(&format!("{}/{}", receipt.provider, receipt.upstream_model))));
    if let Some(id) = &receipt.told.id {
        response.insert_header(("x-fairflow-upstream-id", visible(id)));
    }
    for (name, value) in &receipt.told.headers {
        response.insert_header((&**name, visible(value)));
    }
}

/// Writes a text so that it can stand in a header: all but visible ASCII as `%XX`.
fn visible(text: &str) -> String {
    let write = |byte: u8| match byte {
        b' '..=b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(write).collect()
}
