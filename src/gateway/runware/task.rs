//! One task: read, claimed as a job, scheduled, and worded as its caller is told.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use reqwest::Url;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use crate::Error;
use crate::actor::provider::Reply;
use crate::actor::quote::Quote;
use crate::actor::run::{Receipt, Spec};
use crate::config::TASKS;
use crate::gateway::auth::Wishes;
use crate::gateway::refusal::Refusal;
use crate::gateway::state::Gateway;
use crate::gateway::trail;
use crate::jobs::{Claim, Finished, Key, Watch, Webhooks};
use crate::task::Request;
use crate::task::wire::runware::{RunwareTask, render};
use crate::task::wire::{Malformed, Wire};
use crate::telemetry::Origin;

pub(super) type Items = Vec<Map<String, Value>>;

/// Longest `taskUUID` that is taken: it is kept.
const LONGEST_UUID: usize = 128;
/// What an acknowledgement waits, so that a task that is refused at once is refused and not acknowledged.
const REFUSED_AT_ONCE: Duration = Duration::from_millis(25);

/// How a task ended: its result objects, or why there are none.
#[derive(Debug)]
pub(in crate::gateway) struct Done {
    pub(super) outcome: Result<(Items, Receipt), Refusal>,
    task_type: Box<str>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) tenant: Arc<str>,
    pub(super) wishes: Wishes,
    pub(super) origin: Origin,
}

/// A task that is refused, with its error object.
pub(super) type Refused = (Refusal, Value);

/// How a result is delivered.
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
    watch: Watch<Done>,
}

pub(super) fn text<'a>(task: &'a Value, name: &str) -> &'a str {
    task.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Words a refusal as the error of a task.
pub(super) fn refused(task: &Value, refusal: Refusal) -> Refused {
    let error = refusal.runware_error(text(task, "taskType"), text(task, "taskUUID"));
    (refusal, error)
}

impl Done {
    /// Says what the caller is told who has asked for the state of a task: a result says that it is one.
    pub(super) fn state(&self, uuid: &str) -> Result<Items, Refused> {
        let mut items = self.told(uuid)?.0;
        for item in &mut items {
            item.entry("status").or_insert_with(|| "success".into());
        }
        Ok(items)
    }

    /// Says what the caller is told.
    pub(super) fn told(&self, uuid: &str) -> Result<(Items, Receipt), Refused> {
        self.outcome.clone().map_err(|refusal| {
            let error = refusal.runware_error(&self.task_type, uuid);
            (refusal, error)
        })
    }

    /// Writes the bodies of its webhook: each result by itself.
    fn bodies(&self, uuid: &str) -> Vec<Value> {
        match self.state(uuid) {
            Ok(items) => items.into_iter().map(|item| json!({"data": [item]})).collect(),
            Err((_, error)) => vec![json!({"errors": [error]})],
        }
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

    /// As [`refused_at_once`](Self::refused_at_once), for who is told the end anyway.
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

/// What `getResponse` finds: results, or a task under way with where its end is told.
pub(super) enum Standing {
    Done(Arc<Done>),
    UnderWay(Begun),
}

/// Finds the task that a `getResponse` asks for.
///
/// # Errors
///
/// A refusal where the tenant has no such task, or has it no more.
pub(super) fn standing(gateway: &Gateway, caller: &Caller, task: &Value) -> Result<Standing, Refused> {
    let uuid = text(task, "taskUUID");
    let key: Key = (caller.tenant.clone(), uuid.into());
    let Some((task_type, watch)) = gateway.jobs.find(&key, gateway.fairflow.now()) else {
        let malformed = Malformed::new("taskUUID", "names no task that is known; results are kept for a while only");
        return Err(refused(task, Refusal::from(malformed)));
    };
    let done = watch.borrow().clone();
    Ok(match done {
        Some(done) => Standing::Done(done),
        None => Standing::UnderWay(Begun { task_type, uuid: key.1, delivery: Delivery::Async, watch }),
    })
}

/// Begins a task, or joins it where the same was begun before.
///
/// # Errors
///
/// A refusal with the task's error, where it cannot be read or its UUID stands for another task.
pub(super) fn begin(gateway: &Data<Gateway>, caller: &Caller, mut task: Value) -> Result<Begun, Refused> {
    let describe = |malformed: Malformed, task: &Value| refused(task, malformed.into());
    if !task.is_object() {
        return Err(describe(Malformed::new("task", "must be an object with taskType, taskUUID and model"), &task));
    }
    if task.get("taskUUID").is_none_or(|uuid| uuid.is_null() || uuid == "") {
        task["taskUUID"] = uuid::Uuid::new_v4().to_string().into();
    }
    let uuid: Arc<str> = text(&task, "taskUUID").into();
    if uuid.is_empty() || uuid.len() > LONGEST_UUID {
        let malformed = Malformed::new("taskUUID", format!("must be a string of 1 to {LONGEST_UUID} bytes"));
        return Err(describe(malformed, &task));
    }
    let webhook = webhook(gateway, &mut task).map_err(|malformed| describe(malformed, &task))?;
    let (delivery, parsed) = read(&task, webhook.is_some()).map_err(|malformed| describe(malformed, &task))?;
    let task_type: Arc<str> = parsed.task_type().into();
    let limits = gateway.fairflow.settings().delivery.jobs;
    let key: Key = match parsed.task_type() {
        // Asks about the task of that UUID, and again each time.
        "getTaskDetails" => (caller.tenant.clone(), format!("{uuid}/{}", uuid::Uuid::new_v4()).into()),
        _ => (caller.tenant.clone(), uuid.clone()),
    };
    let detached = delivery != Delivery::Sync;
    let span = trail::task(&caller.origin, &caller.tenant, &parsed);
    let watch = match gateway.jobs.claim(&key, (&task_type, digest(&task)), detached, limits, gateway.fairflow.now()) {
        Claim::Known(watch) => watch,
        Claim::Conflict => return Err(refused(&task, Refusal::uuid_reused())),
        Claim::Full => return Err(refused(&task, Refusal::too_many_jobs())),
        Claim::New(ticket, watch) => {
            let (gateway, caller, uuid) = (gateway.clone(), caller.clone(), uuid.clone());
            let making = ticket.run(async move {
                let task_type = parsed.task_type().into();
                let outcome = make(&gateway, &caller, parsed, detached.then_some(&key)).await;
                let done = Done { outcome, task_type };
                if let Some(url) = webhook {
                    let settings = &gateway.fairflow.settings().delivery;
                    for body in done.bodies(&uuid) {
                        gateway.webhooks.deliver(settings, url.clone(), body.to_string().into());
                    }
                }
                let (bytes, failed) = match &done.outcome {
                    Ok((items, _)) => (items.iter().flat_map(Map::values).map(weight).sum(), false),
                    Err(_) => (0, true),
                };
                Finished { value: done, bytes: bytes + 512, failed, at: gateway.fairflow.now() }
            });
            tokio::spawn(making.instrument(span));
            watch
        }
    };
    Ok(Begun { task_type, uuid, delivery, watch })
}

/// Takes the webhook out of a task: whoever generates must not post the results too.
fn webhook(gateway: &Gateway, task: &mut Value) -> Result<Option<Url>, Malformed> {
    let Some(url) = task.as_object_mut().and_then(|task| task.remove("webhookURL")) else { return Ok(None) };
    if url.is_null() {
        return Ok(None);
    }
    let wrong = |problem: String| Malformed::new("webhookURL", problem);
    let url = url.as_str().ok_or_else(|| wrong("must be a string".into()))?;
    Webhooks::check(url, &gateway.fairflow.settings().delivery).map(Some).map_err(wrong)
}

/// Reads a task and how it is to be delivered.
fn read(task: &Value, posted: bool) -> Result<(Delivery, RunwareTask), Malformed> {
    let parsed = RunwareTask::parse(task.clone())?;
    let takes_long = ["videoInference", "3dInference", "training"].contains(&parsed.task_type());
    let default = if takes_long { "async" } else { "sync" };
    let delivery = match parsed.get("deliveryMethod").map_or(Some(default), Value::as_str) {
        Some("sync") => Delivery::Sync,
        Some("async") => Delivery::Async,
        Some("stream") => {
            let where_to = "\"stream\" is for a textInference that is sent alone over REST";
            return Err(Malformed::new("deliveryMethod", where_to));
        }
        _ => return Err(Malformed::new("deliveryMethod", "must be \"sync\", \"async\" or \"stream\"")),
    };
    Ok((if posted { Delivery::Webhook } else { delivery }, parsed))
}

/// Tells tasks apart. How a result is delivered does not make it another task.
fn digest(task: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, value) in task.as_object().into_iter().flatten().filter(|(name, _)| *name != "deliveryMethod") {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(value.to_string().as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Says about how many bytes a value takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 32,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 32,
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + weight(value) + 32).sum::<usize>() + 32,
        _ => 32,
    }
}

/// Returns the model in whose queue a task waits.
pub(super) fn queue_of(task: &RunwareTask) -> &str {
    if task.model().is_empty() { TASKS } else { task.model() }
}

pub(super) fn spec(gateway: &Gateway, task: &RunwareTask, caller: &Caller) -> Spec {
    let Wishes { class, max_wait } = caller.wishes;
    let witness =
        gateway.telemetry.witness(&caller.origin, trail::operation(task.task_type()), Some(task.uuid().into()));
    let quote = Quote { units: task.cost(), tokens: task.tokens(), streams: task.wants_stream() };
    let tenant = Some(caller.tenant.clone());
    Spec { tenant, class, max_wait, witness, quote, ..Spec::new(queue_of(task).into()) }
}

async fn make(
    gateway: &Gateway,
    caller: &Caller,
    task: RunwareTask,
    job: Option<&Key>,
) -> Result<(Items, Receipt), Refusal> {
    let spec = spec(gateway, &task, caller);
    if task.model().is_empty() && !gateway.fairflow.settings().models.contains_key(TASKS) {
        let problem = format!("is missing, and no [models.{TASKS}] is configured for tasks without one");
        return Err(Malformed::new("model", problem).into());
    }
    let request = Request::Wire(Wire::Runware(task.clone()));
    // Under its name a polled generation is found again after a restart.
    let name = job.map(|(tenant, uuid)| Arc::from(format!("{tenant}/{uuid}")));
    let (reply, settling, receipt) = gateway.fairflow.dispatch_job(spec, &request, name).await?;
    settling.done();
    match reply {
        Reply::Product(product) => Ok((render(product, &task), receipt)),
        _ => Err(Error::Internal("the provider answered in another form".into()).into()),
    }
}
