//! OpenAI's routes.

pub(super) mod background;
pub(super) mod kept;
pub(super) mod videos;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use self::kept::Keeper;
use crate::clock::unix_time;
use crate::contract::provider::Reply;
use crate::engine::caller::plan::Plan;
use crate::engine::caller::quote::Quote;
use crate::gateway::refusal::{self, Refusal, request_id};
use crate::gateway::state::Gateway;
use crate::gateway::{auth, body, event_stream, idempotency, rates, trail};
use crate::jobs::{Jobs, Key};
use crate::task::Product;
use crate::wire::Request;
use crate::wire::Wire;
use crate::wire::openai::{Endpoint, Label, OpenAiRequest, render};
use crate::wire::responses;

/// Longest that the slot of a background response is held, where the model has no settings of its own.
const HELD: Duration = Duration::from_secs(120);
/// Most headers of OpenAI's API that go on to a provider, and the longest, in bytes.
const MOST_PASSED: usize = 8;
const LONGEST_PASSED: usize = 256;

pub(super) async fn chat(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Chat, &request, payload, &gateway).await
}

pub(super) async fn embeddings(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Embeddings, &request, payload, &gateway).await
}

pub(super) async fn images(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Images, &request, payload, &gateway).await
}

pub(super) async fn edits(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Edits, &request, payload, &gateway).await
}

pub(super) async fn respond_to(request: HttpRequest, payload: Payload, gateway: Data<Gateway>) -> HttpResponse {
    answer(Endpoint::Responses, &request, payload, &gateway).await
}

pub(super) async fn models(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let id = request_id(&request);
    let settings = gateway.fairflow.settings();
    let policy = match auth::tenant(&request, &settings, None) {
        Ok(tenant) => gateway.fairflow.policy(&tenant),
        Err(refusal) => return refuse(&gateway, &refusal, &id),
    };
    let data: Vec<_> = settings.models.keys().filter(|name| policy.allows(name)).map(|name| described(name)).collect();
    HttpResponse::Ok().insert_header(("x-request-id", id)).json(json!({"object": "list", "data": data}))
}

/// `GET /v1/models/{model}`: one that is configured, or that runs because it was asked for.
pub(super) async fn model(request: HttpRequest, model: Path<String>, gateway: Data<Gateway>) -> HttpResponse {
    let id = request_id(&request);
    let known = auth::tenant(&request, &gateway.fairflow.settings(), None)
        .and_then(|tenant| Ok(gateway.fairflow.offers(&model, &tenant)?));
    match known {
        Ok(()) => HttpResponse::Ok().insert_header(("x-request-id", id)).json(described(&model)),
        Err(refusal) => refuse(&gateway, &refusal, &id),
    }
}

fn described(model: &str) -> Value {
    json!({"id": model, "object": "model", "created": 0, "owned_by": "fairflow"})
}

/// Counts a refusal and words it.
pub(super) fn refuse(gateway: &Gateway, refusal: &Refusal, id: &str) -> HttpResponse {
    gateway.count(refusal);
    refusal.openai(id)
}

async fn answer(endpoint: Endpoint, request: &HttpRequest, payload: Payload, gateway: &Data<Gateway>) -> HttpResponse {
    let id = request_id(request);
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
    let mut parsed = OpenAiRequest::read(endpoint, content_type(request), body)?;
    parsed.passed = passed(request);
    let parsed = kept::continued(gateway, &tenant, parsed);
    let keeper = Keeper::of(gateway, &tenant, &parsed);
    let model: Arc<str> = parsed.model.as_str().into();
    trail::note("model", &model);
    let witness = gateway.telemetry.witness(&trail::origin(request, id), operation(endpoint), None);
    let streams = parsed.stream && endpoint != Endpoint::Embeddings;
    let quote = Quote { units: parsed.cost, tokens: parsed.tokens, streams };
    let spec = Plan { tenant: Some(tenant.clone()), class, max_wait, witness, quote, ..Plan::new(model.clone()) };
    if streams {
        let keep_alive = settings.server.keep_alive.0;
        let mut response = event_stream::respond(gateway, spec, Wire::OpenAi(parsed), keeper, id, keep_alive).await?;
        rates::tell(gateway, &model, &tenant, &mut response).await;
        return Ok(response);
    }
    let digest = idempotency::digest(request, parsed.pieces());
    let generated = async {
        let generated = generate(gateway, spec, parsed, keeper, id).await;
        let mut response = generated.unwrap_or_else(|refusal| refuse(gateway, &refusal, id));
        rates::tell(gateway, &model, &tenant, &mut response).await;
        response
    };
    idempotency::once(&gateway.answers, || gateway.fairflow.now(), request, &tenant, digest, generated).await
}

async fn generate(
    gateway: &Gateway,
    spec: Plan,
    parsed: OpenAiRequest,
    keeper: Option<Keeper>,
    id: &str,
) -> Result<HttpResponse, Refusal> {
    let (model, form, endpoint) = (parsed.model.clone(), parsed.wanted, parsed.endpoint);
    let previous = parsed.previous.clone();
    let work = Request::Wire(Wire::OpenAi(parsed));
    let (reply, settling, receipt) = gateway.fairflow.dispatch(spec, &work).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("x-request-id", id));
    refusal::receipt(&mut response, &receipt);
    match reply {
        Reply::Verbatim(upstream) => {
            let body = kept::name_previous(upstream.body, previous.as_deref());
            let begun = keeper.and_then(|keeper| Some((keeper.keep_verbatim(&body, &receipt)?, keeper)));
            match begun {
                Some((key, keeper)) => {
                    let timeout = gateway.fairflow.settings().models.get(&*model).map_or(HELD, |model| model.timeout);
                    background::hold(&keeper, key, settling, timeout.saturating_sub(receipt.upstream));
                }
                None => settling.done(),
            }
            Ok(response.content_type(upstream.content_type).body(body))
        }
        Reply::Product(product) => {
            settling.done();
            let created = unix_time();
            if let (Endpoint::Responses, Product::Text(text)) = (endpoint, &product) {
                let label = Label { model: &model, id: &response_id(), created };
                let mut answer = responses::render(text, label);
                answer["previous_response_id"] = previous.into();
                if let Some(keeper) = keeper {
                    keeper.keep(&answer);
                }
                return Ok(response.json(answer));
            }
            let label = Label { model: &model, id: &answer_id(id), created };
            Ok(response.json(render(&product, label, form)))
        }
        Reply::Stream(_) | Reply::Deltas(_) => {
            Err(crate::Error::Internal("the provider streamed what was not to be streamed".into()).into())
        }
    }
}

/// Returns the key under which the caller's tenant keeps what has that name.
fn own(request: &HttpRequest, gateway: &Gateway, name: &str) -> Result<Key, Refusal> {
    Ok((auth::tenant(request, &gateway.fairflow.settings(), None)?, name.into()))
}

/// Forgets what the caller's tenant keeps under a name, and says so; `kind` is what the API calls that which is gone.
fn forget<T>(
    (request, gateway): (&HttpRequest, &Gateway),
    jobs: &Jobs<T>,
    name: &str,
    kind: &str,
    unknown: fn() -> Refusal,
) -> HttpResponse {
    let id = request_id(request);
    let known = own(request, gateway, name).map(|key| jobs.remove(&key, gateway.fairflow.now()));
    match known.and_then(|known| known.then_some(()).ok_or_else(unknown)) {
        Ok(()) => HttpResponse::Ok()
            .insert_header(("x-request-id", id))
            .json(json!({"id": name, "object": kind, "deleted": true})),
        Err(refusal) => refuse(gateway, &refusal, &id),
    }
}

/// Returns the headers of OpenAI's API that go on to a provider of that API: organization, project, beta, …
fn passed(request: &HttpRequest) -> Vec<(Box<str>, Box<str>)> {
    let own = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("openai-"));
    let own = own.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let own = own.filter(|(_, text)| !text.is_empty() && text.len() <= LONGEST_PASSED);
    own.take(MOST_PASSED).map(|(name, text)| (name.into(), text.into())).collect()
}

/// Returns what a body is said to be.
pub(super) fn content_type(request: &HttpRequest) -> &str {
    request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Names what is done, as `gen_ai.operation.name` has it.
fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses => "chat",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Images | Endpoint::Edits => "image_generation",
    }
}

/// Returns the id of a generated answer.
pub(super) fn answer_id(id: &str) -> String {
    format!("chatcmpl-{id}")
}

/// Returns a new id for a response. Not the request's: a caller may give that twice.
pub(super) fn response_id() -> String {
    format!("resp_{}", uuid::Uuid::new_v4().simple())
}
