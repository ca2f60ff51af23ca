//! Runware's REST route: an array of tasks, each scheduled by itself.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::{auth, refusal};
use crate::actor::handle::Settling;
use crate::actor::provider::Reply;
use crate::actor::run::Spec;
use crate::actor::stream::hold_deltas;
use crate::task::Request;
use crate::task::wire::runware::{RunwareTask, render, render_delta};
use crate::task::wire::{Malformed, Wire};
use crate::{Class, Error, Fairflow, Receipt};

/// Most tasks in one array: each takes a place in the queue.
const MOST_TASKS: usize = 64;

type Items = Vec<Map<String, Value>>;

pub(super) async fn tasks(request: HttpRequest, body: web::Bytes, fairflow: web::Data<Fairflow>) -> HttpResponse {
    let id = refusal::request_id(&request);
    let refuse = |error: &Error| refused(error, vec![describe(error, "", "")], &id);
    let invalid = |field: &str, problem: &str| Error::InvalidRequest(Malformed::new(field, problem));
    let tasks: Vec<Value> = match serde_json::from_slice(&body) {
        Ok(Value::Array(tasks)) => tasks,
        Ok(_) => return refuse(&invalid("body", "must be an array of tasks")),
        Err(error) => return refuse(&invalid("body", &format!("must be a JSON array of tasks: {error}"))),
    };
    let is_authentication = |task: &Value| task.get("taskType") == Some(&json!("authentication"));
    let key = tasks.iter().find(|task| is_authentication(task)).and_then(|task| task.get("apiKey")?.as_str());
    let Ok(tenant) = auth::tenant(&request, &fairflow.settings(), key) else {
        let error = json!({"code": "invalidApiKey", "message": "missing or unknown API key", "parameter": "apiKey"});
        return refusal::begin(401, "invalid_key", None, &id)
            .json(json!({"data": [], "errors": [error], "error": error}));
    };
    let wishes = match auth::wishes(&request) {
        Ok(wishes) => wishes,
        Err(malformed) => return refuse(&Error::InvalidRequest(malformed)),
    };
    let tasks: Vec<Value> = tasks.into_iter().filter(|task| !is_authentication(task)).collect();
    if tasks.is_empty() || tasks.len() > MOST_TASKS {
        return refuse(&invalid("body", &format!("must hold 1 to {MOST_TASKS} tasks")));
    }
    if let [task] = &tasks[..]
        && task.get("deliveryMethod") == Some(&json!("stream"))
    {
        return stream(&fairflow, task.clone(), tenant, wishes, &id).await;
    }
    let runs = tasks.into_iter().map(|task| run(&fairflow, task, tenant.clone(), wishes));
    let (mut data, mut errors, mut worst): (Items, Vec<Value>, Option<Error>) = (Vec::new(), Vec::new(), None);
    let mut receipt: Option<Receipt> = None;
    for outcome in join_all(runs).await {
        match outcome {
            Ok((items, one)) => {
                data.extend(items);
                receipt = Some(receipt.map_or(one.clone(), |all| together(all, one)));
            }
            Err((error, described)) => {
                errors.push(described);
                worst = Some(worst.filter(|worst| worst.status() >= error.status()).unwrap_or(error));
            }
        }
    }
    let mut response = HttpResponse::Ok();
    if let Some(receipt) = receipt {
        refusal::receipt(&mut response, &receipt, &id);
    }
    match worst {
        Some(error) if data.is_empty() => refused(&error, errors, &id),
        // An empty list of errors would make an SDK raise.
        None => response.json(json!({"data": data})),
        Some(_) => response.json(json!({"data": data, "errors": errors})),
    }
}

/// One receipt for tasks that were answered together: the longest times, all attempts, the slowest's route.
fn together(all: Receipt, one: Receipt) -> Receipt {
    let (queued, attempts) = (all.queued.max(one.queued), all.attempts + one.attempts);
    let slowest = if one.upstream > all.upstream { one } else { all };
    Receipt { queued, attempts, ..slowest }
}

/// What a caller asks for beside the task: a class, and a limit to its wait.
type Wishes = (Option<Class>, Option<std::time::Duration>);

/// Schedules one task and waits for its answer to begin.
async fn dispatch(
    fairflow: &Fairflow,
    task: Value,
    tenant: Arc<str>,
    (class, max_wait): Wishes,
) -> Result<(RunwareTask, Reply, Settling, Receipt), (Error, Value)> {
    let text = |name: &str| task.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (task_type, uuid) = (text("taskType"), text("taskUUID"));
    let described = |error: Error| {
        let value = describe(&error, &task_type, &uuid);
        (error, value)
    };
    let delivered = |task: &RunwareTask| match task.get("deliveryMethod").and_then(Value::as_str) {
        None | Some("sync" | "stream") => Ok(()),
        Some(_) => Err(Malformed::new("deliveryMethod", "must be \"sync\" or \"stream\": others are not served yet")),
    };
    let parsed = RunwareTask::parse(task).and_then(|task| delivered(&task).map(|()| task));
    let parsed = parsed.map_err(|malformed| described(Error::InvalidRequest(malformed)))?;
    let spec = Spec { model: parsed.model().into(), tenant: Some(tenant), class, cost: parsed.cost(), max_wait };
    let request = Request::Wire(Wire::Runware(parsed.clone()));
    let (reply, settling, receipt) = fairflow.dispatch(spec, &request).await.map_err(described)?;
    Ok((parsed, reply, settling, receipt))
}

async fn run(
    fairflow: &Fairflow,
    task: Value,
    tenant: Arc<str>,
    wishes: Wishes,
) -> Result<(Items, Receipt), (Error, Value)> {
    if task.get("deliveryMethod") == Some(&json!("stream")) {
        let alone = Error::InvalidRequest(Malformed::new("deliveryMethod", "\"stream\" is for a task sent alone"));
        let value = describe(&alone, "", task.get("taskUUID").and_then(Value::as_str).unwrap_or_default());
        return Err((alone, value));
    }
    let (task, reply, settling, receipt) = dispatch(fairflow, task, tenant, wishes).await?;
    settling.done();
    match reply {
        Reply::Product(product) => Ok((render(product, &task), receipt)),
        _ => {
            let error = Error::Internal("the provider answered in another form".into());
            let value = describe(&error, task.task_type(), task.uuid());
            Err((error, value))
        }
    }
}

/// Answers one task piece by piece, as server-sent events that end in `[DONE]`.
async fn stream(fairflow: &Fairflow, task: Value, tenant: Arc<str>, wishes: Wishes, id: &str) -> HttpResponse {
    let (task, reply, settling, receipt) = match dispatch(fairflow, task, tenant, wishes).await {
        Ok(begun) => begun,
        Err((error, described)) => return refused(&error, vec![described], id),
    };
    let Reply::Deltas(deltas) = reply else {
        settling.done();
        let what = format!("must be \"sync\": {} tasks come whole", task.task_type());
        let error = Error::InvalidRequest(Malformed::new("deliveryMethod", what));
        return refused(&error, vec![describe(&error, task.task_type(), task.uuid())], id);
    };
    let events = hold_deltas(deltas, settling).map(move |delta| {
        let event = match delta {
            Ok(delta) => render_delta(&delta, &task),
            Err(failure) => json!({"errors": [{
                "code": "serviceUnavailable", "message": failure.message,
                "taskType": task.task_type(), "taskUUID": task.uuid(),
            }]}),
        };
        Ok::<_, actix_web::Error>(Bytes::from(format!("data: {event}\n\n")))
    });
    let done = futures_util::stream::once(async { Ok(Bytes::from_static(b"data: [DONE]\n\n")) });
    let mut response = HttpResponse::Ok();
    refusal::receipt(&mut response, &receipt, id);
    response.content_type("text/event-stream").streaming(events.chain(done))
}

/// Words an error as the SDKs understand it; it always names its task.
fn describe(error: &Error, task_type: &str, uuid: &str) -> Value {
    let (code, parameter) = match error {
        Error::InvalidRequest(malformed) => ("invalidParameter", malformed.field.as_str()),
        Error::UnknownModel { .. } => ("invalidModel", "model"),
        Error::QueueTimeout { .. } => ("queueTimeout", ""),
        Error::UpstreamTimeout { .. } => ("providerTimeout", ""),
        error if error.status() == 429 => ("rateLimitExceeded", ""),
        Error::Rejected(_) => ("invalidRequest", ""),
        _ => ("serviceUnavailable", ""),
    };
    let mut described = json!({"code": code, "message": error.to_string(), "parameter": parameter, "type": "string",
        "taskType": task_type, "taskUUID": uuid, "reason": error.reason()});
    // A provider's own error object goes on as it is, with its task named.
    if let Error::Rejected(failure) = error
        && let Some(upstream) = &failure.upstream
        && let Ok(body) = serde_json::from_slice::<Value>(&upstream.body)
        && let Some(own) = body.pointer("/errors/0").filter(|own| own.is_object())
    {
        described = own.clone();
        described["taskUUID"] = uuid.into();
    }
    described
}

fn refused(error: &Error, errors: Vec<Value>, id: &str) -> HttpResponse {
    let message = error.to_string();
    refusal::begin(error.status(), error.reason(), error.retry_after(), id)
        .json(json!({"data": [], "errors": errors, "message": message}))
}
