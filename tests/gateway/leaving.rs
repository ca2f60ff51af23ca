//! Who leaves gives back what they held: callers in the middle of a request, and the provider in the middle of its work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::lab::{CHAT, Lab, chat, streamed};
use crate::support::{Gateway, client, eventually, found, json};

/// Begins requests on connections of their own, and hands back the sockets.
async fn begin(gateway: &Gateway, bodies: impl Iterator<Item = String>) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for body in bodies {
        let mut socket = TcpStream::connect(gateway.public.trim_start_matches("http://")).await.unwrap();
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
        socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    sockets
}

async fn model(gateway: &Gateway, model: &str) -> serde_json::Value {
    let url = format!("{}/v1/capacity/{model}", gateway.public);
    json(client().get(url).send().await.unwrap()).await["models"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thousand_callers_that_hang_up_leave_nothing_behind() {
    let lab = Lab::start();
    // However long it takes until all have arrived, none is refused for a wait that it cannot have.
    let models = [
        ("hang", "window = { initial = 8 }\nqueue = { max_wait = \"1h\" }"),
        ("drip", "window = { min = 1, max = 1 }"),
    ];
    let gateway = lab.gateway("keep_alive = \"100ms\"", &models);
    // Half wait or hang, plain and as streams that have begun with comments; half are queued for, or in, a stream.
    let bodies = (0..1_000).map(|n| match n % 4 {
        0 => chat("hang").to_string(),
        1 => streamed("hang").to_string(),
        _ => streamed("drip").to_string(),
    });
    let sockets = begin(&gateway, bodies).await;
    eventually("all of them arrive", async || {
        let (hang, drip) = (model(&gateway, "hang").await, model(&gateway, "drip").await);
        hang["inFlight"] == 8 && hang["queueDepth"] == 492 && drip["queueDepth"].as_u64().unwrap() > 100
    })
    .await;
    drop(sockets);
    gateway.at_rest("hang").await;
    gateway.at_rest("drip").await;
    let idle = async || lab.seen.busy.load(Ordering::SeqCst) == 0;
    eventually("the provider works no more for callers that are gone", idle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_provider_that_dies_under_load_leaves_nothing_behind() {
    let lab = Lab::start();
    let settings = "window = { initial = 16 }\nqueue = { max_wait = \"2s\" }\n\
                    retry = { max_attempts = 3, base = \"10ms\", max = \"50ms\" }";
    let gateway = lab.gateway("", &[("slow", settings), ("drip", settings)]);
    let http = client();
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let body = if n % 2 == 0 { chat("slow") } else { streamed("drip") };
            let request = http.post(format!("{}{CHAT}", gateway.public)).body(body.to_string());
            tokio::spawn(async move {
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                // A stream that had begun ends with an error or in order, never in the middle.
                let text = response.text().await.unwrap();
                assert!(n % 2 == 0 || status != 200 || text.ends_with("data: [DONE]\n\n"), "{text}");
                status
            })
        })
        .collect();
    lab.called(16).await;
    lab.kill().await;
    let mut failed = 0;
    for call in calls {
        let status = tokio::time::timeout(Duration::from_secs(30), call).await.expect("answered").unwrap();
        // One that arrives late on a slow machine may be told at once that two seconds will not do: 429.
        assert!(matches!(status, 200 | 429 | 503 | 504), "{status}");
        failed += usize::from(status != 200);
    }
    assert!(failed > 0, "it died too late to matter");
    gateway.at_rest("slow").await;
    gateway.at_rest("drip").await;
}

#[tokio::test]
async fn a_drain_ends_the_process_when_all_is_answered() {
    let lab = Lab::start();
    let mut gateway = lab.gateway("", &[("slow", "")]);
    let http = client();
    let request = http.post(format!("{}{CHAT}", gateway.public)).body(chat("slow").to_string());
    let call = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
    lab.busy(1).await;
    let feed = http.get(format!("{}/v1/capacity", gateway.public)).header("accept", "text/event-stream");
    let _feed = feed.send().await.unwrap();
    gateway.terminate();
    assert_eq!(call.await.unwrap(), 200, "what was admitted is finished");
    assert!(gateway.ended().await, "exit status 0");
}

#[tokio::test]
async fn a_drain_is_announced_then_refuses_then_ends_in_time() {
    let lab = Lab::start();
    let mut gateway = lab.gateway("drain_delay = \"700ms\"\ndrain_timeout = \"1s\"", &[("hang", ""), ("ok", "")]);
    let http = client();
    let ask = async |model: &str| {
        http.post(format!("{}{CHAT}", gateway.public)).body(chat(model).to_string()).send().await.unwrap()
    };
    let url = format!("{}{CHAT}", gateway.public);
    let held = tokio::spawn({
        let request = http.post(&url).body(chat("hang").to_string());
        async move { request.send().await.map(|response| response.status().as_u16()) }
    });
    lab.busy(1).await;
    gateway.terminate();
    let ready = async || http.get(format!("{}/health/ready", gateway.public)).send().await.unwrap().status().as_u16();
    eventually("it is not ready", async || ready().await != 200).await;
    assert_eq!(ask("ok").await.status(), 200, "announced, and served yet");
    assert_eq!(http.get(format!("{}/health/live", gateway.public)).send().await.unwrap().status(), 200);
    let refused = found("a refusal", async || Some(ask("ok").await).filter(|response| response.status() != 200)).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-fairflow-reason"]),
        (503, &"no_capacity".parse().unwrap())
    );
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(ready().await, 503);
    // What hangs is not waited for beyond the timeout.
    let ended = tokio::time::timeout(Duration::from_secs(9), gateway.ended()).await.expect("it does not hang on");
    assert!(ended, "exit status 0");
    drop(held.await);
}
