//! Begins tasks: each is read, claimed as a job, and scheduled.

use std::sync::Arc;

use actix_web::web::Data;
use reqwest::Url;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use super::store::{Begun, Delivery, Done, Made, Refused, refused, text, told_of};
use crate::config::TASKS;
use crate::contract::provider::Reply;
use crate::engine::caller::plan::Plan;
use crate::engine::caller::quote::Quote;
use crate::gateway::app::Gateway;
use crate::gateway::http::caller::{Caller, Wishes};
use crate::gateway::http::refusal::Refusal;
use crate::gateway::http::request_span;
use crate::jobs::{Asked, Claim, Finished, Key, Posting, Watch, Webhooks};
use crate::task::Product;
use crate::wire::runware::{RunwareTask, render};
use crate::wire::{Malformed, Request, Wire};

/// Longest `taskUUID` that is taken, in bytes: it is kept.
const LONGEST_UUID: usize = 128;

/// The findings of `getResponse`: results, or a task under way with where its end is told.
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
    let place = webhook(gateway, &mut task).map_err(|malformed| describe(malformed, &task))?;
    let task_type: Arc<str> = text(&task, "taskType").into();
    let refused = |refusal| told_of(&task_type, &uuid, refusal);
    let (delivery, parsed) = read(task, place.is_some()).map_err(|malformed| refused(malformed.into()))?;
    let limits = gateway.fairflow.settings().delivery.jobs;
    let key: Key = match parsed.task_type() {
        // Asks about the task of that UUID, and again each time.
        "getTaskDetails" => (caller.tenant.clone(), format!("{uuid}/{}", uuid::Uuid::new_v4()).into()),
        _ => (caller.tenant.clone(), uuid.clone()),
    };
    let detached = delivery != Delivery::Sync;
    let span = request_span::task(&caller.origin, &caller.tenant, &parsed);
    let asked = Asked { kind: &task_type, digest: digest(&parsed), detached };
    let watch = match gateway.jobs.claim(&key, asked, limits, gateway.fairflow.now()) {
        Claim::Known(watch) => {
            if let Some(place) = place {
                post(gateway, &key, &uuid, place, watch.clone()).map_err(refused)?;
            }
            watch
        }
        Claim::Conflict => return Err(refused(Refusal::uuid_reused())),
        Claim::Full => return Err(refused(Refusal::too_many_jobs())),
        Claim::New(ticket, watch) => {
            let (maker, poster) = (gateway.clone(), gateway.clone());
            let (caller, named) = (caller.clone(), uuid.clone());
            if let Some(place) = &place {
                gateway.jobs.post_to(&key, place);
            }
            let making = async move {
                let task_type = parsed.task_type().into();
                let outcome = make(&maker, &caller, parsed, detached.then_some(&key)).await;
                let (bytes, failed) = match &outcome {
                    Ok(made) => (made.items.iter().flat_map(Map::values).chain(&made.errors).map(weight).sum(), false),
                    Err(_) => (0, true),
                };
                let value = Done { outcome, task_type };
                Finished { value, bytes: bytes + 512, failed, at: maker.fairflow.now() }
            };
            let posting = move |done: &Done, places: Vec<Url>| {
                places.iter().for_each(|place| deliver(done, &poster, &named, place))
            };
            tokio::spawn(ticket.run_and_post(making, posting).instrument(span));
            watch
        }
    };
    Ok(Begun { task_type, uuid, delivery, watch })
}

/// Sees to it that a task that was begun before is posted: with the others when it ends, or now.
fn post(
    gateway: &Data<Gateway>,
    key: &Key,
    uuid: &Arc<str>,
    place: Url,
    mut watch: Watch<Done>,
) -> Result<(), Refusal> {
    match gateway.jobs.post_to(key, &place) {
        Posting::ByTheJob => Ok(()),
        Posting::Refused => Err(Refusal::too_many_places()),
        Posting::ByTheAsker => {
            let (gateway, uuid) = (gateway.clone(), uuid.clone());
            // It is done, or a moment before.
            tokio::spawn(async move {
                if let Ok(Some(done)) = watch.wait_for(Option::is_some).await.as_deref() {
                    deliver(done, &gateway, &uuid, &place);
                }
            });
            Ok(())
        }
    }
}

/// Posts the end of a task: each result and each error by itself.
fn deliver(done: &Done, gateway: &Gateway, uuid: &str, place: &Url) {
    let (items, errors) = match done.state(uuid) {
        Ok(made) => (made.items, made.errors),
        Err((_, error)) => (Vec::new(), vec![error]),
    };
    let items = items.into_iter().map(|item| json!({"data": [item]}));
    let errors = errors.into_iter().map(|error| json!({"errors": [error]}));
    let settings = &gateway.fairflow.settings().delivery;
    for body in items.chain(errors) {
        gateway.webhooks.deliver(settings, place.clone(), body.to_string().into());
    }
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
fn read(task: Value, posted: bool) -> Result<(Delivery, RunwareTask), Malformed> {
    let parsed = RunwareTask::parse(task)?;
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
fn digest(task: &RunwareTask) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (name, value) in task.body().iter().filter(|(name, _)| *name != "deliveryMethod") {
        hash_text(&mut hash, name);
        hash_value(&mut hash, value);
    }
    hash.finalize().into()
}

/// Hashes a value as it is: its texts may be media of many megabytes, which are not written anew.
fn hash_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::String(text) => {
            hash.update([1]);
            hash_text(hash, text);
        }
        Value::Array(items) => {
            hash.update([2]);
            hash.update(items.len().to_le_bytes());
            items.iter().for_each(|item| hash_value(hash, item));
        }
        Value::Object(fields) => {
            hash.update([3]);
            hash.update(fields.len().to_le_bytes());
            for (name, field) in fields {
                hash_text(hash, name);
                hash_value(hash, field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            hash.update([0]);
            hash_text(hash, &value.to_string());
        }
    }
}

fn hash_text(hash: &mut Sha256, text: &str) {
    hash.update(text.len().to_le_bytes());
    hash.update(text.as_bytes());
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

pub(super) fn spec(gateway: &Gateway, task: &RunwareTask, caller: &Caller) -> Plan {
    let Wishes { class, max_wait } = caller.wishes;
    let witness =
        gateway.telemetry.witness(&caller.origin, request_span::operation(task.task_type()), Some(task.uuid().into()));
    let quote = Quote { units: task.cost(), tokens: task.tokens(), streams: task.wants_stream() };
    let tenant = Some(caller.tenant.clone());
    Plan { tenant, class, max_wait, witness, quote, ..Plan::new(queue_of(task)) }
}

async fn make(gateway: &Gateway, caller: &Caller, task: RunwareTask, job: Option<&Key>) -> Result<Made, Refusal> {
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
        Reply::Product(mut product) => {
            let errors =
                if let Product::Raw(raw) = &mut product { std::mem::take(&mut raw.errors) } else { Vec::new() };
            let errors = errors.into_iter().map(Value::Object).collect();
            Ok(Made { items: render(product, &task), errors, receipt: Some(receipt) })
        }
        _ => Err(Refusal::internal("the provider answered in another form")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_told_apart_by_all_but_their_delivery() {
        let digest = |more: Value| {
            let mut task = json!({"taskType": "imageInference", "model": "m", "positivePrompt": "p"});
            task.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            digest(&RunwareTask::parse(task).expect("a task"))
        };
        let plain = digest(json!({}));
        assert_eq!(digest(json!({"deliveryMethod": "async"})), plain);
        let others = [
            json!({"seed": 1}),
            json!({"seed": "1"}),
            json!({"seed": [1]}),
            json!({"seed": ["1"]}),
            json!({"seed": ["1", "1"]}),
            json!({"seed": ["11"]}),
            json!({"seed": [["1"], "1"]}),
            json!({"seed": {"a": "b"}}),
            json!({"seed": {"ab": ""}}),
            json!({"seed": true}),
        ];
        let mut all: Vec<_> = others.into_iter().map(digest).chain([plain]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 11);
    }
}
