//! `/metrics`, scraped from a gateway that has served and refused.

use std::collections::BTreeMap;

use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::{client, found, prometheus};

#[tokio::test]
async fn every_metric_is_there_and_counts() {
    let lab = Lab::start();
    let gateway = lab.gateway(
        "",
        &[("ok", ""), ("bad", ""), ("hang", ""), ("hang-late", "timeout = \"50ms\"\nretry = { max_attempts = 1 }")],
    );
    for _ in 0..3 {
        assert_eq!(post(&gateway, CHAT, &chat("ok"), &[("x-fairflow-tenant", "a\"b")]).await.status(), 200);
    }
    assert_eq!(post(&gateway, CHAT, &chat("bad"), &[]).await.status(), 400);
    assert_eq!(post(&gateway, CHAT, &chat("none"), &[]).await.status(), 404);
    assert_eq!(post(&gateway, CHAT, &serde_json::json!({}), &[]).await.status(), 400);
    assert_eq!(post(&gateway, CHAT, &chat("hang-late"), &[]).await.status(), 504);
    // Moves the window.
    let pin = client().post(format!("{}/admin/models/bad", gateway.admin)).body(r#"{"action":"pin","window":9}"#);
    assert_eq!(pin.send().await.unwrap().status(), 200);
    let held: Vec<_> = ["a\"b", "a\"b", "a\"b", "c"]
        .into_iter()
        .map(|tenant| {
            let request = client().post(format!("{}{CHAT}", gateway.public)).header("x-fairflow-tenant", tenant);
            tokio::spawn(request.body(streamed("hang").to_string()).send())
        })
        .collect();
    lab.busy(4).await;
    // Snapshots follow what happens.
    let text = found("the held requests show", async || {
        let response = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap();
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
        let text = response.text().await.unwrap();
        text.contains("fairflow_in_flight{model=\"hang\"} 4").then_some(text)
    })
    .await;
    drop(held);

    let families = prometheus::parse(&text);
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        samples.insert(name, value.parse::<f64>().unwrap());
    }
    for (name, kind) in [
        ("fairflow_queue_depth", "gauge"),
        ("fairflow_queue_wait_seconds", "histogram"),
        ("fairflow_in_flight", "gauge"),
        ("fairflow_window", "gauge"),
        ("fairflow_window_changes_total", "counter"),
        ("fairflow_attempts_total", "counter"),
        ("fairflow_requests_total", "counter"),
        ("fairflow_rejected_total", "counter"),
        ("fairflow_retry_budget_remaining", "gauge"),
        ("fairflow_service_seconds", "histogram"),
        ("fairflow_tenant_share", "gauge"),
        ("fairflow_spent_dollars_total", "counter"),
        ("fairflow_estimated_dollars_total", "counter"),
        ("fairflow_unpriced_total", "counter"),
        ("fairflow_wait_forecasts_total", "counter"),
        ("fairflow_restarts_total", "counter"),
        ("fairflow_feed_watchers", "gauge"),
        ("fairflow_feed_events_total", "counter"),
        ("gen_ai_client_operation_duration_seconds", "histogram"),
        ("gen_ai_client_token_usage", "histogram"),
    ] {
        let family = families.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((family.kind.as_str(), family.samples.is_empty()), (kind, false), "{name}");
    }
    let budget = samples[r#"fairflow_retry_budget_remaining{model="ok"}"#];
    assert!((100.0..=101.0).contains(&budget), "the floor of ten seconds, and a fifth of three requests: {budget}");
    for (sample, value) in [
        (r#"fairflow_requests_total{model="ok",outcome="success"}"#, 3.0),
        (r#"fairflow_requests_total{model="bad",outcome="rejected"}"#, 1.0),
        (r#"fairflow_attempts_total{model="ok",outcome="success"}"#, 3.0),
        (r#"fairflow_rejected_total{model="hang-late",reason="upstream_timeout"}"#, 1.0),
        (r#"fairflow_rejected_total{model="",reason="unknown_model"}"#, 1.0),
        (r#"fairflow_rejected_total{model="",reason="invalid_request"}"#, 1.0),
        (r#"fairflow_in_flight{model="hang"}"#, 4.0),
        (r#"fairflow_window{model="ok"}"#, 4.0),
        (r#"fairflow_queue_wait_seconds_count{model="ok"}"#, 3.0),
        (r#"fairflow_service_seconds_bucket{model="ok",le="+Inf"}"#, 3.0),
        (r#"gen_ai_client_operation_duration_seconds_count{model="ok"}"#, 3.0),
        (r#"gen_ai_client_token_usage_sum{model="ok",gen_ai_token_type="input"}"#, 6.0),
        (r#"gen_ai_client_token_usage_sum{model="ok",gen_ai_token_type="output"}"#, 9.0),
        (r#"gen_ai_client_token_usage_bucket{model="ok",gen_ai_token_type="output",le="4"}"#, 3.0),
        (r#"fairflow_tenant_share{model="hang",tenant="a\"b"}"#, 0.75),
        (r#"fairflow_tenant_share{model="hang",tenant="c"}"#, 0.25),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample} in\n{text}");
    }
}

/// Each number of requests that had to wait is told with how the wait turned out.
#[tokio::test]
async fn waits_are_held_against_their_forecasts() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("quick", "window = { min = 2, max = 2 }")]);
    let crowd = || {
        let send =
            |_| tokio::spawn(client().post(format!("{}{CHAT}", gateway.public)).body(chat("quick").to_string()).send());
        (0..60).map(send).collect::<Vec<_>>()
    };
    // The first crowd teaches how fast it drains, the second waits under forecasts.
    for _ in 0..2 {
        for served in crowd() {
            assert_eq!(served.await.unwrap().unwrap().status(), 200);
        }
    }
    let text = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    let families = prometheus::parse(&text);
    let held: BTreeMap<&str, f64> = families["fairflow_wait_forecasts_total"]
        .samples
        .iter()
        .map(|sample| (sample.labels["held"].as_str(), sample.value))
        .collect();
    let count = |wanted: &str| {
        let ratio = families["fairflow_wait_forecast_ratio"].samples.iter();
        ratio.filter(|sample| sample.name.ends_with(wanted)).map(|sample| sample.value).sum::<f64>()
    };
    let forecast = held["within_p50"] + held["within_p90"] + held["beyond_p90"];
    assert!(forecast >= 50.0 && forecast + held["none"] <= 120.0, "{held:?}");
    assert!((count("_count") - forecast).abs() < 0.5, "each with its ratio");
    let mean = count("_sum") / count("_count");
    assert!((0.1..10.0).contains(&mean), "the forecasts are of the right order: {mean}, {held:?}");
    assert!(held["within_p50"] + held["within_p90"] > held["beyond_p90"], "{held:?}");
}
