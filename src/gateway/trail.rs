//! What makes a request recognisable in logs and traces: its id, its tenant, its model, and its caller's trace.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest};
use tracing::field::Empty;
use tracing::{Instrument, Span, error_span};

use super::refusal::{RequestId, request_id};
use crate::telemetry::{Context, Origin};
use crate::wire::runware::RunwareTask;

/// Gives each request its id, which its answer says too, and the span that its log lines are in.
pub(super) async fn mark(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = request_id(request.request());
    // Of the highest level, so that it is there whatever lines are wanted.
    let span = error_span!("request", request_id = %id, tenant = Empty, model = Empty);
    let header = HeaderValue::from_str(&id).ok();
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.call(request).instrument(span).await?;
    if let Some(id) = header {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), id);
    }
    Ok(response)
}

/// Adds what has become known to the request's log lines: its `tenant` or `model`.
pub(super) fn note(field: &str, value: &str) {
    Span::current().record(field, value);
}

/// Returns the span of a task: it may outlive its request, and has a model and a name of its own.
pub(super) fn task(origin: &Origin, tenant: &str, task: &RunwareTask) -> Span {
    let (id, model, uuid) = (&origin.id, task.model(), task.uuid());
    error_span!(parent: None, "task", request_id = %id, tenant, model, task = uuid)
}

/// Tells where a request comes from.
pub(super) fn origin(request: &HttpRequest, id: &str) -> Origin {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let caller = header("traceparent").and_then(|parent| Context::parse(parent, header("tracestate")));
    Origin { id: id.into(), caller }
}

/// Names what a task does, as `gen_ai.operation.name` has it where it has a name for it.
pub(super) fn operation(task_type: &str) -> &str {
    match task_type {
        "textInference" => "chat",
        "imageInference" => "image_generation",
        "videoInference" => "video_generation",
        other => other,
    }
}
