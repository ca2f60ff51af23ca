//! The admin port's actions, and the health endpoints of both ports.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal::{Refusal, request_id};
use super::state::Gateway;
use super::{auth, body, openai};
use crate::capacity::ModelCapacity;
use crate::operator::Action;
use crate::wire::Malformed;

/// Largest window that can be pinned: no provider serves more at once on one route.
const LARGEST_WINDOW: u32 = 100_000;
/// Longest order read, in bytes.
const LONGEST_ORDER: usize = 64 * 1024;

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().body("ok")
}

pub(super) async fn ready(gateway: Data<Gateway>) -> HttpResponse {
    if gateway.is_ready() { HttpResponse::Ok().body("ok") } else { HttpResponse::ServiceUnavailable().body("draining") }
}

/// Answers an admin request whose key is right.
pub(super) async fn guarded(
    request: &HttpRequest,
    gateway: &Gateway,
    act: impl AsyncFnOnce() -> Result<HttpResponse, Refusal>,
) -> HttpResponse {
    let acted = match auth::admin(request, gateway) {
        Ok(()) => act().await,
        Err(refusal) => Err(refusal),
    };
    acted.unwrap_or_else(|refusal| openai::refuse(gateway, &refusal, &request_id(request)))
}

pub(super) async fn config(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    guarded(&request, &gateway, async || {
        let mut config = gateway.fairflow.settings().effective();
        // What operators have set stands beside what the file says.
        let set = gateway.fairflow.capacity().into_iter().filter(|model| model.paused || model.pinned_window.is_some());
        let standing = |model: ModelCapacity| {
            let standing = json!({"paused": model.paused, "pinnedWindow": model.pinned_window});
            (model.model.to_string(), standing)
        };
        config["operator"] = Value::Object(set.map(standing).collect());
        Ok(HttpResponse::Ok().json(config))
    })
    .await
}

pub(super) async fn drain(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    guarded(&request, &gateway, async || {
        let settings = gateway.fairflow.settings();
        let (delay, timeout) = (settings.server.drain_delay.0, settings.server.drain_timeout.0);
        // Begun before the answer says so.
        actix_web::rt::spawn(gateway.clone().into_inner().drain(delay, timeout));
        Ok(HttpResponse::Accepted().json(json!({"draining": true})))
    })
    .await
}

/// What `POST /admin/models/{model}` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    action: String,
    window: Option<u32>,
}

impl Order {
    fn action(&self) -> Result<Action, Malformed> {
        match (self.action.as_str(), self.window) {
            ("pause", None) => Ok(Action::Pause),
            ("resume", None) => Ok(Action::Resume),
            ("unpin", None) => Ok(Action::Unpin),
            ("release", None) => Ok(Action::Release),
            ("pin", Some(window @ 1..=LARGEST_WINDOW)) => Ok(Action::Pin(window)),
            ("pin", _) => Err(Malformed::new("window", format!("must be a whole number from 1 to {LARGEST_WINDOW}"))),
            ("pause" | "resume" | "unpin" | "release", Some(_)) => {
                Err(Malformed::new("window", "belongs to \"pin\" only"))
            }
            (other, _) => {
                let given: String = other.chars().take(40).collect();
                Err(Malformed::new("action", format!("must be pause, resume, pin, unpin or release, not {given:?}")))
            }
        }
    }
}

pub(super) async fn model(
    request: HttpRequest,
    model: Path<String>,
    payload: Payload,
    gateway: Data<Gateway>,
) -> HttpResponse {
    guarded(&request, &gateway, async || {
        let body = body::read(&request, payload, LONGEST_ORDER).await?;
        let example = "must be like {\"action\": \"pin\", \"window\": 8}";
        let order: Order =
            serde_json::from_slice(&body).map_err(|error| Malformed::new("body", format!("{example}: {error}")))?;
        let standing = gateway.fairflow.operate(&model, order.action()?).await?;
        Ok(HttpResponse::Ok()
            .json(json!({"model": *model, "paused": standing.paused, "pinnedWindow": standing.window})))
    })
    .await
}
