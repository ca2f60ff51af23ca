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

use super::openai::{answer_id, unix_time};
use super::refusal::{self, Refusal};
use super::state::Gateway;
use crate::actor::handle::Settling;
use crate::actor::provider::Reply;
use crate::actor::run::{Receipt, Spec};
use crate::actor::stream::{hold_chat, hold_deltas};
use crate::task::wire::openai::{self, Label};
use crate::task::wire::runware::{self, RunwareTask};
use crate::task::wire::{Malformed, Wire};
use crate::task::{Request, TextDelta};
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
    id: &str,
    keep_alive: Duration,
) -> Result<HttpResponse, Refusal> {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-request-id", id)).content_type("text/event-stream");
    response.insert_header(("cache-control", "no-cache"));
    let writer = Writer::new(&wire, id);
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
            Ok(response.streaming(writer.events(reply, settling)))
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
        let (mut waiting, writer) = match phase {
            // The first comment goes at once, so that the headers do.
            Phase::Begin(waiting, writer) => return Some((Ok(KEEP_ALIVE), Phase::Waiting(waiting, writer))),
            Phase::Waiting(waiting, writer) => (waiting, writer),
            Phase::Served(mut events) => return events.next().await.map(|event| (event, Phase::Served(events))),
        };
        let mut events = match tokio::time::timeout(keep_alive, &mut waiting).await {
            Err(_) => return Some((Ok(KEEP_ALIVE), Phase::Waiting(waiting, writer))),
            Ok(Ok((reply, settling, _))) => writer.events(reply, settling),
            Ok(Err(error)) => broken(&writer.refusal(&error.into())),
        };
        events.next().await.map(|event| (event, Phase::Served(events)))
    })
    .boxed_local()
}

/// Ends a stream with an error.
fn broken(error: &Value) -> Events {
    futures_util::stream::iter([Ok(event(error)), Ok(DONE)]).boxed_local()
}

fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// Writes what a provider streams as events of one dialect.
enum Writer {
    OpenAi { model: String, id: String, with_usage: bool },
    Runware(RunwareTask),
}

impl Writer {
    fn new(wire: &Wire, id: &str) -> Self {
        match wire {
            Wire::OpenAi(request) => {
                let options = request.field("stream_options");
                let with_usage = options.is_some_and(|options| options.get("include_usage") == Some(&json!(true)));
                Self::OpenAi { model: request.model.clone(), id: answer_id(id), with_usage }
            }
            Wire::Runware(task) => Self::Runware(task.clone()),
        }
    }

    fn delta(&self, delta: &TextDelta, created: u64) -> Option<Value> {
        match self {
            Self::OpenAi { model, id, with_usage } => {
                openai::render_delta(delta, Label { model, id, created }, *with_usage)
            }
            Self::Runware(task) => Some(runware::render_delta(delta, task)),
        }
    }

    /// Words a break in the middle.
    fn failure(&self, failure: &Failure) -> Value {
        let message = &failure.message;
        match self {
            Self::OpenAi { .. } => json!({"error": {
                "message": message, "type": "server_error", "param": null, "code": "upstream_error",
            }}),
            Self::Runware(task) => json!({"errors": [{
                "code": "serviceUnavailable", "message": message,
                "taskType": task.task_type(), "taskUUID": task.uuid(),
            }]}),
        }
    }

    fn refusal(&self, refusal: &Refusal) -> Value {
        match self {
            Self::OpenAi { .. } => refusal.openai_body(),
            Self::Runware(task) => json!({"errors": [refusal.runware_error(task.task_type(), task.uuid())]}),
        }
    }

    fn events(self, reply: Reply, settling: Settling) -> Events {
        match reply {
            // A break shows as an event: bytes that just end would look like an answer that is complete.
            Reply::Stream(chunks) => {
                let events = hold_chat(chunks, settling);
                events
                    .flat_map(move |chunk| match chunk {
                        Ok(chunk) => once(std::future::ready(Ok(chunk))).left_stream(),
                        Err(failure) => broken_off(&self.failure(&failure)).right_stream(),
                    })
                    .boxed_local()
            }
            Reply::Deltas(deltas) => {
                let created = unix_time();
                let events = hold_deltas(deltas, settling).filter_map(move |delta| {
                    let written = match delta {
                        Ok(delta) => self.delta(&delta, created),
                        Err(failure) => Some(self.failure(&failure)),
                    };
                    std::future::ready(written.map(|written| Ok(event(&written))))
                });
                events.chain(once(std::future::ready(Ok(DONE)))).boxed_local()
            }
            Reply::Verbatim(_) | Reply::Product(_) => {
                settling.done();
                broken(&self.refusal(&Error::Internal("the provider did not stream".into()).into()))
            }
        }
    }
}

/// Ends a verbatim stream that broke, wherever in an event that was.
fn broken_off(failure: &Value) -> impl futures_util::Stream<Item = Result<Bytes, Failure>> + use<> {
    let text = Bytes::from(format!("\n\ndata: {failure}\n\n"));
    futures_util::stream::iter([Ok(text), Ok(DONE)])
}
