//! Where traces and metrics are sent: `[telemetry]`.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::secret::KeySource;
use super::units::Span;
use crate::wording::shown;

/// `[telemetry]`. What is left out is read from OpenTelemetry's own variables (`OTEL_…`), then from the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TelemetryConfig {
    /// Where an OTLP collector takes protobuf over HTTP, without `/v1/traces`; default `OTEL_EXPORTER_OTLP_ENDPOINT`,
    /// else nothing is sent. Needs a build with the feature `otlp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// Headers of each export, like an API key; default `OTEL_EXPORTER_OTLP_HEADERS`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub otlp_headers: BTreeMap<String, KeySource>,
    /// Default `OTEL_SERVICE_NAME`, else fairflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Share of requests that are traced, 0 to 1, where the caller's `traceparent` does not decide; default
    /// `OTEL_TRACES_SAMPLER_ARG`, else 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_ratio: Option<f64>,
    /// How often metrics are sent, at least 1s; default `OTEL_METRIC_EXPORT_INTERVAL`, else 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_interval: Option<Span>,
}

/// Settings of telemetry, found valid; the environment decides where a field is `None`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TelemetrySettings {
    /// Where OTLP goes.
    pub endpoint: Option<String>,
    /// Headers of each export, read.
    pub headers: Vec<(String, SecretString)>,
    /// The service's name.
    pub service_name: Option<String>,
    /// Share of requests that are traced.
    pub sample_ratio: Option<f64>,
    /// How often metrics are sent.
    pub metrics_interval: Option<Duration>,
}

impl PartialEq for TelemetrySettings {
    fn eq(&self, other: &Self) -> bool {
        // Taken apart, so that a field that is added is not forgotten here.
        let Self { endpoint, headers, service_name, sample_ratio, metrics_interval } = self;
        let read = |headers: &[(String, SecretString)]| -> Vec<(String, String)> {
            headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect()
        };
        endpoint == &other.endpoint
            && read(headers) == read(&other.headers)
            && service_name == &other.service_name
            && sample_ratio == &other.sample_ratio
            && metrics_interval == &other.metrics_interval
    }
}

pub(super) fn check(check: &mut Check, config: &TelemetryConfig) -> TelemetrySettings {
    if let Some(endpoint) = &config.otlp_endpoint {
        let path = "telemetry.otlp_endpoint";
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            check.problem(path, format!("{} is no address; write it like \"http://127.0.0.1:4318\"", shown(endpoint)));
        }
        if cfg!(not(feature = "otlp")) {
            check.problem(path, "this build sends no OTLP; build with --features otlp, or leave it out");
        }
    }
    let mut headers = Vec::new();
    for (name, source) in &config.otlp_headers {
        let path = format!("telemetry.otlp_headers.{name:?}");
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            check.problem(&path, "is no name of a header; use letters, digits and -");
        }
        headers.extend(check.key(&path, Some(source)).map(|value| (name.clone(), value)));
    }
    if config.service_name.as_deref() == Some("") {
        check.problem("telemetry.service_name", "is empty; give a name, or leave it out");
    }
    if let Some(interval) = config.metrics_interval
        && interval.0 < Duration::from_secs(1)
    {
        check.problem("telemetry.metrics_interval", format!("{:?} is too often; give at least \"1s\"", interval.0));
    }
    TelemetrySettings {
        endpoint: config.otlp_endpoint.clone(),
        headers,
        service_name: config.service_name.clone(),
        sample_ratio: config.sample_ratio.map(|ratio| check.fraction("telemetry.sample_ratio", ratio)),
        metrics_interval: config.metrics_interval.map(|span| check.wait("telemetry.metrics_interval", span)),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        let config = Config::from_toml(
            "[telemetry]\notlp_endpoint = \"collector:4318\"\nsample_ratio = 2.0\nmetrics_interval = \"10ms\"\n\
             service_name = \"\"\notlp_headers = { \"a b\" = { value = \"hunter2\" } }",
        );
        let told = config.expect("TOML").validate().expect_err("wrong").to_string();
        for part in [
            "telemetry.otlp_endpoint: \"collector:4318\" is no address; write it like",
            "telemetry.sample_ratio: 2 is out of range",
            "telemetry.metrics_interval: 10ms is too often",
            "telemetry.service_name: is empty",
            "telemetry.otlp_headers.\"a b\": is no name",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(told.contains("build with --features otlp"), cfg!(not(feature = "otlp")));
    }
}
