//! `/metrics`, scraped from a gateway that has served and refused.

use std::collections::BTreeMap;

use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::client;

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
    let held: Vec<_> = ["a\"b", "a\"b", "a\"b", "c"]
        .into_iter()
        .map(|tenant| {
            let request = client().post(format!("{}{CHAT}", gateway.public)).header("x-fairflow-tenant", tenant);
            tokio::spawn(request.body(streamed("hang").to_string()).send())
        })
        .collect();
    while lab.seen.busy.load(std::sync::atomic::Ordering::SeqCst) < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // Snapshots follow within 50 ms.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    let response = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = response.text().await.unwrap();
    drop(held);

    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(samples.insert(name, value).is_none(), "twice: {line}");
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
        ("gen_ai_client_operation_duration_seconds", "histogram"),
        ("gen_ai_client_token_usage", "histogram"),
    ] {
        assert!(text.contains(&format!("\n# TYPE {name} {kind}\n")), "{name} has no type");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
        assert!(samples.keys().any(|sample| sample.starts_with(name)), "{name} has no sample");
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
