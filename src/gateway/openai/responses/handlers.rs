//! Responses that are asked for by id, cancelled and forgotten.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::background::{self, asked_once};
use super::store::{Holder, find, told};
use crate::Error;
use crate::gateway::app::Gateway;
use crate::gateway::http::caller::Tenant;
use crate::gateway::http::query;
use crate::gateway::http::refusal::Refusal;
use crate::gateway::openai::forget::forget;
use crate::wire::Malformed;

/// The query of a caller that asks for a response.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    stream: String,
}

/// `GET /v1/responses/{id}`.
pub(in crate::gateway) async fn retrieve(
    request: HttpRequest,
    tenant: Tenant,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    if query::read::<Asked>(&request)?.stream == "true" {
        return Err(Malformed::new("stream", "must not be true: a response that is kept is told as a whole").into());
    }
    let key = tenant.key(&response);
    let kept = find(&gateway.responses, &key, gateway.fairflow.now()).ok_or_else(Refusal::unknown_response)?;
    if kept.under_way { background::tell(&gateway, &key, &kept, false).await } else { Ok(told(kept.answer.clone())) }
}

/// `DELETE /v1/responses/{id}`: a provider that keeps it forgets it first, so that what cannot be reached is asked again.
pub(in crate::gateway) async fn remove(
    tenant: Tenant,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let key = tenant.key(&response);
    if let Some(holder) =
        find(&gateway.responses, &key, gateway.fairflow.now()).as_deref().and_then(|kept| kept.holder.as_ref())
    {
        forget_there(&gateway, holder, &response).await.map_err(Refusal::unscheduled)?;
    }
    forget(&gateway, &gateway.responses, &key, "response", Refusal::unknown_response)
}

/// Has an account forget a response. One that is not configured any more cannot be asked.
async fn forget_there(gateway: &Gateway, holder: &Holder, id: &str) -> Result<(), Error> {
    let Some(client) = gateway.fairflow.client_of(&holder.account).await? else { return Ok(()) };
    asked_once(client.forget_response(id, &holder.upstream_model)).await
}

/// `POST /v1/responses/{id}/cancel`.
pub(in crate::gateway) async fn cancel(
    tenant: Tenant,
    response: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let key = tenant.key(&response);
    let kept = find(&gateway.responses, &key, gateway.fairflow.now()).ok_or_else(Refusal::unknown_response)?;
    // What has ended stays as it is.
    if kept.under_way { background::tell(&gateway, &key, &kept, true).await } else { Ok(told(kept.answer.clone())) }
}

/// `GET /v1/responses/{id}/input_items`.
pub(in crate::gateway) async fn input_items() -> Result<HttpResponse, Refusal> {
    Err(Refusal::not_offered("the input items of a response", "keep what you send, or ask the provider"))
}
