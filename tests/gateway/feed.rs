//! The live feed of capacity.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{CHAT, Lab, chat, post};
use crate::support::{Gateway, client, prometheus};

async fn follow(gateway: &Gateway, path: &str) -> reqwest::Response {
    let url = format!("{}{path}", gateway.public);
    let response = client().get(url).header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (200, "text/event-stream")
    );
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    response
}

/// Reads events until one is as wanted; comments are passed over.
async fn until(feed: &mut reqwest::Response, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut text = String::new();
    let search = async {
        loop {
            text += std::str::from_utf8(&feed.chunk().await.unwrap().expect("goes on")).unwrap();
            while let Some((event, rest)) = text.split_once("\n\n") {
                let data = event.strip_prefix("data: ").map(|data| serde_json::from_str::<Value>(data).unwrap());
                text = rest.to_owned();
                if let Some(model) = data.map(|data| data["models"][0].clone()).filter(&wanted) {
                    return model;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), search).await.expect("comes")
}

#[tokio::test]
async fn changes_are_fed_until_a_drain() {
    let lab = Lab::start();
    let gateway = lab.gateway("keep_alive = \"100ms\"", &[("hang", ""), ("ok", "")]);
    let mut one = follow(&gateway, "/v1/capacity/hang").await;
    let mut all = follow(&gateway, "/v1/capacity").await;
    until(&mut one, |model| model["model"] == "hang" && model["inFlight"] == 0).await;
    let held = tokio::spawn({
        let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("hang").to_string());
        async move { drop(request.send().await) }
    });
    let shown = until(&mut one, |model| model["inFlight"] == 1).await;
    assert!(shown.get("you").is_none());
    until(&mut all, |model| model["model"] == "hang" && model["inFlight"] == 1).await;
    assert_eq!(post(&gateway, CHAT, &chat("ok"), &[]).await.status(), 200);
    until(&mut all, |model| model["model"] == "ok" && model["processingMs"]["p50"].is_u64()).await;
    held.abort();
    until(&mut one, |model| model["inFlight"] == 0).await;
    let mut quiet = String::new();
    while !quiet.contains(": keep-alive\n\n") {
        quiet += std::str::from_utf8(&one.chunk().await.unwrap().unwrap()).unwrap();
    }
    let unknown = client().get(format!("{}/v1/capacity/no", gateway.public)).header("accept", "text/event-stream");
    assert_eq!(unknown.send().await.unwrap().status(), 404);
    assert_eq!(client().post(format!("{}/admin/drain", gateway.admin)).send().await.unwrap().status(), 202);
    let end = async { (one.text().await.unwrap(), all.text().await.unwrap()) };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("both end");
}

/// Reads a sample without labels.
async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = client().get(format!("{}/metrics", gateway.admin)).send().await.unwrap().text().await.unwrap();
    prometheus::parse(&text)[name].samples[0].value
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_watchers_share_what_is_written_once() {
    const WATCHERS: usize = 1_000;
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", "")]);
    let before = gateway.resident();
    let (http, url) = (client(), format!("{}/v1/capacity/hang", gateway.public));
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        watchers.push(http.get(&url).header("accept", "text/event-stream").send().await.unwrap());
    }
    let followed = metric(&gateway, "fairflow_feed_watchers").await;
    assert!((followed - 1_000.0).abs() < 0.5, "{followed}");
    let held = tokio::spawn({
        let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("hang").to_string());
        async move { drop(request.send().await) }
    });
    for watcher in &mut watchers {
        until(watcher, |model| model["inFlight"] == 1).await;
    }
    // A request that comes is one change or a few, however many watch: a thousand were told of each.
    let written = metric(&gateway, "fairflow_feed_events_total").await;
    assert!((2.0..100.0).contains(&written), "{written}");
    let each = gateway.resident().saturating_sub(before) / WATCHERS as u64;
    println!("{each} bytes resident for each watcher, {written} events written");
    assert!(each < 100_000, "{each} bytes for each watcher");
    held.abort();
    drop(watchers);
    gateway.at_rest("hang").await;
    // The task that fed them has ended or goes on; either way a new one sees the present.
    until(&mut follow(&gateway, "/v1/capacity/hang").await, |model| model["inFlight"] == 0).await;
}
