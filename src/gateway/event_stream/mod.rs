//! Streamed generations: server-sent events, kept alive while the request waits for its first piece.
//!
//! A refusal has a status of its own only as long as nothing was sent. So the answer begins as late as it may: when the
//! first piece is there, or after `keep_alive` of waiting. From then on a refusal travels as an event, and the
//! `x-fairflow-*` headers, which nobody could know yet, are missing.

mod verbatim;
mod writer;

use std::time::Duration;

use actix_web::HttpResponse;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{StreamExt, once};

pub(super) use self::writer::answer_id;
use self::writer::{Events, Writer};
use super::http::refusal::Refusal;
use super::http::reply;
use super::http::sse::{self, KEEP_ALIVE};
use super::openai::responses::Keeper;
use crate::contract::provider::Reply;
use crate::engine::caller::plan::Plan;
use crate::engine::caller::slot::Settling;
use crate::engine::caller::stream::hold;
use crate::engine::view::receipt::Receipt;
use crate::provider::Pieces;
use crate::task::{Product, TextDelta, TextInference};
use crate::wire::{Malformed, Request, Wire};
use crate::{Error, Fairflow};

type Dispatched = Result<(Reply, Settling, Receipt), Error>;

/// Schedules a generation and answers with its events, in the dialect of its request.
///
/// # Errors
///
/// A refusal within `keep_alive`; a later one is an event.
pub(super) async fn respond(
    fairflow: &Fairflow,
    spec: Plan,
    wire: Wire,
    keeper: Option<Keeper>,
    id: &str,
    keep_alive: Duration,
) -> Result<HttpResponse, Refusal> {
    let mut response = HttpResponse::Ok();
    sse::begin(&mut response);
    let writer = Writer::new(&wire, keeper, id);
    let mut waiting: LocalBoxFuture<'static, Dispatched> = {
        let fairflow = fairflow.clone();
        let work = Request::Wire(wire);
        Box::pin(async move { fairflow.dispatch(spec, &work).await })
    };
    match tokio::time::timeout(keep_alive, &mut waiting).await {
        Ok(dispatched) => {
            let (reply, settling, receipt) = dispatched?;
            reply::receipt(&mut response, &receipt);
            match events(writer, reply, settling, &receipt) {
                Ok(events) => Ok(response.streaming(events)),
                // It has no form as events: it goes on as it is.
                Err((_, Reply::Verbatim(upstream))) => {
                    Ok(response.content_type(upstream.content_type).body(upstream.body))
                }
                Err(_) => {
                    Err(Malformed::new("stream", "must not be asked for: this model answers in one piece").into())
                }
            }
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
            Ok(Ok((reply, settling, receipt))) => {
                events(writer, reply, settling, &receipt).unwrap_or_else(|(writer, _)| {
                    let message =
                        "the provider answered in one piece that cannot be told as events; ask without stream";
                    broken(writer, &Malformed::new("stream", message).into())
                })
            }
            Ok(Err(error)) => broken(writer, &error.into()),
        };
        events.next().await.map(|event| (event, Phase::Served(events)))
    })
    .boxed_local()
}

/// Ends a stream with a refusal.
fn broken(mut writer: Writer, refusal: &Refusal) -> Events {
    let end = writer.refusal(refusal) + &writer.close();
    once(std::future::ready(Ok(end.into()))).boxed_local()
}

/// Writes what a provider answers as events, also where it answers in one piece.
///
/// # Errors
///
/// The writer and the reply, where that has no form as events; its slot is free then.
#[allow(clippy::result_large_err, reason = "it is handed on at once")]
fn events(mut writer: Writer, reply: Reply, settling: Settling, receipt: &Receipt) -> Result<Events, (Writer, Reply)> {
    writer.expect(receipt);
    match reply {
        Reply::Stream(chunks) => Ok(verbatim::forward(chunks, settling, writer)),
        Reply::Deltas(deltas) => Ok(write(deltas, settling, writer)),
        Reply::Product(Product::Text(text)) => {
            let pieces = once(std::future::ready(Ok(text.into()))).boxed();
            Ok(write(pieces, settling, writer))
        }
        Reply::Verbatim(upstream) => {
            settling.done();
            match writer.whole(&upstream, receipt) {
                Some(events) => Ok(once(std::future::ready(Ok(events.into()))).boxed_local()),
                None => Err((writer, Reply::Verbatim(upstream))),
            }
        }
        other @ Reply::Product(_) => {
            settling.done();
            Err((writer, other))
        }
    }
}

/// Writes pieces of text as events.
fn write(deltas: Pieces<TextDelta>, settling: Settling, mut writer: Writer) -> Events {
    let begun = writer.begin();
    let mut failed = false;
    let deltas = hold::<TextInference>(deltas, settling).map(Some).chain(once(std::future::ready(None)));
    let written = deltas.map(move |delta| match delta {
        Some(Ok(delta)) => writer.delta(&delta),
        Some(Err(failure)) => {
            failed = true;
            writer.failure(&failure)
        }
        None if failed => writer.close(),
        None => writer.end(),
    });
    let all = once(std::future::ready(begun)).chain(written);
    all.filter(|text| std::future::ready(!text.is_empty())).map(|text| Ok(text.into())).boxed_local()
}
