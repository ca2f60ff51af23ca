//! A provider on loopback that does as a script says, down to broken connections, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fairflow::{Config, Fairflow};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One request that reached the provider.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// Null where it is no JSON.
    pub body: Value,
    pub raw: Vec<u8>,
}

impl Ask {
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method == method && self.path == path
    }
}

pub enum Reply {
    Json(u16, Value),
    /// With one more header.
    With(u16, (&'static str, &'static str), Value),
    /// 200 of that content type.
    Text(&'static str, &'static str),
    /// Half of a body that was announced, then the end.
    Truncated,
    /// The end, after the whole request was read.
    Break,
    /// These and no other bytes, then the end.
    Bytes(Vec<u8>),
    /// Another one, so much later.
    Late(Duration, Box<Reply>),
}

pub struct Fake {
    pub url: String,
    asks: Arc<Mutex<Vec<Ask>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Fake {
    /// Starts a provider; the script gets its address, the request, and how many of its kind (method and path) came
    /// before.
    pub async fn start(script: impl Fn(&str, &Ask, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asks: Arc<Mutex<Vec<Ask>>> = Arc::default();
        let (script, seen, base) = (Arc::new(script), asks.clone(), url.clone());
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen, base) = (script.clone(), seen.clone(), base.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some(ask) = read(&mut stream).await else { return };
                    let reply = {
                        let mut seen = seen.lock().unwrap();
                        let before = seen.iter().filter(|old| old.is(&ask.method, &ask.path)).count();
                        seen.push(ask.clone());
                        script(&base, &ask, before)
                    };
                    write(stream.into_inner(), reply).await;
                });
            }
        });
        Self { url, asks, server }
    }

    /// Returns what came so far.
    pub fn asks(&self) -> Vec<Ask> {
        self.asks.lock().unwrap().clone()
    }

    pub fn count(&self, method: &str, path: &str) -> usize {
        self.asks().iter().filter(|ask| ask.is(method, path)).count()
    }

    /// Waits until a request came; hangs, and so fails, if none does.
    pub async fn wait_for(&self, method: &str, path: &str) {
        let seen = async {
            while self.count(method, path) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.unwrap_or_else(|_| panic!("no {method} {path}"));
    }
}

pub async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Ask> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Ask { method, path, headers, body: serde_json::from_slice(&body).unwrap_or_default(), raw: body })
}

async fn write(mut stream: TcpStream, reply: Reply) {
    let answer = |status: u16, kind: &str, header: (&str, &str), body: &str, length: usize| {
        let (name, value) = header;
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{name}: {value}\r\n\
             connection: close\r\n\r\n{body}"
        )
    };
    let none = ("x-fake", "yes");
    let text = match reply {
        Reply::Json(status, body) => {
            let body = body.to_string();
            answer(status, "application/json", none, &body, body.len())
        }
        Reply::With(status, header, body) => {
            let body = body.to_string();
            answer(status, "application/json", header, &body, body.len())
        }
        Reply::Text(kind, body) => answer(200, kind, none, body, body.len()),
        Reply::Truncated => answer(200, "application/json", none, "{\"status\":\"Re", 100),
        Reply::Break => return,
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await.ok();
            stream.shutdown().await.ok();
            return;
        }
        Reply::Late(wait, reply) => {
            tokio::time::sleep(wait).await;
            return Box::pin(write(stream, *reply)).await;
        }
    };
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

/// Starts an engine with one account of a kind, at short intervals, and a model `m` of one slot on it.
pub async fn engine(kind: &str, base_url: &str, provider: &str, model: &str) -> Fairflow {
    let polled = !matches!(kind, "openai");
    let poll =
        if polled { "poll = { initial = \"10ms\", max = \"20ms\", patience = 3, per_second = 1000 }" } else { "" };
    let window = if model.contains("window") { "" } else { "window = { min = 1, max = 1 }" };
    let text = format!(
        r#"
[providers.p]
kind = "{kind}"
base_url = "{base_url}"
api_key = {{ value = "secret" }}
{poll}
{provider}
[models.m]
routes = [{{ provider = "p", model = "lab/model" }}]
{window}
retry.base = "10ms"
retry.max = "20ms"
retry.budget = 1.0
{model}
"#
    );
    Fairflow::builder(Config::from_toml(&text).unwrap()).start().await.unwrap()
}
