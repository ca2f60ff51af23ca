//! `/v1/capacity`: snapshots, once or as they change.

mod feed;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

pub(super) use self::feed::Feeds;
use super::app::Gateway;
use super::http::caller::Tenant;
use super::http::refusal::Refusal;
use super::http::sse;
use crate::Error;

/// `GET /v1/capacity`: of all models that the tenant may use.
pub(super) async fn all(request: HttpRequest, tenant: Tenant, gateway: Data<Gateway>) -> Result<HttpResponse, Refusal> {
    let policy = gateway.fairflow.policy(&tenant.0);
    let names = gateway.fairflow.stats().into_keys().map(|name| name.to_string());
    respond(&request, &tenant, &gateway, names.filter(|name| policy.allows(name)).collect(), false).await
}

/// `GET /v1/capacity/{model}`.
pub(super) async fn one(
    request: HttpRequest,
    tenant: Tenant,
    model: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    respond(&request, &tenant, &gateway, vec![model.into_inner()], true).await
}

/// Answers with `models`; unless they were `named` by the caller, one that has just retired is left out.
async fn respond(
    request: &HttpRequest,
    Tenant(tenant): &Tenant,
    gateway: &Gateway,
    models: Vec<String>,
    named: bool,
) -> Result<HttpResponse, Refusal> {
    let fairflow = &gateway.fairflow;
    let live = request.headers().get("accept").and_then(|accept| accept.to_str().ok());
    if live.is_some_and(|accept| accept.contains("text/event-stream")) {
        let policy = fairflow.policy(tenant);
        let feeds = models.iter().map(|model| gateway.feeds.subscribe(fairflow, &policy, model));
        let feeds: Result<Vec<_>, Error> = feeds.filter(|feed| named || !is_retired(feed)).collect();
        let events = feed::events(
            feeds.map_err(Refusal::unscheduled)?,
            gateway.draining(),
            fairflow.settings().server.keep_alive.0,
        );
        let mut response = HttpResponse::Ok();
        sse::begin(&mut response);
        return Ok(response.streaming(events));
    }
    let views = models.iter().map(|model| fairflow.capacity_of(model, Some(tenant)));
    let views = futures_util::future::join_all(views).await.into_iter();
    let views: Result<Vec<_>, Error> = views.filter(|view| named || !is_retired(view)).collect();
    Ok(HttpResponse::Ok().json(json!({"models": views.map_err(Refusal::unscheduled)?})))
}

fn is_retired<T>(found: &Result<T, Error>) -> bool {
    matches!(found, Err(Error::UnknownModel { .. }))
}
