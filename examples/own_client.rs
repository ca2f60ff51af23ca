//! Calls through a client of one's own: reqwest against a server that serves four at a time and answers 429 to the fifth.
//!
//!     cargo run --example own_client
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use fairflow::config::{ModelConfig, ProviderConfig};
use fairflow::provider::Failure;
use fairflow::{Config, Fairflow};
use tokio::sync::Semaphore;

/// Somebody else's server.
async fn server(refused: Arc<AtomicU32>) -> std::io::Result<String> {
    let slots = Arc::new(Semaphore::new(4));
    let complete = axum::routing::get(move || {
        let (slots, refused) = (slots.clone(), refused.clone());
        async move {
            let Ok(_slot) = slots.try_acquire() else {
                refused.fetch_add(1, Ordering::Relaxed);
                return (StatusCode::TOO_MANY_REQUESTS, "busy");
            };
            tokio::time::sleep(Duration::from_millis(20)).await;
            (StatusCode::OK, "done")
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/complete", listener.local_addr()?);
    let routes = axum::Router::new().route("/complete", complete);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

/// Says what the client's errors mean; without this they would be the caller's own affair, and not retried.
fn classify(error: &reqwest::Error) -> Failure {
    Failure::from_status(error.status().map_or(503, |status| status.as_u16()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let refused = Arc::new(AtomicU32::new(0));
    let (url, client) = (server(refused.clone()).await?, reqwest::Client::new());
    let config =
        Config::new().provider("theirs", ProviderConfig::custom()).model("gpt-test", ModelConfig::on("theirs"));
    let fairflow = Fairflow::builder(config).start().await?;

    let asks = (0..200).map(|number| {
        let (client, url) = (client.clone(), url.clone());
        let call = fairflow.call("gpt-test", move |_| {
            let request = client.get(&url);
            async move { request.send().await?.error_for_status()?.text().await }
        });
        tokio::spawn(call.classify(classify).tenant(format!("tenant-{}", number % 4)).into_future())
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await??, "done");
    }
    let window = fairflow.capacity_of("gpt-test", None).await?.window;
    let refused = refused.load(Ordering::Relaxed);
    println!("200 of 200 calls were answered; the server refused {refused} times, and no caller saw it.");
    println!("Look at the window: it found {window} where the server serves 4.");
    Ok(())
}
