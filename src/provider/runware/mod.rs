//! Runware: one task per call, so that each is scheduled by itself; over REST, or all over one WebSocket.
//!
//! A task's `taskUUID` is its idempotency key: every attempt of a request carries the same one, so that sending it again
//! is never paid twice. What takes long (video, audio, and what asks for it) is asynchronous: acknowledged at once, then
//! asked for by `getResponse`.

mod common;
mod follow;
mod outgoing;
mod refusals;
mod rest;
#[cfg(feature = "websocket")]
mod socket;
mod told;

use serde_json::{Map, Value};
use uuid::Uuid;

use self::common::{Object, now};
use self::outgoing::Outgoing;
use self::rest::Rest;
use super::common::actual_cost;
use super::translate::{inexpressible, translated};
use super::{Answer, Attempt, BoxFuture, Failure, Provider, Reply};
use crate::config::{RunwareSettings, Transport};
use crate::task::Product;
use crate::wire::Request;
use crate::wire::Wire;
use crate::wire::runware::{decode, encode};

/// An account at Runware, or at a server of its shape.
#[derive(Debug)]
pub(super) struct Runware {
    rest: Rest,
    #[cfg(feature = "websocket")]
    socket: Option<socket::Connections>,
}

impl Runware {
    pub(super) fn new(settings: &RunwareSettings) -> Result<Self, String> {
        let RunwareSettings { endpoint, poll, .. } = settings;
        #[cfg(not(feature = "websocket"))]
        if settings.transport == Transport::WebSocket {
            return Err("transport = \"websocket\" needs the feature websocket, which this build lacks".into());
        }
        Ok(Self {
            rest: Rest::new(endpoint, poll)?,
            #[cfg(feature = "websocket")]
            socket: match settings.transport {
                Transport::Rest => None,
                Transport::WebSocket => Some(socket::Connections::new(endpoint, poll)?),
            },
        })
    }

    /// Carries out one task and returns its result objects.
    async fn make(&self, task: Outgoing, attempt: &Attempt) -> Result<Answer, Failure> {
        #[cfg(feature = "websocket")]
        if let Some(socket) = &self.socket {
            let made = socket.run(task, attempt).await?;
            return Ok(Answer::product(Product::Raw(made)));
        }
        self.rest.run(task, attempt).await
    }
}

/// Returns the `taskUUID` that a tenant's task has at the provider, where all tenants share one account: the same for the
/// same task in every process.
fn name_there(tenant: &str, uuid: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{tenant}\0{uuid}").as_bytes()).to_string()
}

/// Replaces one name by another wherever it stands.
fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rename(field, from, to)),
        _ => {}
    }
}

/// Reads an answer of the service, and follows three kinds of task by it, as far as that can be done without a
/// connection.
pub(super) fn read_answer(data: &[u8]) {
    let Some(told) = serde_json::from_slice(data).ok().and_then(told::Told::read) else { return };
    let now = now();
    for (kind, method) in [("imageInference", "sync"), ("videoInference", "async"), ("modelSearch", "sync")] {
        let task = [("taskType", kind), ("taskUUID", "u"), ("deliveryMethod", method)];
        let task = Object::from_iter(task.map(|(name, text)| (name.to_owned(), text.into())));
        let mut follow =
            follow::Follow::new(&Outgoing::new(&task), true, now, now + std::time::Duration::from_secs(60));
        let first = follow.hear(told.clone(), now);
        if first.is_ok() && follow.hear(told.clone(), now).is_ok() {
            drop(follow.end());
        }
    }
}

/// Reads a frame of the service's socket, as far as that can be done without a connection.
#[cfg(feature = "websocket")]
pub(super) fn read_frame(data: &[u8]) {
    if socket::read(data).is_some() {
        read_answer(data);
    }
}

impl Provider for Runware {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            // A task that the caller named: its name there, and here.
            let mut names = None;
            let streams = request.wants_stream();
            let (work, task) = match request {
                Request::Wire(Wire::Runware(task)) => {
                    let mut changed = task.changes_for(attempt.upstream_model());
                    if !task.uuid().is_empty() {
                        let there = name_there(attempt.tenant(), task.uuid());
                        changed.insert("taskUUID".into(), there.clone().into());
                        names = Some((there, task.uuid()));
                    }
                    (None, Outgoing::forwarded(task, changed, attempt))
                }
                _ => {
                    let work = translated(request)?;
                    let task = encode(&work, attempt.upstream_model(), attempt.idempotency_key());
                    let Some(task) = task else {
                        return Err(inexpressible(format!("a runware provider cannot do {} tasks", work.kind())));
                    };
                    (Some(work), Outgoing::translated(task, streams, attempt))
                }
            };
            if streams {
                return self.rest.stream(task, attempt).await;
            }
            let mut answer = self.make(task, attempt).await?;
            if let (Some((there, here)), Reply::Product(Product::Raw(raw))) = (names, &mut answer.reply) {
                let objects = raw.items.iter_mut().chain(&mut raw.errors);
                objects.flat_map(Map::values_mut).for_each(|value| rename(value, &there, here));
            }
            if let (Some(work), Reply::Product(Product::Raw(raw))) = (&work, &mut answer.reply) {
                let product = decode(work, std::mem::take(&mut raw.items));
                answer.cost = actual_cost(work, &product);
                answer.reply = Reply::Product(product);
            }
            Ok(answer)
        })
    }
}
