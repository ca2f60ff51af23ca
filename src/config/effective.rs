//! The settings in force, for people to look at: every default filled in, every secret left out.

use std::ops::RangeInclusive;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::models::ModelSettings;
use super::providers::{Endpoint, ProviderKind, ProviderSettings, VerdictRule};
use super::settings::Settings;
use super::telemetry::TelemetrySettings;
use super::tenants::TenantPolicy;
use super::units::{Size, Span};

impl Settings {
    /// Writes the settings with the names and units of the file. Keys show as where they come from, if at all.
    #[must_use]
    pub fn effective(&self) -> Value {
        let providers: Map<_, _> =
            self.providers.iter().map(|(name, settings)| (name.to_string(), provider(settings))).collect();
        let models: Map<_, _> =
            self.models.iter().map(|(name, settings)| (name.to_string(), model(settings))).collect();
        let tenants: Map<_, _> = self.tenants.iter().map(|(name, policy)| (name.to_string(), tenant(policy))).collect();
        json!({
            "server": self.server,
            "socket": self.delivery.socket,
            "jobs": self.delivery.jobs,
            "webhooks": self.delivery.webhooks,
            "telemetry": telemetry(&self.telemetry),
            "providers": providers,
            "models": models,
            "unknown_models": self.unknown_models.as_ref().map(|unknown| &*unknown.provider),
            "defaults": tenant(&self.default_policy),
            "tenants": tenants,
        })
    }
}

fn provider(settings: &ProviderSettings) -> Value {
    let mut rest = match &settings.kind {
        ProviderKind::OpenAi(at) => endpoint(at),
        ProviderKind::Runware(account) => endpoint(&account.endpoint),
        ProviderKind::Task(account) => endpoint(&account.endpoint),
        ProviderKind::Sim(sim) => json!({"sim": sim}),
        ProviderKind::Custom => json!({}),
    };
    rest["kind"] = settings.kind.name().into();
    rest["max_in_flight"] = json!(settings.max_in_flight);
    rest["rate"] = json!({
        "requests_per_minute": settings.rates.requests_per_minute,
        "tokens_per_minute": settings.rates.tokens_per_minute,
        "requests_per_day": settings.budgets.requests_per_day,
        "tokens_per_day": settings.budgets.tokens_per_day,
    });
    rest["verdicts"] = settings.verdicts.iter().map(verdict).collect();
    rest
}

fn verdict(rule: &VerdictRule) -> Value {
    let VerdictRule { statuses, codes, begins, contains, verdict, hold } = rule;
    let status = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    json!({
        "status": statuses.iter().map(status).collect::<Vec<_>>(),
        "code": codes,
        "begins": begins,
        "contains": contains,
        "means": verdict.to_string(),
        "again": verdict.again.as_str(),
        "for": hold.map(Span),
    })
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let key = endpoint.api_key.as_ref().map(|_| "[redacted]");
    let url = without_credentials(&endpoint.base_url);
    let ca_file = endpoint.authorities.as_ref().map(|own| &own.file);
    let headers = endpoint.headers.iter().map(|header| (header.name.as_str(), "[redacted]"));
    json!({"base_url": url, "ca_file": ca_file, "api_key": key, "headers": headers.collect::<BTreeMap<_, _>>(),
        "user_agent": endpoint.user_agent, "max_response": Size(endpoint.max_response)})
}

/// Header values stay out: they are keys.
fn telemetry(settings: &TelemetrySettings) -> Value {
    let TelemetrySettings { endpoint, headers, service_name, sample_ratio, metrics_interval } = settings;
    json!({
        "otlp_endpoint": endpoint.as_deref().map(without_credentials),
        "otlp_headers": headers.iter().map(|(name, _)| (name.as_str(), "[redacted]")).collect::<BTreeMap<_, _>>(),
        "service_name": service_name,
        "sample_ratio": sample_ratio,
        "metrics_interval": metrics_interval.map(Span),
    })
}

/// Leaves out what a URL may hold between its scheme and its host, and its query.
fn without_credentials(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn model(settings: &ModelSettings) -> Value {
    let routes: Vec<Value> =
        settings.routes.iter().map(|route| json!({"provider": route.provider, "model": route.model})).collect();
    json!({
        "routes": routes,
        "queue": {"capacity": settings.queue.capacity, "max_wait": Span(settings.max_wait)},
        "window": {
            "initial": settings.window.initial,
            "min": settings.window.min,
            "max": settings.window.max,
            "ramp": settings.window.ramp,
            "refusals_free": settings.window.refusals_free,
            "latency_target": settings.window.latency_target.map(Span),
        },
        "retry": {
            "max_attempts": settings.max_attempts,
            "base": Span(settings.backoff.base),
            "max": Span(settings.backoff.max),
            "budget": settings.retry_budget,
        },
        "timeout": Span(settings.timeout),
        "healthy_latency": Span(settings.healthy_latency),
    })
}

fn tenant(policy: &TenantPolicy) -> Value {
    let limit = |limit: u32| Some(limit).filter(|limit| *limit < u32::MAX);
    json!({
        "weight": policy.limits.weight.value(),
        "class": policy.class.as_str(),
        "tier": policy.tier,
        "models": policy.models.as_ref().map(|models| models.written()),
        "budget": policy.budget.map(|budget| json!({"dollars_per_day": budget.dollars()})),
        "upgrade": policy.upgrade.as_ref().map(|upgrade| json!({
            "to": upgrade.to.tier,
            "after_dollars": upgrade.after.spent.dollars(),
            "after_requests": upgrade.after.requests,
            "after_days": upgrade.after.days,
        })),
        "max_in_flight": limit(policy.limits.max_in_flight),
        "max_queued": limit(policy.limits.max_queued),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_in_force_shows_and_no_secret_does() {
        let config = Config::from_toml(
            r#"
            [server]
            admin_key = { value = "hunter2" }
            [telemetry]
            otlp_headers = { authorization = { value = "hunter2" } }
            [providers.lab]
            kind = "openai"
            base_url = "https://me:hunter2@lab.example:8443/v1?key=hunter2"
            api_key = { value = "hunter2" }
            [models.m]
            routes = [{ provider = "lab" }]
            [tenants.acme]
            api_keys = ["sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]
            "#,
        );
        let shown = config.and_then(|config| config.validate()).expect("valid").effective();
        let text = shown.to_string();
        assert!(!text.contains("hunter2") && !text.contains("ba7816bf"), "{text}");
        assert_eq!(shown["providers"]["lab"]["base_url"], "https://lab.example:8443/v1");
        assert_eq!(
            shown["models"]["m"]["window"],
            json!({
                "initial": 4, "min": 1, "max": 256, "ramp": 2, "refusals_free": false, "latency_target": null
            })
        );
        assert_eq!(shown["models"]["m"]["queue"]["max_wait"], "1m");
        assert_eq!(shown["tenants"]["acme"]["max_queued"], Value::Null);
    }
}
