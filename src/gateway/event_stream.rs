//! Streamed text: server-sent events, kept alive while the request waits for its first piece.
//!
//! A refusal has a status of its own only as long as nothing was sent. So the answer begins as late as it may: when the
//! first piece is there, or after `keep_alive` of waiting. From then on a refusal travels as an event, and the
//! `x-fairflow-*` headers, which nobody could know yet, are missing.

use std::time::Duration;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{LocalBoxStream, StreamExt, once};
use serde_json::{Value, json};

use super::openai::kept::Keeper;
use super::openai::{answer_id, response_id};
use super::refusal::{self, Refusal};
use super::state::Gateway;
use crate::actor::clock::unix_time;
use crate::actor::handle::Settling;
use crate::actor::provider::Reply;
use crate::actor::run::{Receipt, Spec};
use crate::actor::stream::{hold, hold_verbatim};
use crate::task::wire::openai::{self, Endpoint, Label};
use crate::task::wire::responses;
use crate::task::wire::runware::{self, RunwareTask};
use crate::task::wire::{Malformed, Wire};
use crate::task::{Request, TextDelta, TextInference};
use crate::{Error, provider::Failure};

type Events = LocalBoxStream<'static, Result<Bytes, Failure>>;
type Dispatched = Result<(Reply, Settling, Receipt), Error>;

/// A comment, which clients pass over.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Schedules a text and answers with its events, in the dialect of its request.
///
/// # Errors
///
/// A refusal within `keep_alive`; a later one is an event.
pub(super) async fn respond(
    gateway: &Gateway,
    spec: Spec,
    wire: Wire,
    keeper: Option<Keeper>,
    id: &str,
    keep_alive: Duration,
) -> Result<HttpResponse, Refusal> {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-request-id", id)).content_type("text/event-stream");
    response.insert_header(("cache-control", "no-cache"));
    let writer = Writer::new(&wire, keeper, id);
    let mut waiting: LocalBoxFuture<'static, Dispatched> = {
        let fairflow = gateway.fairflow.clone();
        let work = Request::Wire(wire);
        Box::pin(async move { fairflow.dispatch(spec, &work).await })
    };
    match tokio::time::timeout(keep_alive, &mut waiting).await {
        Ok(dispatched) => {
            let (reply, settling, receipt) = dispatched?;
            refusal::receipt(&mut response, &receipt);
            if let Reply::Verbatim(upstream) = reply {
                // The provider does not stream this model: its whole answer goes on as it is.
                settling.done();
                return Ok(response.content_type(upstream.content_type).body(upstream.body));
            }
            if let Reply::Product(_) = reply {
                settling.done();
                return Err(Malformed::new("stream", "must not be asked for: this model answers in one piece").into());
            }
            Ok(response.streaming(writer.events(reply, settling, &receipt)))
        }
        Err(_) => Ok(response.streaming(wait(waiting, writer, keep_alive))),
    }
}

/// Sends comments until the request is served, then its events, or its refusal as an event.
fn wait(waiting: LocalBoxFuture<'static, Dispatched>, writer: Writer, keep_alive: Duration) -> Events {
    enum Phase {
        Begin(LocalBoxFuture<'static, Dispatched>, Writer),
        Waiting(LocalBoxFuture<'static, Dispatched>, Writer),
        Served(Events),
    }
    let begin = Phase::Begin(waiting, writer);
    futures_util::stream::unfold(begin, move |phase| async move {
        let (mut waiting, mut writer) = match phase {
            // The first comment goes at once, so that the headers do.
            Phase::Begin(waiting, writer) => return Some((Ok(KEEP_ALIVE), Phase::Waiting(waiting, writer))),
            Phase::Waiting(waiting, writer) => (waiting, writer),
            Phase::Served(mut events) => return events.next().await.map(|event| (event, Phase::Served(events))),
        };
        let mut events = match tokio::time::timeout(keep_alive, &mut waiting).await {
            Err(_) => return Some((Ok(KEEP_ALIVE), Phase::Waiting(waiting, writer))),
            Ok(Ok((reply, settling, receipt))) => writer.events(reply, settling, &receipt),
            Ok(Err(error)) => broken(writer.refusal(&error.into())),
        };
        events.next().await.map(|event| (event, Phase::Served(events)))
    })
    .boxed_local()
}

/// Ends a stream with an error.
fn broken(error: Bytes) -> Events {
    futures_util::stream::iter([Ok(error), Ok(DONE)]).boxed_local()
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Writes what a provider streams as events of one dialect.
struct Writer {
    created: u64,
    /// Whose events a provider may send that are passed on as they are.
    endpoint: Endpoint,
    keeper: Option<Keeper>,
    dialect: Dialect,
}

enum Dialect {
    /// `begun` once the role was told.
    Chat {
        model: String,
        id: String,
        with_usage: bool,
        begun: bool,
    },
    Responses {
        model: String,
        id: String,
        writer: responses::Writer,
    },
    Runware(RunwareTask),
}

impl Writer {
    fn new(wire: &Wire, keeper: Option<Keeper>, id: &str) -> Self {
        let dialect = match wire {
            Wire::OpenAi(request) if request.endpoint == Endpoint::Responses => Dialect::Responses {
                model: request.model.clone(),
                id: response_id(),
                writer: responses::Writer::default(),
            },
            Wire::OpenAi(request) => {
                let options = request.field("stream_options");
                let with_usage = options.is_some_and(|options| options.get("include_usage") == Some(&json!(true)));
                Dialect::Chat { model: request.model.clone(), id: answer_id(id), with_usage, begun: false }
            }
            Wire::Runware(task) => Dialect::Runware(task.clone()),
        };
        let endpoint = match wire {
            Wire::OpenAi(request) => request.endpoint,
            Wire::Runware(_) => Endpoint::Chat,
        };
        Self { created: unix_time(), endpoint, keeper, dialect }
    }

    /// Writes what comes before the first piece.
    fn begin(&mut self) -> String {
        let Dialect::Responses { model, id, writer } = &mut self.dialect else { return String::new() };
        named(&writer.begin(Label { model, id, created: self.created }))
    }

    fn delta(&mut self, delta: &TextDelta) -> String {
        let created = self.created;
        match &mut self.dialect {
            Dialect::Chat { model, id, with_usage, begun } => {
                let chunks = openai::render_delta(delta, Label { model, id, created }, !*begun, *with_usage);
                *begun |= !chunks.is_empty();
                Some(chunks.iter().map(event).collect())
            }
            Dialect::Responses { model, id, writer } => {
                writer.delta(delta, Label { model, id, created }).map(|written| named(&[written]))
            }
            Dialect::Runware(task) => Some(event(&runware::render_delta(delta, task))),
        }
        .unwrap_or_default()
    }

    /// Writes what comes after the last piece.
    fn end(&mut self) -> String {
        match &mut self.dialect {
            Dialect::Responses { model, id, writer } => {
                let events = writer.end(Label { model, id, created: self.created });
                if let (Some(keeper), Some(last)) = (&self.keeper, events.last()) {
                    keeper.keep(&last["response"]);
                }
                named(&events)
            }
            _ => String::from_utf8_lossy(&DONE).into_owned(),
        }
    }

    /// Words a break in the middle.
    fn failure(&mut self, failure: &Failure) -> String {
        let message = &failure.message;
        match &mut self.dialect {
            Dialect::Chat { .. } => event(&json!({"error": {
                "message": message, "type": "server_error", "param": null, "code": "upstream_error",
            }})),
            Dialect::Responses { writer, .. } => named(&[writer.failure("upstream_error", message)]),
            Dialect::Runware(task) => event(&json!({"errors": [{
                "code": "serviceUnavailable", "message": message,
                "taskType": task.task_type(), "taskUUID": task.uuid(),
            }]})),
        }
    }

    fn refusal(&mut self, refusal: &Refusal) -> Bytes {
        match &mut self.dialect {
            Dialect::Chat { .. } => event(&refusal.openai_body()),
            Dialect::Responses { writer, .. } => named(&[writer.failure(refusal.openai_code(), &refusal.message)]),
            Dialect::Runware(task) => event(&json!({"errors": [refusal.runware_error(task.task_type(), task.uuid())]})),
        }
        .into()
    }

    fn events(mut self, reply: Reply, settling: Settling, receipt: &Receipt) -> Events {
        if let Some(keeper) = &mut self.keeper {
            keeper.expect(receipt);
        }
        match reply {
            // A break shows as an event: bytes that just end would look like an answer that is complete.
            Reply::Stream(chunks) => hold_verbatim(chunks, settling, self.endpoint)
                .flat_map(move |chunk| match chunk {
                    Ok(chunk) => {
                        if let Some(keeper) = &mut self.keeper {
                            keeper.pass(&chunk);
                        }
                        once(std::future::ready(Ok(chunk))).left_stream()
                    }
                    // Wherever in an event it broke off.
                    Err(failure) => {
                        let error = Bytes::from(format!("\n\n{}", self.failure(&failure)));
                        futures_util::stream::iter([Ok(error), Ok(DONE)]).right_stream()
                    }
                })
                .boxed_local(),
            Reply::Deltas(deltas) => {
                let begun = self.begin();
                let mut failed = false;
                let deltas = hold::<TextInference>(deltas, settling).map(Some).chain(once(std::future::ready(None)));
                let written = deltas.map(move |delta| match delta {
                    Some(Ok(delta)) => self.delta(&delta),
                    Some(Err(failure)) => {
                        failed = true;
                        self.failure(&failure)
                    }
                    None if failed && matches!(self.dialect, Dialect::Responses { .. }) => String::new(),
                    None => self.end(),
                });
                let all = once(std::future::ready(begun)).chain(written);
                all.filter(|text| std::future::ready(!text.is_empty())).map(|text| Ok(text.into())).boxed_local()
            }
            Reply::Verbatim(_) | Reply::Product(_) => {
                settling.done();
                broken(self.refusal(&Error::Internal("the provider did not stream".into()).into()))
            }
        }
    }
}

/// Writes events that are named by their type.
fn named(events: &[Value]) -> String {
    let write = |value: &Value| {
        let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
        format!("event: {name}\n{}", event(value))
    };
    events.iter().map(write).collect()
}
