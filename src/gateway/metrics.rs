//! `/metrics`: every counter in Prometheus' text form.

use std::fmt::{self, Write};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::refusal::request_id;
use super::state::Gateway;
use super::{auth, openai};
use crate::stats::{Histogram, Stats};
use crate::{Error, capacity::ModelCapacity};

/// Tenants per model that have a label of their own; the rest is `other`, for their names come from outside.
const NAMED_TENANTS: usize = 20;
/// Ends of a request that are refusals of ours.
pub(super) const REFUSALS: [&str; 7] = [
    "queue_full",
    "tenant_queue_full",
    "deadline_unreachable",
    "no_capacity",
    "queue_timeout",
    "retries_exhausted",
    "upstream_timeout",
];

pub(super) async fn metrics(request: HttpRequest, gateway: Data<Gateway>) -> HttpResponse {
    let id = request_id(&request);
    if let Err(refusal) = auth::admin(&request, &gateway) {
        return openai::refuse(&gateway, &refusal, &id);
    }
    let tenants = gateway.fairflow.tenants(usize::MAX).await;
    let mut page = Page(String::new());
    let written = page.models(&gateway).and_then(|()| page.requests(&gateway)).and_then(|()| page.tenants(&tenants));
    match written {
        Ok(()) => HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(page.0),
        Err(_) => openai::refuse(&gateway, &Error::Internal("metrics cannot be written".into()).into(), &id),
    }
}

/// A model and its tenants, each with what it has waiting and in flight, the largest first.
type ModelTenants<N> = (N, Vec<(N, u32, u32)>);

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

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) -> fmt::Result {
        let (sum, counts) = histogram.read();
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
    fn models(&mut self, gateway: &Gateway) -> fmt::Result {
        type Read = fn(&ModelCapacity) -> u64;
        let gauges: [(&str, &str, Read); 3] = [
            ("fairflow_queue_depth", "Requests waiting.", |model| model.queue_depth as u64),
            ("fairflow_in_flight", "Requests in flight over all routes.", |model| model.in_flight.into()),
            ("fairflow_window", "Requests that may be in flight over all routes.", |model| model.window.into()),
        ];
        let capacity = gateway.fairflow.capacity();
        for (name, help, read) in gauges {
            self.family(name, "gauge", help)?;
            for model in &capacity {
                self.sample(name, &[("model", &model.model)], read(model))?;
            }
        }
        Ok(())
    }

    /// Writes what has happened to requests so far.
    fn requests(&mut self, gateway: &Gateway) -> fmt::Result {
        let stats = gateway.fairflow.stats();
        self.family("fairflow_retry_budget_remaining", "gauge", "Retries that the budget has room for.")?;
        for (model, stats) in &stats {
            self.sample("fairflow_retry_budget_remaining", &[("model", model)], stats.retry_budget_remaining())?;
        }
        self.family("fairflow_requests_total", "counter", "Requests by how they ended.")?;
        for (model, stats) in &stats {
            for (outcome, count) in stats.requests() {
                self.sample("fairflow_requests_total", &[("model", model), ("outcome", outcome)], count)?;
            }
        }
        self.family("fairflow_rejected_total", "counter", "Refusals by reason; no model where it reached none.")?;
        for (reason, count) in gateway.refused() {
            self.sample("fairflow_rejected_total", &[("model", ""), ("reason", reason)], count)?;
        }
        for (model, stats) in &stats {
            for (reason, count) in stats.requests().filter(|(outcome, _)| REFUSALS.contains(outcome)) {
                self.sample("fairflow_rejected_total", &[("model", model), ("reason", reason)], count)?;
            }
        }
        self.family("fairflow_attempts_total", "counter", "Dispatches by outcome.")?;
        for (model, stats) in &stats {
            for (outcome, count) in stats.attempts() {
                let labels = [("model", &**model), ("outcome", outcome.as_str())];
                self.sample("fairflow_attempts_total", &labels, count)?;
            }
        }
        self.family("fairflow_window_changes_total", "counter", "Changes of windows by kind.")?;
        for (model, stats) in &stats {
            for (kind, count) in stats.window_changes() {
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
            for (model, stats) in &stats {
                self.histogram(name, &[("model", model)], pick(stats))?;
            }
        }
        self.family("gen_ai_client_token_usage", "histogram", "Tokens per success, where the provider told.")?;
        for (model, stats) in &stats {
            for (kind, histogram) in ["input", "output"].into_iter().zip(&stats.tokens) {
                let labels = [("model", &**model), ("gen_ai_token_type", kind)];
                self.histogram("gen_ai_client_token_usage", &labels, histogram)?;
            }
        }
        Ok(())
    }

    /// Writes each tenant's share of what is in flight.
    fn tenants<N: AsRef<str>>(&mut self, models: &[ModelTenants<N>]) -> fmt::Result {
        self.family("fairflow_tenant_share", "gauge", "Share of a model's requests in flight, 0 to 1.")?;
        for (model, tenants) in models {
            let flying = |tenants: &[(N, u32, u32)]| tenants.iter().map(|tenant| u64::from(tenant.2)).sum::<u64>();
            let total = flying(tenants);
            if total == 0 {
                continue;
            }
            #[allow(clippy::cast_precision_loss, reason = "a share")]
            let share = |flying: u64| flying as f64 / total as f64;
            let (named, other) = tenants.split_at(tenants.len().min(NAMED_TENANTS));
            for (tenant, _, flying) in named.iter().filter(|tenant| tenant.2 > 0) {
                let labels = [("model", model.as_ref()), ("tenant", tenant.as_ref())];
                self.sample("fairflow_tenant_share", &labels, share(u64::from(*flying)))?;
            }
            if flying(other) > 0 {
                let labels = [("model", model.as_ref()), ("tenant", "other")];
                self.sample("fairflow_tenant_share", &labels, share(flying(other)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_beyond_the_largest_are_one() {
        let tenants = (0..30).map(|n| (format!("t{n}\""), 0, if n == 0 { 11 } else { 1 })).collect();
        let mut page = Page(String::new());
        page.tenants(&[("m".to_owned(), tenants), ("idle".to_owned(), Vec::new())]).expect("written");
        let samples: Vec<&str> = page.0.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), NAMED_TENANTS + 1);
        assert_eq!(samples[0], r#"fairflow_tenant_share{model="m",tenant="t0\""} 0.275"#);
        assert_eq!(samples[NAMED_TENANTS], r#"fairflow_tenant_share{model="m",tenant="other"} 0.25"#);
    }
}
