//! Runware: one task per call, so that each is scheduled by itself; over REST, or all over one WebSocket.
//!
//! A task's `taskUUID` is its idempotency key: every attempt of a request carries the same one, so that sending it again
//! is never paid twice. What takes long (video, audio, and what asks for it) is asynchronous: acknowledged at once, then
//! asked for by `getResponse`.

pub(super) mod polled;
mod refusals;
#[cfg(feature = "websocket")]
mod socket;

use std::sync::Arc;

use futures_util::stream::{StreamExt, iter};
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use uuid::Uuid;

use self::polled::Polled;
use self::refusals::{CONFLICT, code, error_in, reread};
use super::common::{actual_cost, unreadable};
use super::headers::hints;
use super::http::Http;
use super::streamed::{self, Dialect, Opened};
use super::task::{MemoryHandles, TaskProvider};
use super::{Answer, Attempt, BoxFuture, Failure, Outcome, Provider, Reply, translated};
use crate::config::{RunwareSettings, Transport};
use crate::task::wire::runware::{decode, decode_delta, encode};
use crate::task::wire::{Malformed, Wire};
use crate::task::{Product, RawTask, Request, TextDelta, TextInference, TextResult, Work};

type Object = Map<String, Value>;

/// An account at Runware, or at a server of its shape.
#[derive(Debug)]
pub(super) struct Runware {
    http: Http,
    polled: TaskProvider,
    #[cfg(feature = "websocket")]
    socket: Option<socket::Socket>,
}

impl Runware {
    pub(super) fn new(account: &str, settings: &RunwareSettings) -> Result<Self, String> {
        let endpoint = &settings.endpoint;
        #[cfg(not(feature = "websocket"))]
        if settings.transport == Transport::WebSocket {
            return Err("transport = \"websocket\" needs the feature websocket, which this build lacks".into());
        }
        Ok(Self {
            http: Http::new(endpoint)?,
            polled: TaskProvider::build(
                account,
                Box::new(Polled),
                endpoint,
                &settings.poll,
                Arc::<MemoryHandles>::default(),
            )?,
            #[cfg(feature = "websocket")]
            socket: match settings.transport {
                Transport::Rest => None,
                Transport::WebSocket => Some(socket::Socket::new(endpoint, &settings.poll)?),
            },
        })
    }

    /// Carries out one task object and returns its result objects.
    async fn make(&self, mut task: Object, attempt: &Attempt) -> Result<Answer, Failure> {
        #[cfg(feature = "websocket")]
        if let Some(socket) = &self.socket {
            // A named task may have been sent before a restart.
            let again = attempt.number() > 1 || attempt.job().is_some();
            let items = socket.run(&task, again).await?;
            return Ok(Answer::product(decode(&Work::Raw(RawTask { body: task }), items)));
        }
        if task.get("deliveryMethod").is_some_and(|method| method == "async") {
            return self.polled.make(Work::Raw(RawTask { body: task }), attempt).await;
        }
        match self.send(&task, attempt).await? {
            Sent::Items(items, headers) => {
                let product = decode(&Work::Raw(RawTask { body: task }), items);
                Ok(Answer { hints: hints(&headers), told: self.http.told(&headers), ..Answer::product(product) })
            }
            // An earlier attempt of ours was taken after all: its result is asked for.
            Sent::Conflict(_) if attempt.number() > 1 => {
                task.insert("deliveryMethod".into(), "async".into());
                self.polled.make(Work::Raw(RawTask { body: task }), attempt).await
            }
            Sent::Conflict(failure) => Err(failure),
        }
    }

    async fn send(&self, task: &Object, attempt: &Attempt) -> Result<Sent, Failure> {
        let harmless = |failure| Failure { spent: false, ..failure };
        let sent =
            self.http.send(Http::traced(self.http.post("", array(task)), attempt.trace())).await.map_err(harmless);
        let response = match sent {
            Ok(response) => response,
            Err(failure) => {
                let body = failure.upstream.as_ref().and_then(|upstream| serde_json::from_slice(&upstream.body).ok());
                return match body {
                    Some(answer) if code(&answer) == CONFLICT => Ok(Sent::Conflict(failure)),
                    _ => Err(reread(failure)),
                };
            }
        };
        let headers = response.headers().clone();
        let body = self.http.body(response).await.map_err(harmless)?;
        let mut answer: Object = serde_json::from_slice(&body)
            .map_err(|error| unreadable(&Malformed::new("answer", format!("is no JSON object: {error}"))))?;
        if let Some(failure) = error_in(&answer, &headers) {
            return if code(&answer) == CONFLICT { Ok(Sent::Conflict(failure)) } else { Err(failure) };
        }
        let items = objects(answer.remove("data"))
            .ok_or_else(|| unreadable(&Malformed::new("data", "is missing from the answer")))?;
        Ok(Sent::Items(items, headers))
    }

    async fn stream(&self, task: &Object, attempt: &Attempt) -> Result<Answer, Failure> {
        let sent = self.http.send(Http::traced(self.http.post("", array(task)), attempt.trace())).await;
        let response = sent.map_err(|failure| reread(Failure { spent: false, ..failure }))?;
        let (hints, told) = (hints(response.headers()), self.http.told(response.headers()));
        let opened = streamed::open(&self.http, response, refused).await;
        let pieces = match opened.map_err(|failure| Failure { spent: false, ..failure })? {
            Opened::Events(chunks) => streamed::deltas(chunks, Dialect { decode: decode_delta, refused }),
            Opened::Whole(body) => iter([Ok(whole(&body)?)]).boxed(),
        };
        Ok(Answer { hints, told, ..Answer::new(Reply::Deltas(pieces)) })
    }
}

/// Says what an error among the events of a stream means.
fn refused(error: &Value, headers: &HeaderMap) -> Failure {
    let answer = Map::from_iter([("errors".to_owned(), Value::Array(vec![error.clone()]))]);
    error_in(&answer, headers).unwrap_or_else(|| streamed::refused(error, headers))
}

/// Reads a text that came as a whole though it was to be streamed.
fn whole(body: &[u8]) -> Result<TextDelta, Failure> {
    let mut answer: Object = serde_json::from_slice(body)
        .map_err(|error| unreadable(&Malformed::new("answer", format!("is no JSON object: {error}"))))?;
    let items = objects(answer.remove("data")).unwrap_or_default();
    match decode(&Work::Text(TextInference::new("", "")), items) {
        Product::Text(text) if text != TextResult::default() => Ok(text.into()),
        _ => Err(unreadable(&Malformed::new("data", "holds no text"))),
    }
}

/// What became of a task that was sent.
enum Sent {
    Items(Vec<Object>, HeaderMap),
    /// Its `taskUUID` was used before.
    Conflict(Failure),
}

fn array(task: &Object) -> bytes::Bytes {
    Value::Array(vec![Value::Object(task.clone())]).to_string().into()
}

/// Takes the objects out of a list.
fn objects(list: Option<Value>) -> Option<Vec<Object>> {
    let Some(Value::Array(items)) = list else { return None };
    let object = |item| if let Value::Object(item) = item { Some(item) } else { None };
    Some(items.into_iter().filter_map(object).collect())
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

/// Reads a frame of the service's socket, as far as that can be done without a connection.
#[cfg(feature = "websocket")]
pub(super) fn read_frame(data: &[u8]) {
    let Some(mut frame) = socket::read(data) else { return };
    std::hint::black_box((error_in(&frame, &HeaderMap::new()), code(&frame)));
    for item in objects(frame.remove("data")).unwrap_or_default() {
        std::hint::black_box(polled::is_result(&item));
    }
}

/// Says which delivery a task has that names none: media that take minutes would outlast the connection.
fn delivery(task: &Object) -> &'static str {
    match task.get("taskType").and_then(Value::as_str).unwrap_or_default() {
        "videoInference" | "audioInference" | "3dInference" | "training" => "async",
        _ => "sync",
    }
}

impl Provider for Runware {
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
        Box::pin(async move {
            // A task that the caller named: its name there, and here.
            let mut names = None;
            let (work, mut task) = match request {
                Request::Wire(Wire::Runware(task)) => {
                    let mut body = task.body_with_cost(attempt.upstream_model());
                    if !task.uuid().is_empty() {
                        let there = name_there(attempt.tenant(), task.uuid());
                        body.insert("taskUUID".into(), there.clone().into());
                        names = Some((there, task.uuid()));
                    }
                    (None, body)
                }
                _ => {
                    let work = translated(request)?;
                    let task = encode(&work, attempt.upstream_model(), attempt.idempotency_key());
                    let Some(task) = task else {
                        let message = format!("a runware provider cannot do {} tasks", work.kind());
                        return Err(Failure::new(Outcome::Rejected, message));
                    };
                    (Some(work), task)
                }
            };
            if request.wants_stream() {
                return self.stream(&task, attempt).await;
            }
            let method = delivery(&task);
            task.entry("deliveryMethod").or_insert_with(|| method.into());
            if task.get("taskUUID").and_then(Value::as_str).is_none_or(str::is_empty) {
                task.insert("taskUUID".into(), attempt.idempotency_key().into());
            }
            let mut answer = self.make(task, attempt).await?;
            if let (Some((there, here)), Reply::Product(Product::Raw(raw))) = (names, &mut answer.reply) {
                raw.items.iter_mut().flat_map(Map::values_mut).for_each(|value| rename(value, &there, here));
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
