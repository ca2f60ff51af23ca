//! The setup of exports: `[telemetry]`, and for what it leaves out, OpenTelemetry's own variables.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::config::TelemetrySettings;

/// A place to send to.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) traces: Url,
    pub(super) metrics: Url,
    pub(super) headers: HeaderMap,
    /// Attributes that the service tells of itself with each export.
    pub(super) resource: Vec<(String, String)>,
    pub(super) sample_ratio: f64,
    pub(super) metrics_interval: Duration,
}

impl Setup {
    /// Reads it; `None` where nothing is to be sent.
    ///
    /// # Errors
    ///
    /// A sentence that names the key or variable, and never the value of a header.
    pub(super) fn read(
        settings: &TelemetrySettings,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let env = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let configured = settings.endpoint.clone().map(|endpoint| ("telemetry.otlp_endpoint", endpoint));
        let given = configured.or_else(|| {
            let name = "OTEL_EXPORTER_OTLP_ENDPOINT";
            env(name).map(|endpoint| (name, endpoint))
        });
        let Some((from, endpoint)) = given else { return Ok(None) };
        let address = |path: &str| {
            let text = format!("{}/v1/{path}", endpoint.trim_end_matches('/'));
            let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            url.ok_or_else(|| format!("{from} is no address; write it like \"http://127.0.0.1:4318\""))
        };
        let sampler = env("OTEL_TRACES_SAMPLER");
        let ratio = match sampler.as_deref() {
            Some("always_off" | "parentbased_always_off") => 0.0,
            Some("always_on" | "parentbased_always_on") => 1.0,
            _ => number("OTEL_TRACES_SAMPLER_ARG", env("OTEL_TRACES_SAMPLER_ARG"))?.unwrap_or(1.0),
        };
        if !(0.0..=1.0).contains(&ratio) {
            return Err(format!("OTEL_TRACES_SAMPLER_ARG {ratio} is out of range; give a number from 0 to 1"));
        }
        let interval = number("OTEL_METRIC_EXPORT_INTERVAL", env("OTEL_METRIC_EXPORT_INTERVAL"))?;
        let interval = interval.map(|millis| Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default());
        let interval = settings.metrics_interval.or(interval).unwrap_or(Duration::from_secs(60));
        let mut resource = pairs(env("OTEL_RESOURCE_ATTRIBUTES").as_deref().unwrap_or_default());
        resource.retain(|(name, _)| name != "service.version");
        resource.push(("service.version".into(), env!("CARGO_PKG_VERSION").into()));
        if let Some(name) = settings.service_name.clone().or_else(|| env("OTEL_SERVICE_NAME")) {
            resource.retain(|(known, _)| known != "service.name");
            resource.push(("service.name".into(), name));
        } else if !resource.iter().any(|(name, _)| name == "service.name") {
            resource.push(("service.name".into(), "fairflow".into()));
        }
        let headers = if settings.headers.is_empty() {
            headers(
                "OTEL_EXPORTER_OTLP_HEADERS",
                pairs(env("OTEL_EXPORTER_OTLP_HEADERS").as_deref().unwrap_or_default()),
            )
        } else {
            let read = settings.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
            headers("telemetry.otlp_headers", read.collect())
        };
        Ok(Some(Self {
            traces: address("traces")?,
            metrics: address("metrics")?,
            headers: headers?,
            resource,
            sample_ratio: settings.sample_ratio.unwrap_or(ratio),
            metrics_interval: interval.max(Duration::from_secs(1)),
        }))
    }

    /// Returns the endpoint as it may be logged.
    pub(super) fn shown(&self) -> String {
        let port = self.traces.port().map_or(String::new(), |port| format!(":{port}"));
        format!("{}://{}{port}", self.traces.scheme(), self.traces.host_str().unwrap_or_default())
    }
}

fn number(name: &str, value: Option<String>) -> Result<Option<f64>, String> {
    let read = |text: String| text.parse().map_err(|_| format!("{name} {text:?} is no number"));
    value.map(read).transpose()
}

/// Reads `name=value,name=value`, percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        Some((decoded(name.trim()), decoded(value.trim())))
    };
    text.split(',').filter_map(pair).filter(|(name, _)| !name.is_empty()).collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn headers(from: &str, given: Vec<(String, String)>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let wrong = || format!("{from}: {name:?} cannot stand in a request");
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &TelemetrySettings, env: &[(&str, &str)]) -> Result<Option<Setup>, String> {
        let find = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Setup::read(settings, find)
    }

    #[test]
    fn the_environment_says_what_the_file_does_not() {
        assert!(read(&TelemetrySettings::default(), &[]).expect("valid").is_none());
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20k%2Cey,x-team=a=b"),
            ("OTEL_SERVICE_NAME", "images"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,service.name=other"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
        ];
        let setup = read(&TelemetrySettings::default(), &env).expect("valid").expect("on");
        assert_eq!(setup.traces.as_str(), "http://collector:4318/v1/traces");
        assert_eq!(setup.headers["authorization"], "Bearer k,ey");
        assert_eq!(setup.headers["x-team"], "a=b");
        assert!(!format!("{setup:?}").contains("k,ey"), "{setup:?}");
        assert_eq!((setup.sample_ratio, setup.metrics_interval), (0.25, Duration::from_secs(5)));
        let named: Vec<_> = setup.resource.iter().filter(|(name, _)| name == "service.name").collect();
        assert_eq!(named, [&("service.name".to_owned(), "images".to_owned())]);
        assert!(setup.resource.contains(&("deployment.environment.name".into(), "prod".into())));

        let settings = TelemetrySettings {
            endpoint: Some("https://other/otlp".into()),
            sample_ratio: Some(0.5),
            service_name: Some("text".into()),
            ..TelemetrySettings::default()
        };
        let setup = read(&settings, &env).expect("valid").expect("on");
        assert_eq!(setup.metrics.as_str(), "https://other/otlp/v1/metrics");
        assert_eq!(setup.sample_ratio, 0.5);
        assert!(read(&settings, &[("OTEL_SDK_DISABLED", "true")]).expect("valid").is_none());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for (env, named) in [
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://c:4317")], "OTEL_EXPORTER_OTLP_ENDPOINT is no address"),
            (vec![endpoint, ("OTEL_TRACES_SAMPLER_ARG", "2")], "OTEL_TRACES_SAMPLER_ARG 2 is out of range"),
            (vec![endpoint, ("OTEL_TRACES_SAMPLER_ARG", "x")], "OTEL_TRACES_SAMPLER_ARG \"x\" is no number"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter%0A2")], "\"a\" cannot stand"),
        ] {
            let told = read(&TelemetrySettings::default(), &env).expect_err("wrong");
            assert!(told.contains(named) && !told.contains("hunter"), "{told}");
        }
    }
}
