//! The models that a tenant may use.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::{Value, json};

use crate::gateway::app::Gateway;
use crate::gateway::http::caller::Tenant;
use crate::gateway::http::refusal::Refusal;

/// `GET /v1/models`: the configured models that the tenant may use.
pub(in crate::gateway) async fn models(Tenant(tenant): Tenant, gateway: Data<Gateway>) -> HttpResponse {
    let (settings, policy) = (gateway.fairflow.settings(), gateway.fairflow.policy(&tenant));
    let data: Vec<_> = settings.models.keys().filter(|name| policy.allows(name)).map(|name| described(name)).collect();
    HttpResponse::Ok().json(json!({"object": "list", "data": data}))
}

/// `GET /v1/models/{model}`: one that is configured, or that runs because it was asked for.
pub(in crate::gateway) async fn model(
    Tenant(tenant): Tenant,
    model: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    gateway.fairflow.offers(&model, &tenant).map_err(Refusal::unscheduled)?;
    Ok(HttpResponse::Ok().json(described(&model)))
}

fn described(model: &str) -> Value {
    json!({"id": model, "object": "model", "created": 0, "owned_by": "fairflow"})
}
