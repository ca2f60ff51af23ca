//! Writes the events of a stream in the dialect of its request.

use bytes::Bytes;
use futures_util::stream::LocalBoxStream;
use serde_json::{Value, json};

use crate::clock::unix_time;
use crate::engine::view::receipt::Receipt;
use crate::gateway::http::refusal::Refusal;
use crate::gateway::http::reply;
use crate::gateway::openai::responses::{Keeper, name_previous, response_id};
use crate::provider::{Failure, Upstream};
use crate::task::TextDelta;
use crate::wire::Wire;
use crate::wire::openai::{self, Endpoint, Label};
use crate::wire::responses;
use crate::wire::runware::{self, RunwareTask};
use crate::wire::sse::Event;

/// The events of an answer, as they are sent.
pub(super) type Events = LocalBoxStream<'static, Result<Bytes, Failure>>;

/// The last event of a stream of chunks.
const DONE: &str = "data: [DONE]\n\n";

/// Writes what a provider streams as events of one dialect.
pub(super) struct Writer {
    created: u64,
    /// The endpoint whose events are passed on as they are.
    endpoint: Endpoint,
    keeper: Option<Keeper>,
    /// The response that this one continues, of which the provider was not told.
    previous: Option<String>,
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
    /// `last` is the latest event that was passed on: ours are numbered after it.
    Responses {
        model: String,
        id: String,
        writer: responses::Writer,
        last: Option<Event>,
    },
    Runware(RunwareTask),
}

impl Writer {
    pub(super) fn new(wire: &Wire, keeper: Option<Keeper>, id: &str) -> Self {
        let dialect = match wire {
            Wire::OpenAi(request) if request.endpoint == Endpoint::Responses => Dialect::Responses {
                model: request.model.clone(),
                id: response_id(),
                writer: responses::Writer::after(request.previous.clone()),
                last: None,
            },
            Wire::OpenAi(request) => {
                let with_usage = request.wants_usage();
                Dialect::Chat { model: request.model.clone(), id: answer_id(id), with_usage, begun: false }
            }
            Wire::Runware(task) => Dialect::Runware(task.clone()),
        };
        let (endpoint, previous) = match wire {
            Wire::OpenAi(request) => (request.endpoint, request.previous.clone()),
            Wire::Runware(_) => (Endpoint::Chat, None),
        };
        Self { created: unix_time(), endpoint, keeper, previous, dialect }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Makes ready for the answer of an account.
    pub(super) fn expect(&mut self, receipt: &Receipt) {
        if let Some(keeper) = &mut self.keeper {
            keeper.expect(receipt);
        }
    }

    /// Takes note of an event and passes it on. Not the usage of a chat whose caller did not ask for it: the provider was
    /// asked on its behalf.
    pub(super) fn pass(&mut self, event: Event) -> Option<Event> {
        if let (Dialect::Chat { with_usage: false, .. }, Endpoint::Chat) = (&self.dialect, self.endpoint)
            && event.payload().is_some_and(openai::is_usage_alone)
        {
            return None;
        }
        let event = match self.previous.as_deref() {
            Some(previous) => Event::from(name_previous(event.into_raw(), Some(previous))),
            None => event,
        };
        if let Some(keeper) = &self.keeper {
            keeper.pass(&event);
        }
        if let Dialect::Responses { last, .. } = &mut self.dialect
            && event.payload().is_some()
        {
            *last = Some(event.clone());
        }
        Some(event)
    }

    /// Writes a whole answer of this dialect as events; `None` where it is none.
    pub(super) fn whole(&self, upstream: &Upstream, receipt: &Receipt) -> Option<String> {
        let body = name_previous(upstream.body.clone(), self.previous.as_deref());
        let answer: Value = serde_json::from_slice(&body).ok()?;
        let events = match (&self.dialect, self.endpoint) {
            (Dialect::Chat { with_usage, .. }, Endpoint::Chat) => openai::chunks(&answer, *with_usage)?,
            (Dialect::Chat { .. }, Endpoint::Images | Endpoint::Edits) => {
                let events = openai::image_events(&answer, self.endpoint)?;
                return Some(named(&events));
            }
            (Dialect::Responses { .. }, _) => {
                if let Some(keeper) = &self.keeper {
                    keeper.keep_verbatim(&body, receipt);
                }
                return Some(named(&responses::events(&answer)?));
            }
            _ => return None,
        };
        Some(events.iter().map(event).collect::<String>() + DONE)
    }

    /// Writes what comes before the first piece.
    pub(super) fn begin(&mut self) -> String {
        let Dialect::Responses { model, id, writer, .. } = &mut self.dialect else { return String::new() };
        named(&writer.begin(Label { model, id, created: self.created }))
    }

    pub(super) fn delta(&mut self, delta: &TextDelta) -> String {
        let created = self.created;
        match &mut self.dialect {
            Dialect::Chat { model, id, with_usage, begun } => {
                let chunks = openai::render_delta(delta, Label { model, id, created }, !*begun, *with_usage);
                *begun |= !chunks.is_empty();
                Some(chunks.iter().map(event).collect())
            }
            Dialect::Responses { model, id, writer, .. } => {
                writer.delta(delta, Label { model, id, created }).map(|written| named(&[written]))
            }
            Dialect::Runware(task) => Some(event(&runware::render_delta(delta, task))),
        }
        .unwrap_or_default()
    }

    /// Writes what comes after the last piece.
    pub(super) fn end(&mut self) -> String {
        let Dialect::Responses { model, id, writer, .. } = &mut self.dialect else { return self.close() };
        let events = writer.end(Label { model, id, created: self.created });
        if let (Some(keeper), Some(last)) = (&self.keeper, events.last()) {
            keeper.keep(&last["response"]);
        }
        named(&events)
    }

    /// Writes what comes after an error: the events of a response end with one.
    pub(super) fn close(&self) -> String {
        if matches!(self.dialect, Dialect::Responses { .. }) { String::new() } else { DONE.to_owned() }
    }

    /// Words a break in the middle; the provider's own error object goes on as it is, and nothing else of its words.
    pub(super) fn failure(&mut self, failure: &Failure) -> String {
        let code = if failure.timed_out { "upstream_timeout" } else { "upstream_error" };
        let ours = || json!({"message": failure.message, "type": "server_error", "param": null, "code": code});
        let own = failure.upstream.as_ref().and_then(reply::own_error);
        match &mut self.dialect {
            Dialect::Chat { .. } => event(&json!({"error": own.unwrap_or_else(ours)})),
            Dialect::Responses { writer, last, .. } => {
                if let Some(number) = last.take().and_then(|event| number(&event)) {
                    writer.number_after(number);
                }
                named(&[writer.failure(&own.unwrap_or_else(ours))])
            }
            Dialect::Runware(task) => {
                let code = if failure.timed_out { "providerTimeout" } else { "serviceUnavailable" };
                event(&json!({"errors": [{
                    "code": code, "message": failure.message, "taskType": task.task_type(), "taskUUID": task.uuid(),
                }]}))
            }
        }
    }

    /// Words a refusal that came after the stream had begun.
    pub(super) fn refusal(&mut self, refusal: &Refusal) -> String {
        match &mut self.dialect {
            Dialect::Chat { .. } => event(&json!({"error": refusal.openai_error()})),
            Dialect::Responses { writer, .. } => named(&[writer.failure(&refusal.openai_error())]),
            Dialect::Runware(task) => event(&json!({"errors": [refusal.runware_error(task.task_type(), task.uuid())]})),
        }
    }
}

/// Returns the id of a generated answer.
pub(in crate::gateway) fn answer_id(id: &str) -> String {
    format!("chatcmpl-{id}")
}

/// Returns the number of an event of a response.
fn number(event: &Event) -> Option<u64> {
    let data: Value = serde_json::from_str(&event.data()?).ok()?;
    data.get("sequence_number")?.as_u64()
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

/// Writes events that are named by their type.
fn named(events: &[Value]) -> String {
    let write = |value: &Value| {
        let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
        format!("event: {name}\n{}", event(value))
    };
    events.iter().map(write).collect()
}
