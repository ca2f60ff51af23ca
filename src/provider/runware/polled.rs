//! Asynchronous tasks over REST: acknowledged, then asked for by `getResponse`. There is no way to cancel.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value, json};

use super::refusals::{CONFLICT, code, coded};
use super::{Object, objects};
use crate::provider::http::classify;
use crate::provider::task::handle::{Fault, State};
use crate::provider::task::preset::{Accepted, Preset, Question, Submission, no_such, text};
use crate::provider::{Failure, Outcome};
use crate::task::Work;
use crate::task::wire::Malformed;
use crate::task::wire::runware::decode;

#[derive(Debug)]
pub(in crate::provider) struct Polled;

impl Preset for Polled {
    fn name(&self) -> &'static str {
        "runware"
    }

    fn is_idempotent(&self) -> bool {
        true
    }

    fn speaks_in_body(&self) -> bool {
        true
    }

    fn submission(&self, work: &Work, _: &str, _: &str) -> Result<Submission, Malformed> {
        let Work::Raw(task) = work else { return Err(no_such("runware", work, "tasks in its own form")) };
        Ok(Submission { path: String::new(), body: json!([task.body]) })
    }

    fn accepted(&self, base_url: &str, work: &Work, answer: &Value, again: bool) -> Result<Accepted, Malformed> {
        let answer = answer.as_object().ok_or_else(|| Malformed::new("answer", "is no object"))?;
        let Work::Raw(task) = work else { return Err(Malformed::new("task", "has another form")) };
        let accepted = |state| {
            let id = text(&Value::Object(task.body.clone()), "taskUUID")?;
            Ok(Accepted { id, poll_url: base_url.to_owned(), cancel_url: None, state })
        };
        match code(answer) {
            "" => {
                let items = objects(answer.get("data").cloned()).filter(|items| !items.is_empty());
                let items = items.ok_or_else(|| Malformed::new("data", "is missing from the answer"))?;
                accepted(stands(work, items))
            }
            // What an earlier attempt of ours submitted is under way.
            CONFLICT if again => accepted(State::Running),
            _ => Err(Malformed::new("errors", "says that it is refused")),
        }
    }

    fn question(&self, id: &str, poll_url: &str) -> Question {
        let body = json!([{"taskType": "getResponse", "taskUUID": id}]);
        Question { method: Method::POST, url: poll_url.to_owned(), body: Some(body) }
    }

    fn state(&self, work: &Work, answer: &Value) -> Result<State, Malformed> {
        let answer = answer.as_object().ok_or_else(|| Malformed::new("answer", "is no object"))?;
        if let Some(failure) = coded(answer, 400, &HeaderMap::new()) {
            return match failure.outcome {
                Outcome::Rejected => Ok(State::Failed(Fault::Request, failure.message)),
                // Of the question, or of the task: only asking again can tell.
                _ => Err(Malformed::new("errors", failure.message)),
            };
        }
        objects(answer.get("data").cloned())
            .map(|items| stands(work, items))
            .ok_or_else(|| Malformed::new("data", "is missing from the answer"))
    }

    fn refusal(&self, status: u16, headers: &HeaderMap, body: bytes::Bytes) -> Option<Failure> {
        let answer: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
        let said = answer.and_then(|answer| coded(&answer, if status < 400 { 400 } else { status }, headers));
        said.or_else(|| (!(200..300).contains(&status)).then(|| classify(status, headers, body)))
    }
}

/// Says whether an object holds a result, and not just that the task is known.
pub(super) fn is_result(item: &Object) -> bool {
    let known = ["taskType", "taskUUID", "status", "progress"];
    // A model that was uploaded is `ready` after it was validated, downloaded and so on.
    let finished = item.get("status").is_none_or(|status| status == "success" || status == "ready");
    finished && item.keys().any(|key| !known.contains(&key.as_str()))
}

/// Says how a task stands by its objects: done when every one of them is.
fn stands(work: &Work, items: Vec<Object>) -> State {
    if !items.is_empty() && items.iter().all(is_result) { State::Done(decode(work, items)) } else { State::Running }
}
