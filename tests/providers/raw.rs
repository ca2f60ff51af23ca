//! A provider on loopback that writes bytes as a script says, down to how they are cut and when connections end.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::fake::{Ask, read};

/// The head of an answer of events in chunks.
pub const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Writes a piece of a chunked body.
pub fn chunk(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [format!("{:x}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

/// Writes a whole answer, with more headers where wanted; each ends in CRLF.
pub fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub struct Raw {
    pub url: String,
    seen: Arc<Seen>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    open: AtomicUsize,
    requests: AtomicUsize,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One connection.
pub struct Talk {
    stream: BufReader<TcpStream>,
    seen: Arc<Seen>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Raw {
    /// Starts a provider; the script is run for each connection.
    pub async fn start<F: Future<Output = ()> + Send>(
        script: impl Fn(Talk) -> F + Send + Sync + Copy + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen: Arc<Seen> = Arc::default();
        let shared = seen.clone();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                shared.open.fetch_add(1, Ordering::SeqCst);
                let talk = Talk { stream: BufReader::new(stream), seen: shared.clone() };
                tokio::spawn(async move { script(talk).await });
            }
        });
        Self { url, seen, server }
    }

    /// Returns how many connections there were.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Returns how many requests came.
    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Waits until no connection is open; hangs, and so fails, if one stays.
    pub async fn all_closed(&self) {
        let closed = async {
            while self.seen.open.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("a connection stays open");
    }
}

impl Talk {
    /// Reads the next request; `None` where the other side has closed.
    pub async fn request(&mut self) -> Option<Ask> {
        let ask = read(&mut self.stream).await?;
        self.seen.requests.fetch_add(1, Ordering::SeqCst);
        Some(ask)
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).await.is_ok()
    }

    /// Waits until the other side closes.
    pub async fn closed(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }
}
