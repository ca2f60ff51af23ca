//! Capacity, health, metrics and drain.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{auth, refusal};
use crate::stats::{BOUNDS, Histogram};
use crate::{Error, Fairflow};

pub(super) async fn ready(fairflow: web::Data<Fairflow>) -> HttpResponse {
    if fairflow.is_draining() {
        HttpResponse::ServiceUnavailable().body("draining")
    } else {
        HttpResponse::Ok().body("ok")
    }
}

pub(super) async fn capacity(request: HttpRequest, fairflow: web::Data<Fairflow>) -> HttpResponse {
    let Ok(tenant) = auth::tenant(&request, &fairflow.settings(), None) else {
        return refusal::openai_key(&refusal::request_id(&request));
    };
    let names: Vec<_> = fairflow.capacity().into_iter().map(|model| model.model).collect();
    let views = names.iter().map(|name| fairflow.capacity_of(name, Some(&tenant)));
    let models: Vec<_> = futures_util::future::join_all(views).await.into_iter().flatten().collect();
    HttpResponse::Ok().json(json!({"models": models}))
}

pub(super) async fn capacity_of(
    request: HttpRequest,
    model: web::Path<String>,
    fairflow: web::Data<Fairflow>,
) -> HttpResponse {
    let id = refusal::request_id(&request);
    let Ok(tenant) = auth::tenant(&request, &fairflow.settings(), None) else { return refusal::openai_key(&id) };
    match fairflow.capacity_of(&model, Some(&tenant)).await {
        Ok(capacity) => HttpResponse::Ok().json(json!({"models": [capacity]})),
        Err(error) => refusal::openai(&error, &id),
    }
}

pub(super) async fn drain(request: HttpRequest, fairflow: web::Data<Fairflow>) -> HttpResponse {
    if !admin_key(&request, &fairflow) {
        return refusal::begin(401, "invalid_key", None, "").body("missing or wrong admin key");
    }
    let timeout = fairflow.settings().server.drain_timeout.0;
    actix_web::rt::spawn(async move { fairflow.drain(timeout).await });
    HttpResponse::Accepted().json(json!({"draining": true}))
}

pub(super) async fn metrics(request: HttpRequest, fairflow: web::Data<Fairflow>) -> HttpResponse {
    if !admin_key(&request, &fairflow) {
        return refusal::begin(401, "invalid_key", None, "").body("missing or wrong admin key");
    }
    match exposition(&fairflow) {
        Ok(text) => HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text),
        Err(_) => refusal::openai(&Error::Internal("metrics cannot be written".into()), ""),
    }
}

fn admin_key(request: &HttpRequest, fairflow: &Fairflow) -> bool {
    use secrecy::ExposeSecret;
    use subtle::ConstantTimeEq;
    let settings = fairflow.settings();
    let Some(key) = &settings.admin_key else { return true };
    let given = request.headers().get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    given.is_some_and(|given| given.as_bytes().ct_eq(key.expose_secret().as_bytes()).into())
}

/// Writes the metrics of every model in Prometheus' text form.
fn exposition(fairflow: &Fairflow) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let label = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    for (name, kind) in [("queue_depth", 0), ("in_flight", 1), ("window", 2)] {
        writeln!(text, "# TYPE fairflow_{name} gauge")?;
        for model in fairflow.capacity() {
            let value = match kind {
                0 => model.queue_depth as u64,
                1 => u64::from(model.in_flight),
                _ => u64::from(model.window),
            };
            writeln!(text, "fairflow_{name}{{model=\"{}\"}} {value}", label(&model.model))?;
        }
    }
    let stats = fairflow.stats();
    writeln!(text, "# TYPE fairflow_retry_budget_remaining gauge")?;
    for (model, stats) in &stats {
        let room = stats.retry_budget_remaining();
        writeln!(text, "fairflow_retry_budget_remaining{{model=\"{}\"}} {room}", label(model))?;
    }
    let mut counter = |name: &str, key: &str, values: &[(String, String, u64)]| -> std::fmt::Result {
        writeln!(text, "# TYPE {name} counter")?;
        values.iter().try_for_each(|(model, value, count)| {
            writeln!(text, "{name}{{model=\"{model}\",{key}=\"{value}\"}} {count}")
        })
    };
    let (mut requests, mut rejected, mut attempts, mut changes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (model, stats) in &stats {
        let model = label(model);
        for (outcome, count) in stats.requests() {
            requests.push((model.clone(), outcome.to_owned(), count));
            if !matches!(outcome, "success" | "cancelled") {
                rejected.push((model.clone(), outcome.to_owned(), count));
            }
        }
        attempts.extend(stats.attempts().map(|(outcome, count)| (model.clone(), outcome.as_str().to_owned(), count)));
        changes.extend(stats.window_changes().map(|(kind, count)| (model.clone(), kind.as_str().to_owned(), count)));
    }
    counter("fairflow_requests_total", "outcome", &requests)?;
    counter("fairflow_rejected_total", "reason", &rejected)?;
    counter("fairflow_attempts_total", "outcome", &attempts)?;
    counter("fairflow_window_changes_total", "kind", &changes)?;
    for (name, pick) in [
        ("fairflow_queue_wait_seconds", (|stats| &stats.queue_wait) as fn(&crate::stats::Stats) -> &Histogram),
        ("fairflow_service_seconds", |stats| &stats.service),
        ("gen_ai_client_operation_duration_seconds", |stats| &stats.sojourn),
    ] {
        writeln!(text, "# TYPE {name} histogram")?;
        for (model, stats) in &stats {
            let (sum, counts) = pick(stats).read();
            let model = label(model);
            let mut total = 0;
            let bounds = BOUNDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (bound, count) in bounds.zip(counts) {
                total += count;
                writeln!(text, "{name}_bucket{{model=\"{model}\",le=\"{bound}\"}} {total}")?;
            }
            writeln!(text, "{name}_sum{{model=\"{model}\"}} {sum}\n{name}_count{{model=\"{model}\"}} {total}")?;
        }
    }
    Ok(text)
}
