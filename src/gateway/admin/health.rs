//! The health endpoints of both ports.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::gateway::app::Gateway;

/// `GET /health/live`.
pub(in crate::gateway) async fn live() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

/// `GET /health/ready`.
pub(in crate::gateway) async fn ready(gateway: Data<Gateway>) -> HttpResponse {
    if gateway.is_ready() { HttpResponse::Ok().body("ok") } else { HttpResponse::ServiceUnavailable().body("draining") }
}
