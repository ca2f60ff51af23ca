//! The answers that the page asks for: all models, one model, a model's tenants.

use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shares::{Row, Sort, pick};
use crate::capacity::ModelCapacity;
use crate::config::AuthMode;
use crate::gateway::admin::guard::Operator;
use crate::gateway::app::Gateway;
use crate::gateway::http::query;
use crate::gateway::http::refusal::Refusal;
use crate::stats::RequestOutcome;

/// Decisions shown of all models together.
const LATEST: usize = 40;
/// Most tenants told at a time.
const MOST_TENANTS: usize = 200;

fn answer(value: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(value)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// Unix seconds: what is known already.
    #[serde(default)]
    since: u32,
}

/// Tells of all models, each in one line, and of the latest decisions.
pub(in crate::gateway) async fn overview(
    _: Operator,
    request: HttpRequest,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let Since { since } = query::read(&request)?;
    let now = gateway.dashboard.now();
    let capacity = gateway.fairflow.capacity();
    let recorder = gateway.dashboard.recorder();
    let mut latest = Vec::new();
    let models: Vec<Value> = capacity
        .iter()
        .map(|model| {
            let track = recorder.tracks.get(&model.model);
            let decisions = track.into_iter().flat_map(|track| track.decisions.latest());
            latest.extend(decisions.take(LATEST).map(|decision| (decision.at, &model.model, decision)));
            line(model, track.and_then(|track| track.history.sketch(now, 24, 5)))
        })
        .collect();
    // The sort is stable: of one second and one model the latest stays first.
    latest.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    latest.truncate(LATEST);
    let decisions: Vec<_> = latest.iter().map(|(_, model, decision)| decision.json(Some(model))).collect();
    Ok(answer(&json!({
        "now": now,
        "version": env!("CARGO_PKG_VERSION"),
        "public": gateway.dashboard.public(),
        "keys": gateway.fairflow.settings().server.auth == AuthMode::Keys,
        "requests": recorder.requests(),
        "draining": gateway.fairflow.is_draining(),
        "models": models,
        "history": recorder.all.columns(since),
        "decisions": decisions,
    })))
}

/// A model in one line; what is nothing is left out, for there may be a thousand of them.
fn line(model: &ModelCapacity, sketch: Option<Vec<f32>>) -> Value {
    let mut line = Map::new();
    line.insert("model".into(), (*model.model).into());
    line.insert("status".into(), json!(model.status));
    line.insert("window".into(), model.window.into());
    for (name, number) in [
        ("queued", model.queue_depth as u64),
        ("inFlight", model.in_flight.into()),
        ("tenants", model.active_tenants as u64),
        ("p50", model.processing_ms.p50),
        ("p90", model.processing_ms.p90),
        ("wait", model.estimated_wait_ms.p50),
        ("pinned", model.pinned_window.unwrap_or_default().into()),
        ("heldMs", model.routes.iter().map(|route| route.hold_until_ms).min().unwrap_or_default()),
    ] {
        if number > 0 {
            line.insert(name.into(), number.into());
        }
    }
    if model.throughput_per_second > 0.0 {
        line.insert("perSecond".into(), model.throughput_per_second.into());
    }
    if model.paused {
        line.insert("paused".into(), true.into());
    }
    if let Some(sketch) = sketch {
        line.insert("sketch".into(), json!(sketch));
    }
    Value::Object(line)
}

/// Tells of a model: its routes, its history, how its attempts and requests ended, and what was decided.
pub(in crate::gateway) async fn model(
    _: Operator,
    request: HttpRequest,
    model: Path<String>,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let Since { since } = query::read(&request)?;
    let capacity = gateway.fairflow.capacity_of(&model, None).await.map_err(Refusal::unscheduled)?;
    let stats = gateway.fairflow.stats_of(&model)?;
    let recorder = gateway.dashboard.recorder();
    let track = recorder.tracks.get(model.as_str());
    let decisions = track.into_iter().flat_map(|track| track.decisions.latest());
    let decisions: Vec<_> = decisions.map(|decision| decision.json(None)).collect();
    let attempts: Map<String, Value> =
        stats.attempts().map(|(outcome, count)| (outcome.as_str().to_owned(), count.into())).collect();
    let requests: Map<String, Value> =
        stats.requests().map(|(outcome, count)| (outcome.to_string(), count.into())).collect();
    let endings: Map<String, Value> =
        RequestOutcome::all().map(|outcome| (outcome.to_string(), outcome.text().into())).collect();
    Ok(answer(&json!({
        "now": gateway.dashboard.now(),
        "capacity": capacity,
        "retryBudget": stats.retry_budget_remaining(),
        "attempts": attempts,
        "requests": requests,
        "endings": endings,
        "history": track.map(|track| track.history.columns(since)).unwrap_or_default(),
        "decisions": decisions,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    model: String,
    #[serde(default)]
    search: String,
    #[serde(default)]
    sort: Sort,
    limit: Option<usize>,
}

/// The tenants of a model that matter most, or that are searched for.
pub(in crate::gateway) async fn tenants(
    _: Operator,
    request: HttpRequest,
    gateway: Data<Gateway>,
) -> Result<HttpResponse, Refusal> {
    let Asked { model, search, sort, limit } = query::read(&request)?;
    let (now, shares) = (gateway.dashboard.now(), &gateway.dashboard.shares);
    let most = limit.unwrap_or(25).min(MOST_TENANTS);
    let read = |rows: Vec<&Row>| {
        let known = rows.len();
        let (found, rows) = pick(rows, &search, sort, most);
        (known, found, rows.into_iter().cloned().collect::<Vec<_>>())
    };
    let (known, found, rows) = match shares.look(&model, now, read) {
        Some(answer) => answer,
        None => {
            shares.begin(&model, now, gateway.fairflow.standings(&model).await.map_err(Refusal::unscheduled)?, read)
        }
    };
    let rows = join_all(rows.iter().map(|row| tenant(&gateway, &model, row))).await;
    Ok(answer(&json!({"model": model, "known": known, "found": found, "tenants": rows})))
}

async fn tenant(gateway: &Gateway, model: &str, row: &Row) -> Value {
    let name: &Arc<str> = &row.standing.tenant;
    // What waits of a tenant that may not use the model any more is shown too.
    let you = gateway.fairflow.capacity_of(model, Some(name)).await.ok().and_then(|capacity| capacity.you);
    let round = |share: f64| (share * 1e4).round() / 1e4;
    json!({
        "tenant": name,
        "class": row.standing.class.as_str(),
        "weight": row.standing.weight,
        "queued": row.standing.queued,
        "inFlight": row.standing.in_flight,
        "share": round(row.share),
        "fair": round(row.fair),
        "waitMs": you.as_ref().map(|you| you.estimated_wait_ms),
        "maxInFlight": you.as_ref().and_then(|you| you.max_in_flight),
        "reserve": you.as_ref().and_then(|you| you.reserve.as_ref()),
    })
}
