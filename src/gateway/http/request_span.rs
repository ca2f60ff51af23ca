//! Ids, marks and spans: they make a request recognisable in answers, logs and traces.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use tracing::{Span, error_span};

use super::names;
use crate::telemetry::{Context, Marked, Marks, Origin};
use crate::wire::runware::RunwareTask;

/// Longest request id that is echoed, in bytes.
const LONGEST_ID: usize = 128;

/// The id under which a request is known everywhere: the caller's, or a new one.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct RequestId(pub(in crate::gateway) Arc<str>);

impl RequestId {
    /// Returns the id of a request, which is set where the request comes in.
    pub(in crate::gateway) fn of(request: &HttpRequest) -> Self {
        if let Some(id) = request.extensions().get::<Self>() {
            return id.clone();
        }
        let given = request.headers().get(names::REQUEST_ID).and_then(|value| value.to_str().ok());
        let given = given.filter(|id| !id.is_empty() && id.len() <= LONGEST_ID && !id.contains(char::is_control));
        Self(given.map_or_else(|| uuid::Uuid::new_v4().to_string().into(), Arc::from))
    }
}

impl FromRequest for RequestId {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// Gives each request its id, which its answer says too, and the marks that its log lines have.
pub(in crate::gateway) async fn mark(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId::of(request.request());
    let marks = Marks::new(id.0.clone());
    let header = HeaderValue::from_str(&id.0).ok();
    request.extensions_mut().insert(id);
    let mut answer = Marked::new(Some(marks), next.call(request)).await?;
    if let Some(id) = header {
        answer.headers_mut().insert(names::REQUEST_ID, id);
    }
    Ok(answer)
}

/// Adds its tenant to the request's log lines.
pub(in crate::gateway) fn note_tenant(tenant: &Arc<str>) {
    if let Some(marks) = Marks::current() {
        marks.tenant(tenant.clone());
    }
}

/// Adds its model to the request's log lines.
pub(in crate::gateway) fn note_model(model: impl Into<Arc<str>>) {
    if let Some(marks) = Marks::current() {
        marks.model(model.into());
    }
}

/// Returns the span of a task: it may outlive its request, and has a model and a name of its own.
pub(in crate::gateway) fn task(origin: &Origin, tenant: &str, task: &RunwareTask) -> Span {
    let (id, model, uuid) = (&origin.id, task.model(), task.uuid());
    error_span!(parent: None, "task", request_id = %id, tenant, model, task = uuid)
}

/// Returns the origin of a request: its id, and its caller's trace.
pub(in crate::gateway) fn origin(request: &HttpRequest) -> Origin {
    let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let caller = header(names::TRACEPARENT).and_then(|parent| Context::parse(parent, header(names::TRACESTATE)));
    Origin { id: RequestId::of(request).0, caller }
}

/// Names what a task does, as `gen_ai.operation.name` has it where it has a name for it.
pub(in crate::gateway) fn operation(task_type: &str) -> &str {
    match task_type {
        "textInference" => "chat",
        "imageInference" => "image_generation",
        "videoInference" => "video_generation",
        other => other,
    }
}
