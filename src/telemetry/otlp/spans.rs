//! A story as spans: one for the request, and one below it for each of its steps.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use tokio::time::Instant;

use super::order::Told;
use crate::config::Settings;
use crate::core::outcome::Outcome;
use crate::stats::RequestOutcome;
use crate::witness::{Doing, Made, Step};

/// The flag of W3C's trace context that says: recorded.
const SAMPLED: u32 = 1;

/// Draws the id of an attempt's span from that of its request, so that both who calls and who exports know it.
pub(super) fn attempt_id(request: u64, number: u32) -> u64 {
    child_id(request, u64::from(number) << 32)
}

/// Spreads ids with the golden ratio; zero, which is no id, cannot come out for an odd `request` and few children.
fn child_id(request: u64, child: u64) -> u64 {
    request.wrapping_add(child.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1)
}

pub(super) fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn text(name: &str, value: impl Into<String>) -> KeyValue {
    attribute(name, Value::StringValue(value.into()))
}

fn number(name: &str, value: impl TryInto<i64>) -> KeyValue {
    attribute(name, Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Says who made what is sent.
pub(super) fn scope() -> InstrumentationScope {
    let (name, version) = ("fairflow".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    InstrumentationScope { name, version, ..InstrumentationScope::default() }
}

pub(super) fn message(told: Vec<Told>, settings: &Settings, resource: &Resource) -> ExportTraceServiceRequest {
    let spans = told.into_iter().flat_map(|told| Teller { told: &told, settings }.spans()).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
    let spans = ResourceSpans { resource: Some(resource.clone()), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

struct Teller<'a> {
    told: &'a Told,
    settings: &'a Settings,
}

impl Teller<'_> {
    /// Returns the wall time of a moment before the request's end.
    fn wall(&self, at: Instant) -> u64 {
        let before: Duration = self.told.story.ended.saturating_duration_since(at);
        nanos(self.told.at.checked_sub(before).unwrap_or(UNIX_EPOCH))
    }

    /// Returns the name of what an account speaks, as `gen_ai.provider.name` has it.
    fn provider(&self, account: &str) -> KeyValue {
        let kind = self.settings.providers.get(account).map_or("custom", |settings| settings.kind.name());
        text("gen_ai.provider.name", kind)
    }

    fn span(&self, name: String, kind: SpanKind, id: u64, parent: Option<u64>, lasted: Range<Instant>) -> Span {
        Span {
            trace_id: self.told.context.trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
            trace_state: self.told.context.state.as_deref().unwrap_or_default().to_owned(),
            flags: SAMPLED,
            name,
            kind: kind.into(),
            start_time_unix_nano: self.wall(lasted.start),
            end_time_unix_nano: self.wall(lasted.end),
            ..Span::default()
        }
    }

    fn spans(&self) -> Vec<Span> {
        let steps = &self.told.story.steps;
        let mut spans = vec![self.request()];
        spans.extend(steps.iter().enumerate().map(|(index, step)| self.step(index, step)));
        spans
    }

    fn request(&self) -> Span {
        let Told { story, operation, context, .. } = self.told;
        let last = story.last_attempt().map(|(made, _)| made);
        let name = format!("{operation} {}", story.model);
        let mut span = self.span(name, SpanKind::Server, context.span, self.told.parent, story.began()..story.ended);
        span.attributes = vec![
            text("gen_ai.operation.name", &**operation),
            text("gen_ai.request.model", &*story.model),
            number("http.response.status_code", story.status),
            text("fairflow.request_id", &*self.told.request_id),
            text("fairflow.tenant", &*story.tenant),
            text("fairflow.outcome", story.outcome.as_str()),
            number("fairflow.attempts", last.map_or(0, |made| made.number)),
        ];
        span.attributes.extend(self.told.task.as_deref().map(|task| text("fairflow.task", task)));
        span.attributes.extend(last.into_iter().flat_map(|made| self.place(made)));
        let usage = [("input", story.usage.input_tokens), ("output", story.usage.output_tokens)];
        span.attributes.extend(
            usage.into_iter().filter_map(|(kind, tokens)| {
                tokens.map(|tokens| number(&format!("gen_ai.usage.{kind}_tokens"), tokens))
            }),
        );
        if story.outcome != RequestOutcome::Success {
            span.attributes.push(text("error.type", story.outcome.as_str()));
        }
        span.status = status(story.outcome == RequestOutcome::Success, story.outcome == RequestOutcome::Cancelled);
        span
    }

    /// Says where an attempt went.
    fn place(&self, made: &Made) -> [KeyValue; 2] {
        let route = format!("{}/{}", made.provider, made.upstream_model);
        [self.provider(&made.provider), text("fairflow.route", route)]
    }

    fn step(&self, index: usize, step: &Step) -> Span {
        let parent = self.told.context.span;
        let span = |name: &str, kind, id| self.span(name.to_owned(), kind, id, Some(parent), step.from..step.to);
        let id = child_id(parent, index as u64 + 1);
        match &step.doing {
            Doing::Waiting => span("queue", SpanKind::Internal, id),
            Doing::BackingOff => span("backoff", SpanKind::Internal, id),
            Doing::Attempt(made) => {
                let mut span = span("attempt", SpanKind::Client, attempt_id(parent, made.number));
                span.attributes = vec![
                    text("gen_ai.operation.name", &*self.told.operation),
                    text("gen_ai.request.model", &*made.upstream_model),
                    number("fairflow.attempt", made.number),
                    text("fairflow.outcome", made.outcome.as_str()),
                ];
                span.attributes.extend(self.place(made));
                span.attributes.extend(made.status.map(|status| number("http.response.status_code", status)));
                if made.outcome != Outcome::Success {
                    let problem = if made.timed_out { "timeout" } else { made.outcome.as_str() };
                    span.attributes.push(text("error.type", problem));
                    let verdict = made.verdict.into_iter();
                    span.attributes.extend(verdict.flat_map(|verdict| {
                        [
                            text("fairflow.verdict.scope", verdict.scope.as_str()),
                            text("fairflow.verdict.matter", verdict.matter.as_str()),
                        ]
                    }));
                }
                span.status = status(made.outcome == Outcome::Success, made.outcome == Outcome::Cancelled);
                if let Some(answered) = self.told.story.answered.filter(|at| step.from <= *at && *at <= step.to) {
                    let (name, time_unix_nano) = ("answer begins".to_owned(), self.wall(answered));
                    span.events = vec![Event { name, time_unix_nano, ..Event::default() }];
                }
                span
            }
        }
    }
}

/// A success is left unset, as OpenTelemetry wants it, and so is what nobody waited for any more.
fn status(success: bool, cancelled: bool) -> Option<Status> {
    (!success && !cancelled).then(|| Status { code: StatusCode::Error.into(), message: String::new() })
}
