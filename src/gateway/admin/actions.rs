//! The actions of operators.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::guard::Operator;
use crate::capacity::ModelCapacity;
use crate::gateway::app::Gateway;
use crate::gateway::http::body;
use crate::gateway::http::refusal::Refusal;
use crate::operator::Action;
use crate::wire::Malformed;

/// Largest window that can be pinned: no provider serves more at once on one route.
const LARGEST_WINDOW: u32 = 100_000;
/// Longest order read, in bytes.
const LONGEST_ORDER: usize = 64 * 1024;

/// `GET /admin/config`.
pub(in crate::gateway) async fn config(_: Operator, gateway: Data<Gateway>) -> HttpResponse {
    let mut config = gateway.fairflow.settings().effective();
    // What operators have set stands beside what the file says.
    let set = gateway.fairflow.capacity().into_iter().filter(|model| model.paused || model.pinned_window.is_some());
    let standing = |model: ModelCapacity| {
        let standing = json!({"paused": model.paused, "pinnedWindow": model.pinned_window});
        (model.model.to_string(), standing)
    };
    config["operator"] = Value::Object(set.map(standing).collect());
    HttpResponse::Ok().json(config)
}

/// `POST /admin/drain`.
pub(in crate::gateway) async fn drain(_: Operator, gateway: Data<Gateway>) -> HttpResponse {
    let settings = gateway.fairflow.settings();
    let (delay, timeout) = (settings.server.drain_delay.0, settings.server.drain_timeout.0);
    // Begun before the answer says so.
    actix_web::rt::spawn(gateway.into_inner().drain(delay, timeout));
    HttpResponse::Accepted().json(json!({"draining": true}))
}

/// An order for `POST /admin/models/{model}`.
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

/// `POST /admin/models/{model}`.
pub(in crate::gateway) async fn model(
    _: Operator,
    request: HttpRequest,
    model: Path<String>,
    payload: Payload,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let body = body::read(&request, payload, LONGEST_ORDER).await?;
    let example = "must be like {\"action\": \"pin\", \"window\": 8}";
    let order: Order =
        serde_json::from_slice(&body).map_err(|error| Malformed::new("body", format!("{example}: {error}")))?;
    let standing = gateway.fairflow.operate(&model, order.action()?).await.map_err(Refusal::unscheduled)?;
    Ok(HttpResponse::Ok().json(json!({"model": *model, "paused": standing.paused, "pinnedWindow": standing.window})))
}
