//! A task on its way to the service: written once for an attempt, with what is needed to follow it.

use serde_json::{Map, Value};

use super::common::Object;
use crate::provider::Attempt;
use crate::task::results_wanted;
use crate::wire::runware::RunwareTask;

/// A task as the service is sent it.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The task's `taskUUID` at the service.
    pub(super) uuid: String,
    /// The task's type.
    pub(super) kind: String,
    /// Results asked for.
    pub(super) wanted: u64,
    /// Whether the task does not answer by itself and has to be asked for.
    pub(super) is_asked: bool,
    /// The array of this one task, as JSON.
    pub(super) text: String,
}

impl Outgoing {
    /// Writes a task as it came, with some fields `changed`.
    pub(super) fn forwarded(task: &RunwareTask, mut changed: Object, attempt: &Attempt) -> Self {
        complete(&mut changed, |name| task.get(name), task.wants_stream(), attempt);
        let text = task.written(&changed);
        Self::of(|name| changed.get(name).or_else(|| task.get(name)), results_wanted(task.body()), text)
    }

    /// Writes a task that was translated.
    pub(super) fn translated(mut task: Object, streams: bool, attempt: &Attempt) -> Self {
        let mut missing = Map::new();
        complete(&mut missing, |name| task.get(name), streams, attempt);
        task.extend(missing);
        Self::new(&task)
    }

    /// Writes a task object as it is.
    pub(super) fn new(task: &Object) -> Self {
        // An object of JSON values can always be written.
        let text = serde_json::to_string(&[task]).unwrap_or_default();
        Self::of(|name| task.get(name), results_wanted(task), text)
    }

    fn of<'a>(field: impl Fn(&str) -> Option<&'a Value>, wanted: u64, text: String) -> Self {
        let field = |name: &str| field(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_asked = field("deliveryMethod") == "async";
        Self { uuid: field("taskUUID"), kind: field("taskType"), wanted, is_asked, text }
    }
}

/// Adds to the `changed` fields of a task the delivery and the UUID that it has to have, unless it `streams`.
fn complete<'a>(changed: &mut Object, own: impl Fn(&str) -> Option<&'a Value>, streams: bool, attempt: &Attempt) {
    if streams {
        return;
    }
    let text = |name: &str| own(name).and_then(Value::as_str).unwrap_or_default();
    if own("deliveryMethod").is_none() {
        changed.insert("deliveryMethod".into(), delivery(text("taskType")).into());
    }
    if text("taskUUID").is_empty() && !changed.contains_key("taskUUID") {
        changed.insert("taskUUID".into(), attempt.idempotency_key().into());
    }
}

/// Says which delivery a task has that names none: media that take minutes would outlast the connection.
fn delivery(kind: &str) -> &'static str {
    match kind {
        "videoInference" | "audioInference" | "3dInference" | "training" => "async",
        _ => "sync",
    }
}
