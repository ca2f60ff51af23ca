//! Runware's REST route: an array of tasks, each scheduled by itself.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::refusal::{self, Refusal};
use super::state::Gateway;
use super::{auth, body, event_stream, idempotency};
use crate::actor::provider::Reply;
use crate::actor::run::{Receipt, Spec};
use crate::task::Request;
use crate::task::wire::runware::{RunwareTask, render};
use crate::task::wire::{Malformed, Wire};
use crate::{Error, Fairflow};

/// Most tasks in one array: each takes a place in the queue.
const MOST_TASKS: usize = 64;

type Items = Vec<Map<String, Value>>;

pub(super) async fn tasks(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    let id = refusal::request_id(&request);
    let limit = gateway.fairflow.settings().server.max_body.0;
    let body = match body::read(&request, payload, limit).await {
        Ok(body) => body,
        Err(refusal) => return refuse(&gateway, &refusal, &[], &id),
    };
    let tasks = match parse(&body) {
        Ok(tasks) => tasks,
        Err(refusal) => return refuse(&gateway, &refusal, &[], &id),
    };
    let answered = respond(&request, &gateway, &body, &tasks, &id).await;
    answered.unwrap_or_else(|refusal| refuse(&gateway, &refusal, &tasks, &id))
}

fn parse(body: &Bytes) -> Result<Vec<Value>, Refusal> {
    let invalid = |problem: String| Refusal::from(Malformed::new("body", problem));
    match serde_json::from_slice(body) {
        Ok(Value::Array(tasks)) if !tasks.is_empty() && tasks.len() <= MOST_TASKS => Ok(tasks),
        Ok(Value::Array(tasks)) => Err(invalid(format!("must hold 1 to {MOST_TASKS} tasks, not {}", tasks.len()))),
        Ok(_) => Err(invalid("must be an array of tasks".into())),
        Err(error) => Err(invalid(format!("must be a JSON array of tasks: {error}"))),
    }
}

/// Refuses a whole array; every task that can be told is told by its own error.
fn refuse(gateway: &Gateway, refusal: &Refusal, tasks: &[Value], id: &str) -> HttpResponse {
    gateway.count(refusal);
    let named: Vec<Value> = tasks
        .iter()
        .filter(|task| !is_authentication(task) && task.is_object())
        .map(|task| refusal.runware_error(&text(task, "taskType"), &text(task, "taskUUID")))
        .collect();
    let errors = if named.is_empty() { vec![refusal.runware_error("", "")] } else { named };
    refusal.runware(&errors, id)
}

fn is_authentication(task: &Value) -> bool {
    task.get("taskType").is_some_and(|kind| kind == "authentication")
}

fn text(task: &Value, name: &str) -> String {
    task.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

async fn respond(
    request: &HttpRequest,
    gateway: &Gateway,
    body: &Bytes,
    tasks: &[Value],
    id: &str,
) -> Result<HttpResponse, Refusal> {
    let key = tasks.iter().find(|task| is_authentication(task)).and_then(|task| task.get("apiKey")?.as_str());
    let tenant = auth::tenant(request, &gateway.fairflow.settings(), key)?;
    let wishes = auth::wishes(request)?;
    let work: Vec<&Value> = tasks.iter().filter(|task| !is_authentication(task)).collect();
    if work.is_empty() {
        return Err(Malformed::new("body", "holds no task but the authentication").into());
    }
    if let [task] = work[..]
        && text(task, "deliveryMethod") == "stream"
    {
        return stream(gateway, task, tenant, wishes, id).await;
    }
    let generated = async {
        let runs = work.into_iter().map(|task| run(&gateway.fairflow, task, tenant.clone(), wishes));
        gather(gateway, join_all(runs).await, id)
    };
    idempotency::once(gateway, request, &tenant, body, id, generated).await
}

/// Makes one answer of the tasks' outcomes.
fn gather(gateway: &Gateway, outcomes: Vec<Result<(Items, Receipt), (Refusal, Value)>>, id: &str) -> HttpResponse {
    let (mut data, mut errors): (Items, Vec<Value>) = (Vec::new(), Vec::new());
    let (mut worst, mut receipt): (Option<Refusal>, Option<Receipt>) = (None, None);
    for outcome in outcomes {
        match outcome {
            Ok((items, one)) => {
                data.extend(items);
                receipt = Some(match receipt {
                    Some(all) => together(all, one),
                    None => one,
                });
            }
            Err((refusal, error)) => {
                gateway.count(&refusal);
                errors.push(error);
                worst = Some(worst.filter(|worst| worst.status >= refusal.status).unwrap_or(refusal));
            }
        }
    }
    if let Some(refusal) = worst.filter(|_| data.is_empty()) {
        return refusal.runware(&errors, id);
    }
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-request-id", id));
    if let Some(receipt) = receipt {
        refusal::receipt(&mut response, &receipt);
    }
    // An empty list of errors would make an SDK raise.
    response.json(if errors.is_empty() { json!({"data": data}) } else { json!({"data": data, "errors": errors}) })
}

/// One receipt for tasks that were answered together: the longest times, all attempts, the slowest's route.
fn together(all: Receipt, one: Receipt) -> Receipt {
    let (queued, attempts) = (all.queued.max(one.queued), all.attempts + one.attempts);
    let slowest = if one.upstream > all.upstream { one } else { all };
    Receipt { queued, attempts, ..slowest }
}

/// Reads a task that is to be delivered in one of the ways of `delivery`, "sync" being what a task without gets.
fn read(task: &Value, delivery: &str) -> Result<RunwareTask, Malformed> {
    let parsed = RunwareTask::parse(task.clone())?;
    match parsed.get("deliveryMethod").and_then(Value::as_str).unwrap_or("sync") {
        method if method == delivery => Ok(parsed),
        "stream" => Err(Malformed::new("deliveryMethod", "\"stream\" is for a task that is sent alone")),
        _ => Err(Malformed::new("deliveryMethod", "must be \"sync\" or \"stream\": others are not served yet")),
    }
}

fn spec(task: &RunwareTask, tenant: Arc<str>, wishes: auth::Wishes) -> Spec {
    let auth::Wishes { class, max_wait } = wishes;
    Spec { tenant: Some(tenant), class, max_wait, ..Spec::new(task.model().into(), task.cost()) }
}

async fn run(
    fairflow: &Fairflow,
    task: &Value,
    tenant: Arc<str>,
    wishes: auth::Wishes,
) -> Result<(Items, Receipt), (Refusal, Value)> {
    let described = |refusal: Refusal| {
        let error = refusal.runware_error(&text(task, "taskType"), &text(task, "taskUUID"));
        (refusal, error)
    };
    let parsed = read(task, "sync").map_err(|malformed| described(malformed.into()))?;
    let request = Request::Wire(Wire::Runware(parsed.clone()));
    let dispatched = fairflow.dispatch(spec(&parsed, tenant, wishes), &request).await;
    let (reply, settling, receipt) = dispatched.map_err(|error| described(error.into()))?;
    settling.done();
    match reply {
        Reply::Product(product) => Ok((render(product, &parsed), receipt)),
        _ => Err(described(Error::Internal("the provider answered in another form".into()).into())),
    }
}

/// Answers one task piece by piece.
async fn stream(
    gateway: &Gateway,
    task: &Value,
    tenant: Arc<str>,
    wishes: auth::Wishes,
    id: &str,
) -> Result<HttpResponse, Refusal> {
    let parsed = read(task, "stream")?;
    if parsed.task_type() != "textInference" {
        return Err(Malformed::new("deliveryMethod", "\"stream\" is for textInference").into());
    }
    let keep_alive = gateway.fairflow.settings().server.keep_alive.0;
    let spec = spec(&parsed, tenant, wishes);
    event_stream::respond(gateway, spec, Wire::Runware(parsed), id, keep_alive).await
}
