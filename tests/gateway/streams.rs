//! Streamed chat: forwarded as it is, accounted for, kept alive, and never ended in silence.

use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::{Gateway, client};

async fn scrape(gateway: &Gateway, line: &str) -> f64 {
    let text = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    let found = text.lines().find_map(|sample| sample.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{line} is not in {text}")).parse().unwrap()
}

#[tokio::test]
async fn a_stream_is_forwarded_and_its_tokens_are_counted() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("drip", "")]);
    let response = post(&gateway, CHAT, &streamed("drip"), &[]).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-fairflow-attempts"], "1");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    let text = response.text().await.unwrap();
    let events: Vec<&str> = text.split("\n\n").collect();
    // Its usage is for us, since the caller did not ask for it.
    assert_eq!((events.len(), events[5], events[6]), (7, "data: [DONE]", ""), "{text}");
    let first: Value = serde_json::from_str(events[0].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(first["choices"][0]["delta"]["content"], "0");
    gateway.at_rest("drip").await;
    for (kind, tokens) in [("input", 7.0), ("output", 11.0)] {
        let labels = format!("{{model=\"drip\",gen_ai_token_type=\"{kind}\"}}");
        assert_eq!(scrape(&gateway, &format!("gen_ai_client_token_usage_sum{labels}")).await, tokens);
        assert_eq!(scrape(&gateway, &format!("gen_ai_client_token_usage_count{labels}")).await, 1.0);
    }
}

#[tokio::test]
async fn a_stream_that_waits_is_kept_alive_and_then_served() {
    let lab = Lab::start();
    let settings = "window = { min = 1, max = 1 }";
    let gateway = lab.gateway(
        "keep_alive = \"100ms\"",
        &[("slow", settings), ("hang", "timeout = \"500ms\"\nretry = { max_attempts = 1 }")],
    );
    // The provider takes 400 ms to begin, and does not stream.
    let mut response = post(&gateway, CHAT, &streamed("slow"), &[]).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (200, "text/event-stream")
    );
    assert!(response.headers().get("x-fairflow-attempts").is_none(), "nobody could know");
    assert_eq!(response.chunk().await.unwrap().unwrap(), ": keep-alive\n\n".as_bytes());
    let rest = response.text().await.unwrap();
    assert!(rest.matches(": keep-alive\n\n").count() >= 1, "{rest}");
    assert!(rest.contains("\"delta\":{\"content\":\"x\"") && rest.ends_with("data: [DONE]\n\n"), "{rest}");

    let text = post(&gateway, CHAT, &streamed("hang"), &[]).await.text().await.unwrap();
    let error = text.split("\n\n").find_map(|event| event.strip_prefix("data: {")).unwrap();
    let error: Value = serde_json::from_str(&format!("{{{error}")).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["type"]),
        (&json!("upstream_timeout"), &json!("server_error"))
    );
    assert!(text.starts_with(": keep-alive\n\n") && text.ends_with("data: [DONE]\n\n"), "{text}");

    // A plain request that waits as long gets no comments.
    assert_eq!(post(&gateway, CHAT, &chat("slow"), &[]).await.status(), 200);
    gateway.at_rest("slow").await;
    gateway.at_rest("hang").await;
}

#[tokio::test]
async fn a_queued_stream_is_served_in_the_end() {
    let lab = Lab::start();
    let settings = "window = { min = 1, max = 1 }\ntimeout = \"300ms\"\nretry = { max_attempts = 1 }";
    let gateway = lab.gateway("keep_alive = \"50ms\"", &[("drip", settings)]);
    let url = format!("{}/admin/models/drip", gateway.admin);
    let order = |action: &str| client().post(&url).body(json!({"action": action}).to_string()).send();
    assert_eq!(order("pause").await.unwrap().status(), 200);
    let mut response = post(&gateway, CHAT, &streamed("drip"), &[]).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), ": keep-alive\n\n".as_bytes());
    assert_eq!(order("resume").await.unwrap().status(), 200);
    let rest = response.text().await.unwrap();
    assert!(rest.contains("\"content\":\"4\"") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    gateway.at_rest("drip").await;
}

#[tokio::test]
async fn a_stream_that_breaks_says_so() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("broken", "")]);
    let text = post(&gateway, CHAT, &streamed("broken"), &[]).await.text().await.unwrap();
    let events: Vec<&str> = text.split("\n\n").collect();
    assert!(events.len() > 2, "{text:?}");
    assert!(events[1].starts_with("data: {\"error\":{") && events[1].contains("upstream_error"), "{text}");
    assert_eq!(events[2], "data: [DONE]");
    gateway.at_rest("broken").await;
    // A refusal that comes soon has its status.
    let refused = tokio::time::timeout(Duration::from_secs(4), post(&gateway, CHAT, &streamed("nobody"), &[])).await;
    assert_eq!(refused.expect("at once").status(), 404);
}
