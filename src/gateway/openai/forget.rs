//! Forgets what tenants keep.

use actix_web::HttpResponse;
use serde_json::json;

use crate::gateway::app::Gateway;
use crate::gateway::http::refusal::Refusal;
use crate::jobs::{Jobs, Key};

/// Forgets what a tenant keeps under a name, and says so; `kind` is what the API calls that which is gone.
pub(super) fn forget<T>(
    gateway: &Gateway,
    jobs: &Jobs<T>,
    key: &Key,
    kind: &str,
    unknown: fn() -> Refusal,
) -> Result<HttpResponse, Refusal> {
    if !jobs.remove(key, gateway.fairflow.now()) {
        return Err(unknown());
    }
    Ok(HttpResponse::Ok().json(json!({"id": &*key.1, "object": kind, "deleted": true})))
}
