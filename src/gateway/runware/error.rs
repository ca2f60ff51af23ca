//! Refusals in Runware's shape.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use crate::Reason;
use crate::gateway::http::refusal::Refusal;
use crate::gateway::http::words;

impl Refusal {
    /// Words the refusal of one task as Runware's SDKs understand it; it always names its task.
    pub(in crate::gateway) fn runware_error(&self, task_type: &str, uuid: &str) -> Value {
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
    pub(in crate::gateway) fn runware(&self, errors: &[Value]) -> HttpResponse {
        let mut body = json!({"data": [], "errors": errors, "message": self.message});
        if self.reason == Reason::InvalidKey {
            // The newer JS SDK looks for a bad key here.
            body["error"] = errors.first().cloned().unwrap_or_default();
        }
        self.begin().json(body)
    }

    /// Answers for a request that names no task.
    pub(in crate::gateway) fn runware_alone(&self) -> HttpResponse {
        self.runware(&[self.runware_error("", "")])
    }
}
