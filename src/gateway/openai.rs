//! OpenAI's routes.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;

use super::{auth, refusal};
use crate::actor::provider::Reply;
use crate::actor::run::Spec;
use crate::actor::stream::{hold_bytes, hold_deltas};
use crate::task::Request;
use crate::task::wire::Wire;
use crate::task::wire::openai::{Endpoint, Label, OpenAiRequest, render, render_delta};
use crate::{Error, Fairflow};

pub(super) async fn chat(request: HttpRequest, body: web::Bytes, fairflow: web::Data<Fairflow>) -> HttpResponse {
    answer(Endpoint::Chat, request, body, &fairflow).await
}

pub(super) async fn embeddings(request: HttpRequest, body: web::Bytes, fairflow: web::Data<Fairflow>) -> HttpResponse {
    answer(Endpoint::Embeddings, request, body, &fairflow).await
}

pub(super) async fn images(request: HttpRequest, body: web::Bytes, fairflow: web::Data<Fairflow>) -> HttpResponse {
    answer(Endpoint::Images, request, body, &fairflow).await
}

pub(super) async fn models(request: HttpRequest, fairflow: web::Data<Fairflow>) -> HttpResponse {
    let settings = fairflow.settings();
    if auth::tenant(&request, &settings, None).is_err() {
        return refusal::openai_key(&refusal::request_id(&request));
    }
    let model = |name| json!({"id": name, "object": "model", "created": 0, "owned_by": "fairflow"});
    let data: Vec<_> = settings.models.keys().map(model).collect();
    HttpResponse::Ok().json(json!({"object": "list", "data": data}))
}

async fn answer(endpoint: Endpoint, request: HttpRequest, body: Bytes, fairflow: &Fairflow) -> HttpResponse {
    let id = refusal::request_id(&request);
    let Ok(tenant) = auth::tenant(&request, &fairflow.settings(), None) else { return refusal::openai_key(&id) };
    let parsed = OpenAiRequest::parse(endpoint, body).and_then(|parsed| Ok((parsed, auth::wishes(&request)?)));
    let (parsed, (class, max_wait)) = match parsed {
        Ok(parsed) => parsed,
        Err(malformed) => return refusal::openai(&Error::InvalidRequest(malformed), &id),
    };
    let model = parsed.model.clone();
    let spec = Spec { model: model.as_str().into(), tenant: Some(tenant), class, cost: parsed.cost, max_wait };
    let work = Request::Wire(Wire::OpenAi(parsed.clone()));
    let (reply, settling, receipt) = match fairflow.dispatch(spec, &work).await {
        Ok(done) => done,
        Err(error) => return refusal::openai(&error, &id),
    };
    let mut response = HttpResponse::Ok();
    refusal::receipt(&mut response, &receipt, &id);
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match reply {
        Reply::Verbatim(upstream) => {
            settling.done();
            response.content_type(upstream.content_type).body(upstream.body)
        }
        Reply::Product(product) => {
            settling.done();
            let base64 = parsed.field("encoding_format").is_some_and(|format| format == "base64");
            response.json(render(&product, Label { model: &model, id: &format!("chatcmpl-{id}"), created }, base64))
        }
        Reply::Stream(chunks) => response.content_type("text/event-stream").streaming(hold_bytes(chunks, settling)),
        Reply::Deltas(deltas) => {
            let options = parsed.field("stream_options");
            let with_usage = options.is_some_and(|options| options.get("include_usage") == Some(&json!(true)));
            let label_id = format!("chatcmpl-{id}");
            let events = hold_deltas(deltas, settling).filter_map(move |delta| {
                let label = Label { model: &model, id: &label_id, created };
                let event = match delta {
                    Ok(delta) => render_delta(&delta, label, with_usage),
                    Err(failure) => Some(json!({"error": {
                        "message": failure.message, "type": "server_error", "param": null, "code": "upstream_error",
                    }})),
                };
                std::future::ready(
                    event.map(|event| Ok::<_, actix_web::Error>(Bytes::from(format!("data: {event}\n\n")))),
                )
            });
            let done = futures_util::stream::once(async { Ok(Bytes::from_static(b"data: [DONE]\n\n")) });
            response.content_type("text/event-stream").streaming(events.chain(done))
        }
    }
}
