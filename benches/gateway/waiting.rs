//! Memory of requests that wait: in the gateway's queue, and beside it in a bare actix-web server that answers nothing.

use std::net::SocketAddr;
use std::time::Duration;

use crate::connection::Connection;
use crate::load::{chat, runtime};
use crate::rig::form::Form;
use crate::rig::ratios::Ratios;
use crate::rivals;
use crate::served::Served;

const SETTINGS: &str = "window = { initial = 8, min = 8, max = 8 }\nqueue = { capacity = 20000, max_wait = \"1h\" }\n\
                        timeout = \"1h\"\n";

pub fn run(form: &Form, ratios: &mut Ratios) {
    let requests = if form.short { 2_000 } else { 10_000 };
    let bare = Served::role("provider", None);
    let behind = Served::role("provider", None);
    let gateway = Served::gateway("fairflow", &rivals::config(behind.address, [("gpt-test", SETTINGS)]));
    println!("| waiting | in | KB a request |\n|---:|---|---:|");
    let seen: Vec<f64> = [&bare, &gateway].into_iter().map(|server| held(server, requests)).collect();
    for (server, bytes) in ["a bare actix-web server", "fairflow"].iter().zip(&seen) {
        println!("| {requests} | {server} | {:.1} |", bytes / 1_024.0);
    }
    ratios.note("the bare server's memory of a waiting request of ours", seen[0] / seen[1]);
}

/// Returns how many bytes the server grows by one request that waits.
fn held(server: &Served, requests: usize) -> f64 {
    let request = chat("gpt-test", "do:wait;", false, 0);
    runtime().block_on(async {
        let mut connection = Connection::open(server.address).await.unwrap();
        connection.ask(&chat("gpt-test", "", false, 0), |_| {}).await.unwrap();
        let before = server.resident();
        let mut held = Vec::new();
        for _ in 0..requests {
            let mut connection = Connection::open(server.address).await.unwrap();
            connection.send(&request).await.unwrap();
            held.push(connection);
        }
        if server.name == "fairflow" {
            let begun = std::time::Instant::now();
            while queued(server.address).await < requests - 8 {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "{} of {requests} wait",
                    queued(server.address).await
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let after = server.resident();
        // None was answered, also not with a refusal.
        (after - before) / requests as f64
    })
}

async fn queued(address: SocketAddr) -> usize {
    let (mut connection, mut text) = (Connection::open(address).await.unwrap(), Vec::new());
    let asked =
        connection.ask(b"GET /v1/capacity HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", |bytes| text.extend_from_slice(bytes));
    asked.await.unwrap();
    let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
    text["models"][0]["queueDepth"].as_u64().unwrap() as usize
}
