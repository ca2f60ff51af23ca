//! OpenAI's routes.

mod form;
pub(super) mod videos;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::actor::provider::Reply;
use crate::actor::run::Spec;
use crate::gateway::refusal::{self, Refusal};
use crate::gateway::state::Gateway;
use crate::gateway::{auth, body, event_stream, idempotency, rates, trail};
use crate::task::wire::Wire;
use crate::task::wire::openai::{Endpoint, Label, OpenAiRequest, render};
use crate::task::wire::responses;
use crate::task::{Product, Request};

pub(super) async fn chat(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Chat, &request, payload, &gateway).await
}

pub(super) async fn embeddings(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Embeddings, &request, payload, &gateway).await
}

pub(super) async fn images(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Images, &request, payload, &gateway).await
}

pub(super) async fn respond_to(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Responses, &request, payload, &gateway).await
}

pub(super) async fn models(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let id = refusal::request_id(&request);
    let settings = gateway.fairflow.settings();
    if let Err(refusal) = auth::tenant(&request, &settings, None) {
        return refuse(&gateway, &refusal, &id);
    }
    let model = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "fairflow"});
    let data: Vec<_> = settings.models.keys().map(model).collect();
    HttpResponse::Ok().insert_header(("x-request-id", id)).json(json!({"object": "list", "data": data}))
}

/// Counts a refusal and words it.
pub(super) fn refuse(gateway: &Gateway, refusal: &Refusal, id: &str) -> HttpResponse {
    gateway.count(refusal);
    refusal.openai(id)
}

async fn answer(endpoint: Endpoint, request: &HttpRequest, payload: Payload, gateway: &Data<Gateway>) -> HttpResponse {
    let id = refusal::request_id(request);
    let generated = respond(endpoint, request, payload, gateway, &id).await;
    generated.unwrap_or_else(|refusal| refuse(gateway, &refusal, &id))
}

async fn respond(
    endpoint: Endpoint,
    request: &HttpRequest,
    payload: Payload,
    gateway: &Data<Gateway>,
    id: &str,
) -> Result<HttpResponse, Refusal> {
    let settings = gateway.fairflow.settings();
    let tenant = auth::tenant(request, &settings, None)?;
    let auth::Wishes { class, max_wait } = auth::wishes(request)?;
    let body = body::read(request, payload, settings.server.max_body.0).await?;
    let parsed = OpenAiRequest::parse(endpoint, body.clone())?;
    let model: Arc<str> = parsed.model.as_str().into();
    trail::note("model", &model);
    let witness = gateway.telemetry.witness(&trail::origin(request, id), operation(endpoint), None);
    let spec = Spec { tenant: Some(tenant.clone()), class, max_wait, witness, ..Spec::new(model.clone(), parsed.cost) };
    if parsed.stream && matches!(endpoint, Endpoint::Chat | Endpoint::Responses) {
        let keep_alive = settings.server.keep_alive.0;
        let mut response = event_stream::respond(gateway, spec, Wire::OpenAi(parsed), id, keep_alive).await?;
        rates::tell(gateway, &model, &tenant, &mut response).await;
        return Ok(response);
    }
    let generated = async {
        let generated = generate(gateway, spec, parsed, id).await;
        let mut response = generated.unwrap_or_else(|refusal| refuse(gateway, &refusal, id));
        rates::tell(gateway, &model, &tenant, &mut response).await;
        response
    };
    idempotency::once(gateway, request, &tenant, &body, id, generated).await
}

async fn generate(gateway: &Gateway, spec: Spec, parsed: OpenAiRequest, id: &str) -> Result<HttpResponse, Refusal> {
    let (model, base64, endpoint) = (parsed.model.clone(), wants_base64(&parsed), parsed.endpoint);
    let work = Request::Wire(Wire::OpenAi(parsed));
    let (reply, settling, receipt) = gateway.fairflow.dispatch(spec, &work).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-request-id", id));
    refusal::receipt(&mut response, &receipt);
    match reply {
        Reply::Verbatim(upstream) => {
            settling.done();
            Ok(response.content_type(upstream.content_type).body(upstream.body))
        }
        Reply::Product(product) => {
            settling.done();
            let created = unix_time();
            if let (Endpoint::Responses, Product::Text(text)) = (endpoint, &product) {
                let label = Label { model: &model, id: &format!("resp_{id}"), created };
                return Ok(response.json(responses::render(text, label)));
            }
            let label = Label { model: &model, id: &answer_id(id), created };
            Ok(response.json(render(&product, label, base64)))
        }
        Reply::Stream(_) | Reply::Deltas(_) => {
            Err(crate::Error::Internal("the provider streamed what was not to be streamed".into()).into())
        }
    }
}

/// Names what is done, as `gen_ai.operation.name` has it.
fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses => "chat",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Images => "image_generation",
    }
}

fn wants_base64(request: &OpenAiRequest) -> bool {
    request.endpoint == Endpoint::Embeddings
        && request.field("encoding_format").is_some_and(|format| format == "base64")
}

/// Returns the id of a generated answer.
pub(super) fn answer_id(id: &str) -> String {
    format!("chatcmpl-{id}")
}

pub(super) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
