//! An axum service whose tenants share one model fairly, on tokio's multi-threaded runtime.
//!
//!     cargo run --example axum_service
//!     curl -H 'x-tenant: acme' 'http://127.0.0.1:3000/text?prompt=hello'
//!
//! With `--once` it asks itself and ends.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use fairflow::task::TextInference;
use fairflow::{Config, Error, Fairflow};

#[derive(serde::Deserialize)]
struct Ask {
    prompt: String,
}

async fn text(State(fairflow): State<Fairflow>, headers: HeaderMap, Query(ask): Query<Ask>) -> Response {
    let tenant = headers.get("x-tenant").and_then(|name| name.to_str().ok()).unwrap_or("anonymous");
    let task = TextInference::new("sim-text", ask.prompt);
    // If the client hangs up, axum drops this future, and the place in the queue is free.
    match fairflow.generate(task).tenant(tenant).max_wait(Duration::from_secs(20)).await {
        Ok(text) => text.text.into_response(),
        Err(error) => refuse(&error),
    }
}

/// An honest refusal: the status, the reason, and when to come back.
fn refuse(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let seconds = error.retry_after().map(|wait| wait.as_secs_f64().ceil().max(1.0).to_string());
    let retry_after = seconds.map(|seconds| [(header::RETRY_AFTER, seconds)]);
    (status, retry_after, format!("{}: {error}\n", error.reason())).into_response()
}

async fn capacity(State(fairflow): State<Fairflow>) -> impl IntoResponse {
    axum::Json(fairflow.capacity())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let once = std::env::args().any(|argument| argument == "--once");
    let fairflow = Fairflow::builder(Config::demo()).start().await?;
    let routes = Router::new().route("/text", get(text)).route("/capacity", get(capacity)).with_state(fairflow.clone());
    let listener = tokio::net::TcpListener::bind(if once { "127.0.0.1:0" } else { "127.0.0.1:3000" }).await?;
    let address = listener.local_addr()?;
    println!(
        "try  curl -H 'x-tenant: acme' 'http://{address}/text?prompt=hello'   or /capacity; ctrl-c drains and ends"
    );
    let asked = once.then(|| tokio::spawn(ask(address)));
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            match asked {
                Some(asked) => println!("{}", asked.await.unwrap().unwrap()),
                None => tokio::signal::ctrl_c().await.unwrap(),
            }
        })
        .await?;
    println!("drained in time: {}", fairflow.drain(Duration::from_secs(10)).await);
    Ok(())
}

async fn ask(address: std::net::SocketAddr) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(b"GET /text?prompt=hello HTTP/1.0\r\nx-tenant: acme\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    Ok(answer)
}
