//! The REST route: one answer for an array of tasks.

use std::pin::pin;
use std::time::Duration;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::array::parse;
use super::begin::{Standing, begin, spec, standing};
use super::store::{Begun, Delivery, Items, Made, Refused, state_of, text, told_of};
use crate::Error;
use crate::engine::view::receipt::Receipt;
use crate::gateway::app::Gateway;
use crate::gateway::event_stream;
use crate::gateway::http::caller::{self, Caller};
use crate::gateway::http::door::Told;
use crate::gateway::http::refusal::Refusal;
use crate::gateway::http::{body, idempotency, reply, request_span};
use crate::wire::runware::RunwareTask;
use crate::wire::{Malformed, Wire};

/// Most bytes that are read of a request whose key is refused.
const SMALL: usize = 16 * 1024;
/// Longest that reading a request whose key is refused may take.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(in crate::gateway) async fn tasks(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    let settings = gateway.fairflow.settings();
    let tenant = match caller::glance(&request, &settings) {
        Ok(tenant) => tenant,
        Err(refusal) => {
            let tasks = small(&request, payload).await.unwrap_or_default();
            return refuse(&refusal, &names(&tasks));
        }
    };
    let body = match body::read(&request, payload, settings.server.max_body.0).await {
        Ok(body) => body,
        Err(refusal) => return refuse(&refusal, &[]),
    };
    let tasks = match parse(&body) {
        Ok(tasks) => tasks,
        Err(refusal) => return refuse(&refusal.into(), &[]),
    };
    let names = names(&tasks);
    // The tasks hold all that the body did.
    let digest = idempotency::digest(&request, std::iter::once(&body[..]));
    drop(body);
    let key = tasks.iter().find(|task| is_authentication(task)).and_then(|task| task.get("apiKey")?.as_str());
    let answered = match Caller::after_glance(&request, &settings, tenant, key) {
        Ok(caller) => respond(&request, &gateway, &caller, digest, tasks).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| refuse(&refusal, &names))
}

/// Reads the tasks of a request that is refused already, so that the refusal can name them: only where they are few and
/// here at once.
async fn small(request: &HttpRequest, payload: Payload) -> Option<Vec<Value>> {
    let length: usize = request.headers().get("content-length")?.to_str().ok()?.parse().ok()?;
    if length > SMALL {
        return None;
    }
    let body = tokio::time::timeout(AT_ONCE, body::read(request, payload, SMALL)).await;
    parse(&body.ok()?.ok()?).ok()
}

/// The type and the UUID of a task: all that an error says of it.
type Name = (String, String);

fn names(tasks: &[Value]) -> Vec<Name> {
    let named = tasks.iter().filter(|task| !is_authentication(task) && task.is_object());
    named.map(|task| (text(task, "taskType").to_owned(), text(task, "taskUUID").to_owned())).collect()
}

/// Refuses a whole array; every task that can be told is told by its own error.
fn refuse(refusal: &Refusal, names: &[Name]) -> HttpResponse {
    let named: Vec<Value> = names.iter().map(|(task_type, uuid)| refusal.runware_error(task_type, uuid)).collect();
    if named.is_empty() { refusal.runware_alone() } else { refusal.runware(&named) }
}

fn is_authentication(task: &Value) -> bool {
    text(task, "taskType") == "authentication"
}

async fn respond(
    request: &HttpRequest,
    gateway: &Data<Gateway>,
    caller: &Caller,
    digest: Option<[u8; 32]>,
    tasks: Vec<Value>,
) -> Result<HttpResponse, Refusal> {
    let mut work: Vec<Value> = tasks.into_iter().filter(|task| !is_authentication(task)).collect();
    if work.is_empty() {
        return Ok(welcome());
    }
    if let [task] = &mut work[..]
        && text(task, "deliveryMethod") == "stream"
    {
        return stream(gateway, task.take(), caller).await;
    }
    let generated = pin!(async {
        let runs = work.into_iter().map(|task| answer(gateway, caller, task));
        gather(join_all(runs).await)
    });
    idempotency::once(&gateway.answers, || gateway.fairflow.now(), request, &caller.tenant, digest, generated).await
}

/// Answers a key that is alone, and good.
fn welcome() -> HttpResponse {
    let session = uuid::Uuid::new_v4().to_string();
    let item = json!({"taskType": "authentication", "connectionSessionUUID": session});
    HttpResponse::Ok().json(json!({"data": [item]}))
}

/// The part of an answer that one task of an array adds.
type Part = Result<Made, Refused>;

async fn answer(gateway: &Data<Gateway>, caller: &Caller, task: Value) -> Part {
    match text(&task, "taskType") {
        "ping" => {
            let pong = json!({"taskType": "ping", "pong": true});
            Ok(pong.as_object().cloned().into_iter().collect::<Items>().into())
        }
        "getResponse" => match standing(gateway, caller, &task)? {
            Standing::Done(done) => Ok(Made { receipt: None, ..done.state(text(&task, "taskUUID"))? }),
            Standing::UnderWay(job) => Ok(vec![state_of(&job.task_type, &job.uuid, Some("processing"))].into()),
        },
        _ => {
            let mut begun = begin(gateway, caller, task)?;
            if begun.delivery == Delivery::Sync {
                return sync(&mut begun).await;
            }
            match begun.refused_at_once().await {
                Some(refused) => Err(refused),
                None => Ok(vec![begun.acknowledgement()].into()),
            }
        }
    }
}

async fn sync(begun: &mut Begun) -> Part {
    match begun.end().await {
        Some(done) => done.told(&begun.uuid),
        None => Err(told_of(&begun.task_type, &begun.uuid, Error::Stopped.into())),
    }
}

/// Makes one answer of the tasks' outcomes.
fn gather(parts: Vec<Part>) -> HttpResponse {
    let (mut data, mut errors): (Items, Vec<Value>) = (Vec::new(), Vec::new());
    let (mut refusals, mut receipt): (Vec<Refusal>, Option<Receipt>) = (Vec::new(), None);
    for part in parts {
        match part {
            Ok(made) => {
                data.extend(made.items);
                errors.extend(made.errors);
                receipt = match (receipt, made.receipt) {
                    (Some(all), Some(one)) => Some(together(all, one)),
                    (all, one) => all.or(one),
                };
            }
            Err((refusal, error)) => {
                errors.push(error);
                refusals.push(refusal);
            }
        }
    }
    // The first of those with the highest status stands for all where there is nothing else to tell.
    let worst = refusals.iter().rev().max_by_key(|refusal| refusal.status);
    let mut response = match worst.filter(|_| data.is_empty()) {
        Some(worst) => worst.runware(&errors),
        None => {
            let mut response = HttpResponse::Ok();
            if let Some(receipt) = receipt {
                reply::receipt(&mut response, &receipt);
            }
            // An empty list of errors would make an SDK raise.
            let errors = (!errors.is_empty()).then_some(errors);
            response
                .json(errors.map_or_else(|| json!({"data": data}), |errors| json!({"data": data, "errors": errors})))
        }
    };
    response.extensions_mut().insert(Told(refusals));
    response
}

/// Returns one receipt for tasks that were answered together: the longest times, all attempts, the slowest's route.
fn together(all: Receipt, one: Receipt) -> Receipt {
    let (queued, attempts) = (all.queued.max(one.queued), all.attempts + one.attempts);
    let slowest = if one.upstream > all.upstream { one } else { all };
    Receipt { queued, attempts, ..slowest }
}

/// Answers one task piece by piece.
async fn stream(gateway: &Gateway, task: Value, caller: &Caller) -> Result<HttpResponse, Refusal> {
    let parsed = RunwareTask::parse(task)?;
    if parsed.task_type() != "textInference" {
        return Err(Malformed::new("deliveryMethod", "\"stream\" is for textInference").into());
    }
    let keep_alive = gateway.fairflow.settings().server.keep_alive.0;
    request_span::note_model(parsed.model());
    let spec = spec(gateway, &parsed, caller);
    event_stream::respond(&gateway.fairflow, spec, Wire::Runware(parsed), None, &caller.origin.id, keep_alive).await
}
