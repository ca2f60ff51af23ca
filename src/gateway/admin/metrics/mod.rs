//! `/metrics`: every counter in Prometheus' text form.

mod process;
mod spending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;

use super::guard::Operator;
use crate::Reason;
use crate::capacity::{ModelCapacity, RouteCapacity, TenantLoad};
use crate::engine::view::reason::Counted;
use crate::gateway::app::Gateway;
use crate::gateway::http::refusal::Refusal;
use crate::stats::{Histogram, Reading, Stats};

/// Tenants per model that have a label of their own; the rest is summed, for their names come from outside.
const NAMED_TENANTS: usize = 20;

/// `GET /metrics`.
pub(in crate::gateway) async fn metrics(_: Operator, gateway: Data<Gateway>) -> Result<HttpResponse, Refusal> {
    let page = page(&gateway).await.map_err(|_| Refusal::internal("metrics cannot be written"))?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page))
}

/// Writes all there is.
async fn page(gateway: &Gateway) -> Result<String, fmt::Error> {
    let tenants = gateway.fairflow.tenants(NAMED_TENANTS).await;
    let (capacity, stats) = (gateway.fairflow.capacity(), gateway.fairflow.stats());
    let flying: HashMap<&str, u32> = capacity.iter().map(|model| (&*model.model, model.in_flight)).collect();
    let flying = |name: &str| flying.get(name).copied().unwrap_or_default();
    let with_flight = |(model, tenants): (Arc<str>, _)| ModelTenants { in_flight: flying(&model), model, tenants };
    let tenants: Vec<_> = tenants.into_iter().map(with_flight).collect();
    let mut page = Page(String::new());
    page.models(&capacity)?;
    page.routes(&capacity)?;
    page.gateway(gateway)?;
    page.requests(gateway, &stats)?;
    page.tenants(&tenants)?;
    page.spending(&stats)?;
    page.forecasts(&stats)?;
    page.feeds(gateway)?;
    page.process()?;
    Ok(page.0)
}

/// A model's requests in flight, and its tenants with the most of them.
struct ModelTenants {
    in_flight: u32,
    model: Arc<str>,
    tenants: Vec<TenantLoad>,
}

/// The counters of every model.
type ModelStats = BTreeMap<Arc<str>, Arc<Stats>>;

/// Says whether a counter has counted: the others are not written, as client libraries do until a label is first used.
fn seen<T>((_, count): &(T, u64)) -> bool {
    *count > 0
}

/// The text as it grows.
struct Page(String);

/// Writes labels, with their values escaped.
struct Labels<'a>(&'a [(&'a str, &'a str)]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write!(f, "{}{name}=\"{value}\"", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) -> fmt::Result {
        writeln!(self.0, "{name}{{{}}} {value}", Labels(labels))
    }

    /// Writes a histogram, once it has seen something.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) -> fmt::Result {
        let Reading { sum, counts } = histogram.read();
        if counts.iter().all(|count| *count == 0) {
            return Ok(());
        }
        let mut total = 0;
        let bounds = histogram.bounds().iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            total += count;
            writeln!(self.0, "{name}_bucket{{{},le=\"{bound}\"}} {total}", Labels(labels))?;
        }
        self.sample(&format!("{name}_sum"), labels, sum)?;
        self.sample(&format!("{name}_count"), labels, total)
    }

    /// Writes what models are like now.
    fn models(&mut self, models: &[ModelCapacity]) -> fmt::Result {
        type Read = fn(&ModelCapacity) -> u64;
        let gauges: [(&str, &str, Read); 6] = [
            ("fairflow_queue_depth", "Requests waiting.", |model| model.queue_depth as u64),
            ("fairflow_queue_capacity", "Requests that may wait.", |model| model.queue_capacity as u64),
            ("fairflow_in_flight", "Requests in flight over all routes.", |model| model.in_flight.into()),
            ("fairflow_window", "Requests that may be in flight over all routes.", |model| model.window.into()),
            ("fairflow_routes", "Routes of the model.", |model| model.routes.len() as u64),
            ("fairflow_open_routes", "Routes that may be sent to now.", |model| model.open_routes() as u64),
        ];
        for (name, help, read) in gauges {
            self.family(name, "gauge", help)?;
            for model in models {
                self.sample(name, &[("model", &model.model)], read(model))?;
            }
        }
        Ok(())
    }

    /// Writes what each route is like now.
    fn routes(&mut self, models: &[ModelCapacity]) -> fmt::Result {
        type Read = fn(&RouteCapacity) -> u32;
        let gauges: [(&str, &str, Read); 2] = [
            ("fairflow_route_in_flight", "Requests in flight on a route.", |route| route.in_flight),
            ("fairflow_route_window", "Requests that may be in flight on a route.", |route| route.window),
        ];
        for (name, help, read) in gauges {
            self.family(name, "gauge", help)?;
            for (model, route) in models.iter().flat_map(|model| model.routes.iter().map(move |route| (model, route))) {
                let labels =
                    [("model", &*model.model), ("provider", &route.provider), ("upstream_model", &route.model)];
                self.sample(name, &labels, read(route))?;
            }
        }
        Ok(())
    }

    /// Writes what the gateway is like.
    fn gateway(&mut self, gateway: &Gateway) -> fmt::Result {
        let settings = gateway.fairflow.settings();
        self.family("fairflow_max_wait_seconds", "gauge", "Longest wait that a model's settings allow.")?;
        for (model, settings) in &settings.models {
            self.sample("fairflow_max_wait_seconds", &[("model", model)], settings.max_wait.as_secs_f64())?;
        }
        self.family("fairflow_draining", "gauge", "1 from when a drain begins.")?;
        writeln!(self.0, "fairflow_draining {}", u8::from(gateway.fairflow.is_draining()))?;
        self.family("fairflow_restarts_total", "counter", "Actors that ended in service and were restarted.")?;
        for restarts in gateway.fairflow.restarts() {
            let labels = [("actor", restarts.actor.as_str()), ("cause", restarts.cause.as_str())];
            self.sample("fairflow_restarts_total", &labels, restarts.count)?;
        }
        self.family("fairflow_telemetry_dropped_total", "counter", "Requests that OTLP did not tell of.")?;
        writeln!(self.0, "fairflow_telemetry_dropped_total {}", gateway.telemetry.dropped())?;
        self.family("fairflow_build_info", "gauge", "Always 1; the label says which version runs.")?;
        self.sample("fairflow_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1)
    }

    /// Writes what has happened to requests so far.
    fn requests(&mut self, gateway: &Gateway, stats: &ModelStats) -> fmt::Result {
        self.family("fairflow_retry_budget_remaining", "gauge", "Retries that the budget has room for.")?;
        for (model, stats) in stats {
            self.sample("fairflow_retry_budget_remaining", &[("model", model)], stats.retry_budget_remaining())?;
        }
        self.family("fairflow_requests_total", "counter", "Requests by how they ended.")?;
        for (model, stats) in stats {
            for (outcome, count) in stats.requests().filter(seen) {
                self.sample("fairflow_requests_total", &[("model", model), ("outcome", outcome.as_str())], count)?;
            }
        }
        self.family("fairflow_rejected_total", "counter", "Refusals by reason; no model where none counts it.")?;
        let is_usual = |reason: Reason| reason.counted() == Counted::AtTheDoor;
        for (reason, count) in gateway.door.refused().filter(|(reason, count)| *count > 0 || is_usual(*reason)) {
            self.sample("fairflow_rejected_total", &[("model", ""), ("reason", reason.as_str())], count)?;
        }
        for (model, stats) in stats {
            for (outcome, count) in stats.requests().filter(seen).filter(|(outcome, _)| outcome.is_rejected()) {
                self.sample("fairflow_rejected_total", &[("model", model), ("reason", outcome.as_str())], count)?;
            }
        }
        self.family("fairflow_attempts_total", "counter", "Dispatches by outcome.")?;
        for (model, stats) in stats {
            for (outcome, count) in stats.attempts().filter(seen) {
                let labels = [("model", &**model), ("outcome", outcome.as_str())];
                self.sample("fairflow_attempts_total", &labels, count)?;
            }
        }
        self.family(
            "fairflow_verdicts_total",
            "counter",
            "Answers that were no success: whose matter, and what about.",
        )?;
        for (model, stats) in stats {
            for ((scope, matter), count) in stats.verdicts().filter(seen) {
                let labels = [("model", &**model), ("scope", scope.as_str()), ("matter", matter.as_str())];
                self.sample("fairflow_verdicts_total", &labels, count)?;
            }
        }
        self.family("fairflow_window_changes_total", "counter", "Changes of windows by kind.")?;
        for (model, stats) in stats {
            for (kind, count) in stats.window_changes().filter(seen) {
                self.sample("fairflow_window_changes_total", &[("model", model), ("kind", kind.as_str())], count)?;
            }
        }
        type Pick = fn(&Stats) -> &Histogram;
        let durations: [(&str, &str, Pick); 3] = [
            ("fairflow_queue_wait_seconds", "Admission to dispatch, per dispatch.", |stats| &stats.queue_wait),
            ("fairflow_service_seconds", "Dispatch to completion, of successes.", |stats| &stats.service),
            ("gen_ai_client_operation_duration_seconds", "Admission to completion, of successes.", |s| &s.sojourn),
        ];
        for (name, help, pick) in durations {
            self.family(name, "histogram", help)?;
            for (model, stats) in stats {
                self.histogram(name, &[("model", model)], pick(stats))?;
            }
        }
        self.family("gen_ai_client_token_usage", "histogram", "Tokens per success, where the provider told.")?;
        for (model, stats) in stats {
            for (kind, histogram) in [("input", &stats.input_tokens), ("output", &stats.output_tokens)] {
                let labels = [("model", &**model), ("gen_ai_token_type", kind)];
                self.histogram("gen_ai_client_token_usage", &labels, histogram)?;
            }
        }
        Ok(())
    }

    /// Writes each tenant's share of what is in flight.
    fn tenants(&mut self, models: &[ModelTenants]) -> fmt::Result {
        self.family("fairflow_tenant_share", "gauge", "Share of a model's requests in flight, 0 to 1.")?;
        for ModelTenants { in_flight, model, tenants } in models {
            let named: u32 = tenants.iter().map(|tenant| tenant.in_flight).sum();
            // The model's figure is up to 50 ms older than its tenants'.
            let total = named.max(*in_flight);
            let share = |flying: u32| f64::from(flying) / f64::from(total);
            for load in tenants.iter().filter(|load| load.in_flight > 0) {
                let labels = [("model", &**model), ("tenant", &*load.tenant)];
                self.sample("fairflow_tenant_share", &labels, share(load.in_flight))?;
            }
            if total > named && tenants.len() == NAMED_TENANTS {
                // A tenant may be called "other" too, and has no label of that name.
                let labels = [("model", &**model), ("tenant", "other"), ("sum", "true")];
                self.sample("fairflow_tenant_share", &labels, share(total - named))?;
            }
        }
        Ok(())
    }
}
