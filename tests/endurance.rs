//! The gateway under more than it is meant for, each test by itself: what is bounded stays bounded, what was left is free.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

#[path = "gateway/client.rs"]
mod client;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "gateway/lab.rs"]
mod lab;
#[path = "support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Client, text};
use crate::lab::{CHAT, Lab, streamed};
use crate::support::eventually;

/// Held by the test that runs.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_streams_left_half_way_leave_no_slot() {
    let _alone = ALONE.lock().await;
    const AT_ONCE: usize = 50;
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("endless", "window = { min = 32, max = 32, initial = 32 }")]);
    let address = gateway.public.trim_start_matches("http://").to_owned();
    let body = streamed("endless").to_string();
    let request = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let begun = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let callers = (0..AT_ONCE).map(|_| {
        let (address, request, begun) = (address.clone(), request.clone(), begun.clone());
        tokio::spawn(async move {
            for _ in 0..10_000 / AT_ONCE {
                let mut socket = TcpStream::connect(&address).await.unwrap();
                socket.write_all(request.as_bytes()).await.unwrap();
                let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
                while !seen.windows(5).any(|window| window == b"data:") {
                    let read = socket.read(&mut piece).await.unwrap();
                    assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
                    seen.extend_from_slice(&piece[..read]);
                }
                assert!(!seen.windows(6).any(|window| window == b"[DONE]"), "it left too late");
                begun.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let all = futures_util::future::join_all(callers.collect::<Vec<_>>());
    let ended = tokio::time::timeout(Duration::from_secs(300), all).await.expect("in time");
    assert!(ended.into_iter().all(|caller| caller.is_ok()));
    assert_eq!(begun.load(Ordering::SeqCst), 10_000);
    gateway.at_rest("endless").await;
}

/// Returns the resident memory of a process in MiB.
fn resident(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_no_more_than_its_bound() {
    let _alone = ALONE.lock().await;
    let lab = Lab::start();
    let limits = "[socket]\nunsent = \"1MiB\"\ntasks = 100\n[jobs]\ntenant_bytes = \"1KiB\"";
    let gateway = lab.gateway("", &[("large", limits)]);
    let (mut client, session) = Client::open(&gateway, "k", None).await;
    // Warm: the provider's answer was in memory once.
    client.send(&json!([text("large", "first")])).await;
    client.next().await;
    let before = resident(gateway.process());
    client.send(&json!((0..12).map(|n| text("large", &n.to_string())).collect::<Vec<_>>())).await;
    gateway.at_rest("large").await;
    // 240 MiB of answers; at most one is held for it, and what the allocator has not given back.
    let grown = async || resident(gateway.process()).saturating_sub(before);
    eventually("less than 160 MiB are held", async || grown().await < 160).await;
    loop {
        let frame = client.next().await;
        if frame.get("closed").is_some() {
            assert!(frame["closed"] == json!(1013) || frame["closed"].is_null(), "{frame}");
            break;
        }
    }
    let (_client, other) = Client::open(&gateway, "k", Some(&session)).await;
    assert_ne!(session, other, "there is nothing left to resume");
}
