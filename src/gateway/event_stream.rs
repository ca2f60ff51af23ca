//! Streamed chat: server-sent events, kept alive while the request waits for its first piece.
//!
//! A refusal has a status of its own only as long as nothing was sent. So the answer begins as late as it may: when the
//! first piece is there, or after `keep_alive` of waiting. From then on a refusal travels as an event, and the
//! `x-fairflow-*` headers, which nobody could know yet, are missing.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
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
use crate::task::Request;
use crate::task::wire::Wire;
use crate::task::wire::openai::{Label, OpenAiRequest, render_delta};
use crate::{Error, provider::Failure};

type Events = LocalBoxStream<'static, Result<Bytes, Failure>>;
type Dispatched = Result<(Reply, Settling, Receipt), Error>;

/// A comment, which clients pass over.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Schedules a chat and answers with its events.
///
/// # Errors
///
/// A refusal within `keep_alive`; a later one is an event.
pub(super) async fn respond(
    gateway: &Data<Gateway>,
    spec: Spec,
    parsed: OpenAiRequest,
    id: &str,
    keep_alive: Duration,
) -> Result<HttpResponse, Refusal> {
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-request-id", id)).content_type("text/event-stream");
    response.insert_header(("cache-control", "no-cache"));
    let writer = Writer::new(&parsed, id);
    let mut waiting: LocalBoxFuture<'static, Dispatched> = {
        let fairflow = gateway.fairflow.clone();
        let work = Request::Wire(Wire::OpenAi(parsed));
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
            Ok(Err(error)) => broken(&Refusal::from(error).openai_body()),
        };
        events.next().await.map(|event| (event, Phase::Served(events)))
    })
    .boxed_local()
}

/// Ends a stream with an error in OpenAI's shape.
fn broken(error: &Value) -> Events {
    futures_util::stream::iter([Ok(event(error)), Ok(DONE)]).boxed_local()
}

fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

fn upstream_error(failure: &Failure) -> Value {
    json!({"error": {"message": failure.message, "type": "server_error", "param": null, "code": "upstream_error"}})
}

/// Writes what a provider streams as events.
struct Writer {
    model: String,
    id: String,
    with_usage: bool,
}

impl Writer {
    fn new(request: &OpenAiRequest, id: &str) -> Self {
        let options = request.field("stream_options");
        let with_usage = options.is_some_and(|options| options.get("include_usage") == Some(&json!(true)));
        Self { model: request.model.clone(), id: answer_id(id), with_usage }
    }

    fn events(self, reply: Reply, settling: Settling) -> Events {
        match reply {
            // A break shows as an event: bytes that just end would look like an answer that is complete.
            Reply::Stream(chunks) => {
                let events = hold_chat(chunks, settling);
                events
                    .flat_map(|chunk| match chunk {
                        Ok(chunk) => once(std::future::ready(Ok(chunk))).left_stream(),
                        Err(failure) => broken_off(&failure).right_stream(),
                    })
                    .boxed_local()
            }
            Reply::Deltas(deltas) => {
                let created = unix_time();
                let events = hold_deltas(deltas, settling).filter_map(move |delta| {
                    let label = Label { model: &self.model, id: &self.id, created };
                    let written = match delta {
                        Ok(delta) => render_delta(&delta, label, self.with_usage),
                        Err(failure) => Some(upstream_error(&failure)),
                    };
                    std::future::ready(written.map(|written| Ok(event(&written))))
                });
                events.chain(once(std::future::ready(Ok(DONE)))).boxed_local()
            }
            Reply::Verbatim(_) | Reply::Product(_) => {
                settling.done();
                broken(&Refusal::from(Error::Internal("the provider did not stream".into())).openai_body())
            }
        }
    }
}

/// Ends a verbatim stream that broke, wherever in an event that was.
fn broken_off(failure: &Failure) -> impl futures_util::Stream<Item = Result<Bytes, Failure>> + use<> {
    let text = Bytes::from(format!("\n\ndata: {}\n\n", upstream_error(failure)));
    futures_util::stream::iter([Ok(text), Ok(DONE)])
}
