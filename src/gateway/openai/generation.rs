//! Endpoints that generate: chats, responses, embeddings, images.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError, Route};

use super::responses::{Keeper, continued, hold, name_previous, response_id};
use crate::clock::unix_time;
use crate::contract::provider::Reply;
use crate::engine::caller::plan::Plan;
use crate::engine::caller::quote::Quote;
use crate::gateway::app::Gateway;
use crate::gateway::event_stream::{self, answer_id};
use crate::gateway::http::caller::{Caller, Wishes};
use crate::gateway::http::refusal::Refusal;
use crate::gateway::http::{body, idempotency, quota_headers, reply, request_span};
use crate::task::Product;
use crate::wire::openai::{Endpoint, Label, OpenAiRequest, render};
use crate::wire::responses;
use crate::wire::{Request, Wire};

/// Longest that the slot of a background response is held, where the model has no settings of its own.
const HELD: Duration = Duration::from_secs(120);
/// Most headers of OpenAI's API that go on to a provider.
const MOST_PASSED: usize = 8;
/// Longest header of OpenAI's API that goes on to a provider, in bytes.
const LONGEST_PASSED: usize = 256;

/// Returns the route of an endpoint that generates.
pub(in crate::gateway) fn generation(endpoint: Endpoint) -> Route {
    web::post().to(move |request: HttpRequest, caller: Caller, payload: Payload, gateway: Data<Gateway>| async move {
        respond(endpoint, &request, caller, payload, &gateway).await
    })
}

async fn respond(
    endpoint: Endpoint,
    request: &HttpRequest,
    Caller { tenant, wishes: Wishes { class, max_wait }, origin }: Caller,
    payload: Payload,
    gateway: &Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let settings = gateway.fairflow.settings();
    let body = body::read(request, payload, settings.server.max_body.0).await?;
    let mut parsed = OpenAiRequest::read(endpoint, body::content_type(request), body)?;
    parsed.passed = passed(request);
    let parsed = continued(&gateway.responses, &tenant, parsed, gateway.fairflow.now());
    let keeper = Keeper::of(&gateway.fairflow, &gateway.responses, &tenant, &parsed);
    let model: Arc<str> = parsed.model.as_str().into();
    request_span::note_model(model.clone());
    let witness = gateway.telemetry.witness(&origin, operation(endpoint), None);
    let streams = parsed.stream && endpoint != Endpoint::Embeddings;
    let quote = Quote { units: parsed.cost, tokens: parsed.tokens, streams };
    let spec = Plan { tenant: Some(tenant.clone()), class, max_wait, witness, quote, ..Plan::new(model.clone()) };
    let id = &*origin.id;
    if streams {
        let keep_alive = settings.server.keep_alive.0;
        let mut response =
            event_stream::respond(&gateway.fairflow, spec, Wire::OpenAi(parsed), keeper, id, keep_alive).await?;
        quota_headers::tell(&gateway.fairflow, &model, &tenant, &mut response).await;
        return Ok(response);
    }
    let digest = idempotency::digest(request, parsed.pieces());
    let generated = pin!(async {
        let generated = generate(gateway, spec, parsed, keeper, id).await;
        let mut response = generated.unwrap_or_else(|refusal| refusal.error_response());
        quota_headers::tell(&gateway.fairflow, &model, &tenant, &mut response).await;
        response
    });
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
    reply::receipt(&mut response, &receipt);
    match reply {
        Reply::Verbatim(upstream) => {
            let body = name_previous(upstream.body, previous.as_deref());
            let begun = keeper.and_then(|keeper| Some((keeper.keep_verbatim(&body, &receipt)?, keeper)));
            match begun {
                Some((key, keeper)) => {
                    let timeout = gateway.fairflow.settings().models.get(&*model).map_or(HELD, |model| model.timeout);
                    hold(&keeper, key, settling, timeout.saturating_sub(receipt.upstream));
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
            Err(Refusal::internal("the provider streamed what was not to be streamed"))
        }
    }
}

/// Returns the headers of OpenAI's API that go on to a provider of that API: organization, project, beta, …
fn passed(request: &HttpRequest) -> Vec<(Box<str>, Box<str>)> {
    let own = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("openai-"));
    let own = own.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let own = own.filter(|(_, text)| !text.is_empty() && text.len() <= LONGEST_PASSED);
    own.take(MOST_PASSED).map(|(name, text)| (name.into(), text.into())).collect()
}

/// Returns the name of the operation, as `gen_ai.operation.name` has it.
fn operation(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat | Endpoint::Responses => "chat",
        Endpoint::Embeddings => "embeddings",
        Endpoint::Images | Endpoint::Edits => "image_generation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<A, F: Future>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Each request's future is boxed, and moved on its way there.
    #[test]
    fn what_a_request_takes_while_it_waits_is_small() {
        let asked = |(request, caller, payload, gateway): (HttpRequest, Caller, Payload, Data<Gateway>)| async move {
            respond(Endpoint::Chat, &request, caller, payload, &gateway).await
        };
        assert!(bytes_of(asked) <= 4_096, "{} bytes", bytes_of(asked));
    }
}
