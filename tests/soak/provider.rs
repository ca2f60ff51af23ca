//! The provider: one listener, several accounts by the first part of the path, true to the well-behaved and odd to the rest.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

use crate::dice::Dice;
use crate::mischief::{self, Asked, JSON, Mischief};
use crate::pool::{Entry, Pool, Slot};
use crate::script::{End, Script};
use crate::services::Generation;

/// Pieces of a streamed answer.
const PIECES: usize = 4;

pub struct Provider {
    pub port: u16,
    pub seed: u64,
    /// Whether nobody is treated oddly: the control.
    pub honest: bool,
    pools: Vec<Arc<Pool>>,
    /// Connections that are open now.
    open: AtomicUsize,
    /// What was done, and how often.
    met: Mutex<BTreeMap<&'static str, u64>>,
    rain: Mutex<Dice>,
    numbers: AtomicU64,
    pub generations: Mutex<HashMap<String, Generation>>,
}

/// One request.
#[derive(Debug)]
pub struct Ask {
    pub path: String,
    pub body: Value,
}

/// An answer, and the slot that it takes while it is written.
pub type Answer = (Script, Option<Slot>);

/// A connection, until it is dropped.
pub struct Open(Arc<Provider>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Provider {
    pub async fn start(seed: u64, honest: bool, pools: Vec<Arc<Pool>>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let provider = Arc::new(Self {
            port,
            seed,
            honest,
            pools,
            open: AtomicUsize::new(0),
            met: Mutex::default(),
            rain: Mutex::new(Dice::new(seed)),
            numbers: AtomicU64::new(0),
            generations: Mutex::default(),
        });
        let accepting = provider.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(accepting.clone().serve(stream));
            }
        });
        provider
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub fn met(&self) -> BTreeMap<&'static str, u64> {
        self.met.lock().unwrap().clone()
    }

    /// Counts a connection.
    pub fn opened(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::SeqCst);
        Open(self.clone())
    }

    /// Counts what was done.
    pub fn note(&self, what: &'static str) {
        *self.met.lock().unwrap().entry(what).or_default() += 1;
    }

    /// Returns a number that was not there yet.
    pub fn next(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let _open = self.opened();
        stream.set_nodelay(true).unwrap();
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        while let Some(ask) = read(&mut reader).await {
            let (script, slot) = self.answer(&ask);
            match script.play(&mut reader, &mut writer).await {
                Some(End::Keep) => slot.iter().for_each(Slot::served),
                Some(End::Reset) => {
                    let stream = reader.into_inner().reunite(writer).unwrap();
                    return stream.set_zero_linger().unwrap();
                }
                Some(End::Close) | None => return,
            }
        }
    }

    fn answer(&self, ask: &Ask) -> Answer {
        let mut parts = ask.path.trim_start_matches('/').splitn(2, '/');
        match (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) {
            (account, "v1/chat/completions") => self.chat(account, &ask.body),
            ("bfl", _) => self.polled(ask),
            ("rest", _) => self.tasks(ask),
            _ => (Script::answer(404, "", JSON, "{}"), None),
        }
    }

    fn pool(&self, account: &str, model: &str) -> &Arc<Pool> {
        let of = |pool: &&Arc<Pool>| pool.name.split_once('/') == Some((account, model));
        self.pools.iter().find(of).unwrap_or_else(|| panic!("nobody should ask for {model} at {account}"))
    }

    /// Takes a slot for a request, if there is one.
    pub fn claim(&self, account: &str, model: &str, prompt: &str) -> Entry {
        self.pool(account, model).enter(is_poisoned(prompt), &mut self.rain.lock().unwrap())
    }

    /// Takes a slot for a request, or says what it meets instead.
    pub fn enter(&self, account: &str, model: &str, prompt: &str, asked: Asked) -> Result<(Slot, Asked), Answer> {
        match self.claim(account, model, prompt) {
            Entry::Slot(slot) => Ok((slot, asked)),
            Entry::Full => Err((refusal(429, "Too many concurrent requests"), None)),
            Entry::Rain => Err((refusal(503, "upstream connect error"), None)),
            Entry::Gone(mischief) => Err(((mischief.play)(&mut Dice::of(self.seed, prompt), asked), None)),
        }
    }

    fn chat(&self, account: &str, body: &Value) -> Answer {
        let prompt = body["messages"][0]["content"].as_str().unwrap_or_default();
        let stream = body["stream"] == json!(true);
        let (service, mischief) = fate(self.seed, prompt, stream);
        let asked = Asked { body: completion(prompt), right: right(prompt, stream, service), stream };
        let (slot, asked) = match self.enter(account, body["model"].as_str().unwrap_or_default(), prompt, asked) {
            Ok(entered) => entered,
            Err(answer) => return answer,
        };
        if self.honest || !is_poisoned(prompt) {
            return (asked.right, Some(slot));
        }
        self.note(mischief.name);
        ((mischief.play)(&mut Dice::of(self.seed, prompt), asked), Some(slot))
    }
}

/// Says whether a request is one of those that are treated oddly.
pub fn is_poisoned(prompt: &str) -> bool {
    prompt.starts_with("poison")
}

/// How long a request takes to serve, and what it meets if it is one of those that are treated oddly: each time the same.
pub fn fate(seed: u64, prompt: &str, stream: bool) -> (Duration, &'static Mischief) {
    let mut dice = Dice::of(seed, prompt);
    (dice.service(), mischief::draw(&mut dice, stream))
}

/// What is answered to a prompt: nobody else's answer can be taken for it.
pub fn text(prompt: &str) -> String {
    format!("the true answer to {prompt}")
}

fn refusal(status: u16, message: &str) -> Script {
    Script::answer(status, "", JSON, json!({"error": {"message": message}}).to_string())
}

fn completion(prompt: &str) -> String {
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": text(prompt)}, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12});
    json!({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}).to_string()
}

/// The right answer, after its service time, or in pieces meanwhile.
fn right(prompt: &str, stream: bool, service: Duration) -> Script {
    if !stream {
        return Script::answer(200, "", JSON, completion(prompt)).after(service);
    }
    let text = text(prompt);
    let (mut script, mut rest) = (Script::chunked("", "text/event-stream"), text.as_str());
    for left in (1..=PIECES).rev() {
        let (piece, after) = rest.split_at(rest.len() / left);
        rest = after;
        let choice = json!({"index": 0, "delta": {"content": piece}, "finish_reason": null});
        let event = json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]});
        script = script.wait(service / PIECES as u32).chunk(format!("data: {event}\n\n"));
    }
    let last =
        json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    script.chunk(format!("data: {last}\n\n")).chunk("data: [DONE]\n\n").chunk("")
}

async fn read(reader: &mut BufReader<OwnedReadHalf>) -> Option<Ask> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let path = words.nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some(Ask { path, body: serde_json::from_slice(&body).unwrap_or_default() })
}
