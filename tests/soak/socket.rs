//! Runware's socket: one connection for all tasks of an account, and what may befall it on an odd one's frame.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::dice::Dice;
use crate::pool::Entry;
use crate::provider::{Provider, is_poisoned};
use crate::services::{item, made};

/// What a frame that is none may be.
const NOISE: [&str; 6] = ["", "{", "[]", "null", "\u{0}", "{\"data\":{\"data\":{}}}"];

/// What is said on the socket.
enum Say {
    Text(String),
    Bytes(Vec<u8>),
    Close,
}

/// Serves the socket; `begun` counts connections.
pub async fn start(provider: Arc<Provider>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(hold(provider.clone(), stream));
        }
    });
    port
}

async fn hold(provider: Arc<Provider>, stream: TcpStream) {
    let _open = provider.opened();
    provider.note("socket opened");
    let Ok(socket) = tokio_tungstenite::accept_async(stream).await else { return };
    let (mut sink, mut frames) = socket.split();
    let (say, mut said) = mpsc::unbounded_channel();
    let writing = tokio::spawn(async move {
        while let Some(what) = said.recv().await {
            let sent = match what {
                Say::Text(text) => sink.send(Message::text(text)).await,
                Say::Bytes(bytes) => sink.send(Message::binary(bytes)).await,
                Say::Close => sink.send(Message::Close(None::<CloseFrame>)).await,
            };
            if sent.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = frames.next().await {
        let Message::Text(text) = message else { continue };
        let tasks: Vec<Value> = serde_json::from_str(text.as_str()).unwrap();
        for task in tasks {
            match task["taskType"].as_str().unwrap_or_default() {
                "authentication" => {
                    let item =
                        json!({"taskType": "authentication", "connectionSessionUUID": provider.next().to_string()});
                    say.send(Say::Text(json!({"data": [item]}).to_string())).ok();
                }
                "ping" => {
                    say.send(Say::Text(json!({"data": [{"taskType": "ping", "pong": true}]}).to_string())).ok();
                }
                "imageInference" => answer(&provider, &task, &say),
                _ => {}
            }
        }
    }
    writing.abort();
}

fn answer(provider: &Provider, task: &Value, say: &mpsc::UnboundedSender<Say>) {
    let text = |name: &str| task[name].as_str().unwrap_or_default().to_owned();
    let (prompt, uuid) = (text("positivePrompt"), text("taskUUID"));
    let refused =
        |code: &str| Say::Text(json!({"errors": [{"code": code, "message": "not now", "taskUUID": uuid}]}).to_string());
    let slot = match provider.claim("socket", "sketch", &prompt) {
        Entry::Slot(slot) => slot,
        Entry::Full => return drop(say.send(refused("concurrencyLimit"))),
        Entry::Rain | Entry::Gone(_) => return drop(say.send(refused("serviceUnavailable"))),
    };
    let mut dice = Dice::of(provider.seed, &prompt);
    let service = dice.service();
    let say = say.clone();
    if provider.honest || !is_poisoned(&prompt) {
        tokio::spawn(async move {
            tokio::time::sleep(service).await;
            if say.send(Say::Text(made(&prompt, &uuid))).is_ok() {
                slot.served();
            }
        });
        return;
    }
    let (name, odd) = match dice.below(7) {
        0 => ("socket: silence", vec![]),
        1 => ("socket: closed", vec![Say::Close]),
        2 => ("socket: noise", vec![Say::Text(dice.pick(&NOISE).to_owned()), Say::Bytes(dice.bytes(200))]),
        3 => {
            let progress = json!({"data": [{"taskUUID": uuid, "imageUUID": "x", "progress": 7}]}).to_string();
            ("socket: progress", (0..20).map(|_| Say::Text(progress.clone())).collect())
        }
        4 => ("socket: a large frame", vec![Say::Text(format!("{{\"data\":\"{}\"}}", "x".repeat(3 << 20)))]),
        _ => ("socket: another item", vec![Say::Text(item(&mut dice, &uuid))]),
    };
    provider.note(name);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        odd.into_iter().for_each(|what| drop(say.send(what)));
        drop(slot);
    });
}
