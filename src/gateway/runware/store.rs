//! Tasks as jobs: how they stand, how they end, and what their callers are told.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::engine::view::receipt::Receipt;
use crate::gateway::http::refusal::Refusal;
use crate::jobs::{REFUSED_AT_ONCE, Watch};

/// The results of a task, as objects.
pub(super) type Items = Vec<Map<String, Value>>;

/// The end of a task: what was made, or why nothing was.
#[derive(Debug)]
pub(in crate::gateway) struct Done {
    pub(super) outcome: Result<Made, Refusal>,
    pub(super) task_type: Box<str>,
}

/// The results of a task, and the errors of results that were asked for beside them and are missing.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) items: Items,
    pub(super) errors: Vec<Value>,
    /// Missing where nothing was scheduled for it.
    pub(super) receipt: Option<Receipt>,
}

impl From<Items> for Made {
    fn from(items: Items) -> Self {
        Self { items, errors: Vec::new(), receipt: None }
    }
}

/// A task that is refused, with its error object.
pub(super) type Refused = (Refusal, Value);

/// The way in which a result is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// In answer to the task.
    Sync,
    /// Acknowledged, then asked for or pushed.
    Async,
    /// Acknowledged, then posted elsewhere.
    Webhook,
}

/// A task that was begun, or that was under way already.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) task_type: Arc<str>,
    pub(super) uuid: Arc<str>,
    pub(super) delivery: Delivery,
    pub(super) watch: Watch<Done>,
}

/// Returns a text of a task; empty where there is none.
pub(super) fn text<'a>(task: &'a Value, name: &str) -> &'a str {
    task.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Words a refusal as the error of a task.
pub(super) fn refused(task: &Value, refusal: Refusal) -> Refused {
    told_of(text(task, "taskType"), text(task, "taskUUID"), refusal)
}

/// Words a refusal as the error of the task of that type and UUID.
pub(super) fn told_of(task_type: &str, uuid: &str, refusal: Refusal) -> Refused {
    let error = refusal.runware_error(task_type, uuid);
    (refusal, error)
}

impl Done {
    /// Returns what a caller is told that asks for the state of a task: a result says that it is one.
    pub(super) fn state(&self, uuid: &str) -> Result<Made, Refused> {
        let mut made = self.told(uuid)?;
        for item in &mut made.items {
            item.entry("status").or_insert_with(|| "success".into());
        }
        Ok(made)
    }

    /// Returns what the caller is told.
    pub(super) fn told(&self, uuid: &str) -> Result<Made, Refused> {
        self.outcome.clone().map_err(|refusal| told_of(&self.task_type, uuid, refusal))
    }
}

impl Begun {
    /// Returns the bare acknowledgement.
    pub(super) fn acknowledgement(&self) -> Map<String, Value> {
        state_of(&self.task_type, &self.uuid, None)
    }

    /// Waits a moment for a task that is refused at once.
    pub(super) async fn refused_at_once(&mut self) -> Option<Refused> {
        let watch = &mut self.watch;
        let told = tokio::time::timeout(REFUSED_AT_ONCE, watch.wait_for(Option::is_some)).await.ok()?.ok()?;
        told.as_ref().and_then(|done| done.told(&self.uuid).err())
    }

    /// Says whether the task is refused at once, for a caller that is told the end anyway.
    pub(super) async fn is_refused_at_once(&mut self) -> bool {
        self.refused_at_once().await.is_some()
    }

    /// Waits for the end; `None` where the job was given up.
    pub(super) async fn end(&mut self) -> Option<Arc<Done>> {
        self.watch.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Writes an object that says no more than how a task stands.
pub(super) fn state_of(task_type: &str, uuid: &str, status: Option<&str>) -> Map<String, Value> {
    let mut item = Map::new();
    item.insert("taskType".into(), task_type.into());
    item.insert("taskUUID".into(), uuid.into());
    item.extend(status.map(|status| ("status".to_owned(), status.into())));
    item
}
