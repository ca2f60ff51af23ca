//! The load generator: each connection sends one chat after the other.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::rig::quantile;
use crate::roles::PATH;
use crate::served::Served;

/// What one load saw.
#[derive(Clone, Copy)]
pub struct Seen {
    pub per_second: f64,
    /// Of the time of a request, in microseconds.
    pub median: f64,
    pub p99: f64,
    /// Processor time of the process per request, in microseconds.
    pub busy: f64,
    /// Connections that the other side closed between two requests.
    pub closed: usize,
}

/// Returns a chat that tells the provider what to `do`, of `model`, with `padding` bytes more than it needs.
pub fn chat(model: &str, act: &str, streamed: bool, padding: usize) -> Arc<[u8]> {
    let body = format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You answer briefly. {act}"}},{{"role":"user","content":"Why is the sky blue? One sentence, please.{}"}}],"max_tokens":64,"temperature":0.2{}}}"#,
        "x".repeat(padding),
        if streamed { r#","stream":true"# } else { "" }
    );
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer sk-bench\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes().into()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Warms `target` up, then sends `request` over each of `connections`, one after the other, for `span`.
pub fn load(target: &Served, request: &Arc<[u8]>, connections: usize, span: Duration) -> Seen {
    measure(target, request, connections, span.min(Duration::from_millis(300)));
    measure(target, request, connections, span)
}

fn measure(target: &Served, request: &Arc<[u8]>, connections: usize, span: Duration) -> Seen {
    let (begun, busy) = (Instant::now(), target.usage().busy);
    let (mut spans, closed) = runtime().block_on(async {
        let until = begun + span;
        let clients: Vec<_> =
            (0..connections).map(|_| tokio::spawn(client(target.address, request.clone(), until))).collect();
        let (mut spans, mut closed) = (Vec::new(), 0);
        for client in clients {
            let (these, closes) = client.await.unwrap();
            spans.extend(these);
            closed += closes;
        }
        (spans, closed)
    });
    let (requests, seconds) = (spans.len() as f64, begun.elapsed().as_secs_f64());
    Seen {
        per_second: requests / seconds,
        median: quantile(&mut spans, 0.5),
        p99: quantile(&mut spans, 0.99),
        busy: (target.usage().busy - busy) / requests * 1e6,
        closed,
    }
}

/// Sends requests until the time has come; returns what each took, in microseconds, and how often the connection closed.
pub async fn client(address: SocketAddr, request: Arc<[u8]>, until: Instant) -> (Vec<f64>, usize) {
    let mut connection = Connection::open(address).await.unwrap();
    let (mut spans, mut closed) = (Vec::new(), 0);
    loop {
        let sent = Instant::now();
        if sent >= until && !spans.is_empty() {
            return (spans, closed);
        }
        match connection.ask(&request, |_| {}).await {
            Ok(_) => spans.push(sent.elapsed().as_secs_f64() * 1e6),
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !spans.is_empty() && closed <= spans.len() => {
                closed += 1;
                connection = Connection::open(address).await.unwrap();
            }
            Err(error) => panic!("no whole answer: {error}"),
        }
    }
}
