//! Refusals: errors of the scheduler's, and what the gateway finds wrong before it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;

use super::words::Words;
use crate::engine::view::reason::Counted;
use crate::provider::Upstream;
use crate::wire::Malformed;
use crate::{Error, Reason};

/// A refusal: an error of the scheduler's, or what the gateway finds wrong before it.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Refusal {
    pub(in crate::gateway) status: u16,
    pub(in crate::gateway) reason: Reason,
    pub(in crate::gateway) message: String,
    /// The field or header at fault.
    pub(in crate::gateway) param: Option<String>,
    pub(in crate::gateway) retry_after: Option<Duration>,
    /// The provider's own answer, which passes through where it is in the caller's dialect.
    pub(in crate::gateway) upstream: Option<Upstream>,
    /// The provider's words, for callers of any dialect.
    pub(in crate::gateway) words: Option<Box<Words>>,
    /// The provider's own name for the request.
    pub(in crate::gateway) upstream_id: Option<Arc<str>>,
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

    /// Reports a fault of the gateway's own.
    pub(in crate::gateway) fn internal(problem: impl Into<String>) -> Self {
        Self::unscheduled(Error::Internal(problem.into()))
    }

    /// Words an error that no model has counted, since no request was scheduled for it.
    pub(in crate::gateway) fn unscheduled(error: impl Into<Error>) -> Self {
        Self { counted: false, ..Self::from(error.into()) }
    }

    /// Says whether a model has counted the refusal already.
    pub(in crate::gateway) fn is_counted(&self) -> bool {
        self.counted
    }

    /// Refuses a request without a key that is known.
    pub(in crate::gateway) fn invalid_key() -> Self {
        Self::new(Reason::InvalidKey, "missing or unknown API key; send authorization: Bearer KEY", None)
    }

    /// Refuses a request that another web page makes a browser send.
    pub(in crate::gateway) fn foreign(message: &'static str) -> Self {
        Self::new(Reason::ForeignPage, message, None)
    }

    /// Refuses a body of more than `limit` bytes.
    pub(in crate::gateway) fn body_too_large(limit: usize) -> Self {
        let size = bytesize::ByteSize::b(limit as u64).display().iec();
        Self::new(Reason::BodyTooLarge, format!("`body` is larger than the {size} allowed; send less"), Some("body"))
    }

    /// Refuses a key that came before with another body. Not by 409: the SDKs would send it again.
    pub(in crate::gateway) fn key_reused() -> Self {
        let message = "invalid request: `idempotency-key` was used for another request; use a new key for each";
        Self { status: 422, ..Self::new(Reason::InvalidRequest, message, Some("idempotency-key")) }
    }

    /// Refuses a key that is one too many of those under way.
    pub(in crate::gateway) fn too_many_keys() -> Self {
        let message = "too many requests with an `idempotency-key` are under way; wait for some to finish";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Reason::TenantQueueFull, message, None) }
    }

    /// Refuses a `taskUUID` that came before with another task.
    pub(in crate::gateway) fn uuid_reused() -> Self {
        let message = "invalid request: `taskUUID` was used for another task; use a new one for each";
        Self::new(Reason::Conflict, message, Some("taskUUID"))
    }

    /// Refuses a task beyond the bounds of `[jobs]`, which only tasks under way can fill.
    pub(in crate::gateway) fn too_many_jobs() -> Self {
        let message = "too many tasks are under way; wait for some to finish";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Reason::TenantQueueFull, message, None) }
    }

    /// Refuses one more place to post a task under way to.
    pub(in crate::gateway) fn too_many_places() -> Self {
        let message = "invalid request: `webhookURL` is one too many for this task; use a new taskUUID";
        Self::new(Reason::Conflict, message, Some("webhookURL"))
    }

    /// Refuses a synchronous task that would outlast what its SDK waits.
    pub(in crate::gateway) fn too_slow(limit: Duration) -> Self {
        let message = format!("not done within {limit:.1?}; ask for it with deliveryMethod \"async\"");
        Self::new(Reason::SyncTimeout, message, None)
    }

    /// Refuses a body that is packed in a way that the gateway does not know.
    pub(in crate::gateway) fn unknown_encoding(given: &str) -> Self {
        let given: String = given.chars().take(40).collect();
        let message = format!("`content-encoding` {given:?} is not understood; send gzip, deflate, or no encoding");
        Self { status: 415, ..Self::new(Reason::InvalidRequest, message, Some("content-encoding")) }
    }

    /// Refuses a path that is not served; `hint` leads to the paths that are.
    pub(in crate::gateway) fn unknown_path(request: &HttpRequest, hint: &str) -> Self {
        Self::new(Reason::UnknownPath, format!("no such path: {}; {hint}", request.path()), None)
    }

    /// Refuses the name of a video that the tenant has not, or has no more.
    pub(in crate::gateway) fn unknown_video() -> Self {
        let message = "no such video; results are kept for a while only";
        Self::new(Reason::NotFound, message, Some("video_id"))
    }

    /// Refuses the name of a response that the tenant has not, or has no more.
    pub(in crate::gateway) fn unknown_response() -> Self {
        let message = "no such response; only responses created with `store` are kept, and only for a while";
        Self::new(Reason::NotFound, message, Some("response_id"))
    }

    /// Refuses a path of OpenAI's API that is not offered. Not by 501: the SDKs would send it again.
    pub(in crate::gateway) fn not_offered(what: &str, instead: &str) -> Self {
        Self::new(Reason::UnknownPath, format!("{what} are not offered here; {instead}"), None)
    }

    /// Refuses a plain GET where a WebSocket is served.
    pub(in crate::gateway) fn no_upgrade(request: &HttpRequest) -> Self {
        let message = format!("GET {} is a WebSocket; connect with one, or POST an array of tasks", request.path());
        Self { status: 426, ..Self::new(Reason::InvalidRequest, message, Some("upgrade")) }
    }

    /// Refuses a WebSocket handshake; `problem` says what it lacks.
    pub(in crate::gateway) fn no_handshake(status: u16, problem: &impl std::fmt::Display) -> Self {
        let message = format!("the WebSocket handshake failed: {problem}; connect with a WebSocket client");
        Self { status, ..Self::new(Reason::InvalidRequest, message, Some("upgrade")) }
    }

    /// Refuses a method that a path does not take.
    pub(in crate::gateway) fn wrong_method(request: &HttpRequest, allowed: &str) -> Self {
        let message = format!("{} does not take {}; use {allowed}", request.path(), request.method());
        Self { status: 405, ..Self::new(Reason::UnknownPath, message, None) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
