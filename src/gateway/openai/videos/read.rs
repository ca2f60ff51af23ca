//! Videos that are asked for: how they stand, and their content.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::store::{Made, answer};
use crate::gateway::app::Gateway;
use crate::gateway::http::caller::Tenant;
use crate::gateway::http::refusal::Refusal;
use crate::jobs::Watch;
use crate::wire::Malformed;

/// `GET /v1/videos/{id}`.
pub(in crate::gateway) async fn state(
    tenant: Tenant,
    video: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let (order, watch) = find(&tenant, &gateway, &video)?;
    Ok(answer(&order, &watch))
}

/// `POST /v1/videos/{id}/remix`.
pub(in crate::gateway) async fn remix() -> Result<HttpResponse, Refusal> {
    Err(Refusal::not_offered("remixes of videos", "order a new video that says what is to be otherwise"))
}

/// `GET /v1/videos/{id}/content`: leads to where the provider keeps it, or answers with it where the provider sent it along.
pub(in crate::gateway) async fn content(
    tenant: Tenant,
    video: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let (_, watch) = find(&tenant, &gateway, &video)?;
    let made = watch.borrow().clone();
    let made = made.ok_or_else(|| Malformed::new("video_id", "names a video that is not completed yet"))?;
    let url = made.outcome.as_ref().map_err(Clone::clone)?.url.as_deref();
    let url = url.ok_or_else(|| Refusal::internal("the provider told no address"))?;
    Ok(match inline(url) {
        Some((kind, film)) => HttpResponse::Ok().content_type(kind).body(film),
        None => HttpResponse::Found().insert_header(("location", url)).finish(),
    })
}

/// Reads what an address holds itself: a data URI.
fn inline(url: &str) -> Option<(&str, Vec<u8>)> {
    let (kind, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some((kind, STANDARD.decode(data).ok()?))
}

fn find(tenant: &Tenant, gateway: &Gateway, video: &str) -> Result<(Arc<str>, Watch<Made>), Refusal> {
    gateway.videos.find(&tenant.key(video), gateway.fairflow.now()).ok_or_else(Refusal::unknown_video)
}
