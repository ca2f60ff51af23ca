//! The WebSocket's frames byte by byte: sizes, fragments and compression, as no library of a client sends them.

use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Gateway;

const SIM: &str =
    "[providers.sim]\nkind = \"sim\"\nsim = { service = \"5ms\" }\n[models.fast]\nroutes = [{ provider = \"sim\" }]\n";

/// First bytes of frames: text, what continues it, a ping; a mark of compression; the end of a message.
const TEXT: u8 = 1;
const MORE: u8 = 0;
const PING: u8 = 9;
const DEFLATED: u8 = 0x40;
const LAST: u8 = 0x80;

struct Wire(TcpStream);

impl Wire {
    /// Shakes hands; returns the extensions that were agreed to, too.
    async fn open(gateway: &Gateway, extensions: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(gateway.public.trim_start_matches("http://")).await.unwrap();
        let ask = format!(
            "GET /v1 HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nauthorization: Bearer k\r\n\
            sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{extensions}\r\n"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        let agreed = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
        (Self(stream), agreed.unwrap_or_default().to_owned())
    }

    async fn head(&mut self, first: u8, length: u64) {
        // Masked with nought.
        let length = [&[0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat();
        self.0.write_all(&[&[first], &length[..]].concat()).await.unwrap();
    }

    async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut head = vec![first, 0x80 | 126];
        match payload.len() {
            short @ ..126 => head[1] = 0x80 | short as u8,
            length => head.extend(u16::try_from(length).unwrap().to_be_bytes()),
        }
        self.0.write_all(&[&head[..], &[0; 4], payload].concat()).await.unwrap();
    }

    /// Reads a frame: its first byte and its payload.
    async fn read(&mut self) -> (u8, Vec<u8>) {
        let read = async {
            let first = self.0.read_u8().await.unwrap();
            let length = match self.0.read_u8().await.unwrap() {
                126 => self.0.read_u16().await.unwrap().into(),
                127 => self.0.read_u64().await.unwrap(),
                short => short.into(),
            };
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.unwrap();
            (first, payload)
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("a frame in time")
    }

    /// Reads the close frame, and returns its code.
    async fn closed(&mut self) -> u16 {
        let (first, payload) = self.read().await;
        assert_eq!(first, LAST | 8, "{payload:?}");
        u16::from_be_bytes(payload[..2].try_into().unwrap())
    }
}

fn deflate(text: &str) -> Vec<u8> {
    let mut deflated = Vec::with_capacity(text.len() + 64);
    Compress::new(Compression::best(), false)
        .compress_vec(text.as_bytes(), &mut deflated, FlushCompress::Sync)
        .unwrap();
    deflated.truncate(deflated.len() - 4);
    deflated
}

fn inflate(deflated: &[u8]) -> Value {
    let mut text = Vec::with_capacity(1 << 20);
    let whole = [deflated, &[0, 0, 0xff, 0xff]].concat();
    Decompress::new(false).decompress_vec(&whole, &mut text, FlushDecompress::Sync).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn task(prompt: &str) -> String {
    json!([{"taskType": "textInference", "taskUUID": "t", "model": "fast", "maxTokens": 500,
        "messages": [{"role": "user", "content": prompt}]}])
    .to_string()
}

const OFFER: &str = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";

#[tokio::test]
async fn what_is_deflated_is_inflated_whole_and_in_fragments() {
    let gateway = Gateway::start("", SIM);
    let (mut wire, agreed) = Wire::open(&gateway, OFFER).await;
    assert_eq!(agreed, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    let deflated = deflate(&task(&"foxes at dawn ".repeat(4000)));
    wire.frame(LAST | DEFLATED | TEXT, &deflated).await;
    let (first, answer) = wire.read().await;
    assert_eq!(first, LAST | DEFLATED | TEXT, "a long answer is deflated");
    let answer = inflate(&answer);
    assert!(answer["data"][0]["text"].as_str().unwrap().len() > 1024, "{answer}");

    // A ping may come between the fragments.
    let (start, end) = deflated.split_at(deflated.len() / 2);
    wire.frame(DEFLATED | TEXT, start).await;
    wire.frame(LAST | PING, b"are you there").await;
    wire.frame(LAST | MORE, end).await;
    assert_eq!(wire.read().await, (LAST | 10, b"are you there".to_vec()));
    assert_eq!(inflate(&wire.read().await.1)["data"][0]["taskUUID"], "t");

    // What is not deflated is understood, and what is short is not deflated.
    wire.frame(TEXT, br#"[{"taskType": "#).await;
    wire.frame(LAST | MORE, br#""ping"}]"#).await;
    assert_eq!(wire.read().await, (LAST | TEXT, br#"{"data":[{"pong":true,"taskType":"ping"}]}"#.to_vec()));
}

#[tokio::test]
async fn who_does_not_offer_it_is_sent_nothing_deflated() {
    let gateway = Gateway::start("", SIM);
    let (mut wire, agreed) = Wire::open(&gateway, "").await;
    assert_eq!(agreed, "");
    wire.frame(LAST | TEXT, task("foxes").as_bytes()).await;
    let (first, answer) = wire.read().await;
    assert_eq!((first, answer.len() > 1024), (LAST | TEXT, true));
    wire.frame(LAST | DEFLATED | TEXT, &deflate(&task("foxes"))).await;
    assert_eq!(wire.closed().await, 1002);
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_head() {
    let gateway = Gateway::start("max_body = \"1MiB\"", SIM);
    for length in [(1 << 20) + 1, 1 << 40, u64::MAX] {
        let (mut wire, _) = Wire::open(&gateway, "").await;
        wire.head(LAST | TEXT, length).await;
        assert_eq!(wire.closed().await, 1009, "{length}");
    }
    // Whole, in fragments, and only once it is inflated.
    let (mut wire, _) = Wire::open(&gateway, OFFER).await;
    wire.frame(DEFLATED | TEXT, &[0xaa; 60_000]).await;
    for _ in 0..18 {
        wire.frame(MORE, &[0xaa; 60_000]).await;
    }
    assert_eq!(wire.closed().await, 1009);
    let (mut wire, _) = Wire::open(&gateway, OFFER).await;
    wire.frame(LAST | DEFLATED | TEXT, &deflate(&task(&"0".repeat(2 << 20)))).await;
    assert_eq!(wire.closed().await, 1009);
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_alone() {
    let gateway = Gateway::start("", SIM);
    let frames: [&[(u8, &[u8])]; 6] = [
        &[(LAST | DEFLATED | TEXT, b"\xff\xff\xff\xff no deflate")],
        &[(LAST | DEFLATED | PING, b"")],
        &[(DEFLATED | TEXT, b"x"), (LAST | DEFLATED | MORE, b"x")],
        &[(DEFLATED | TEXT, b"x"), (LAST | TEXT, b"[]")],
        &[(LAST | 0x20 | TEXT, b"[]")],
        &[(LAST | TEXT, b"\xff\xfe")],
    ];
    for frames in frames {
        let (mut wire, _) = Wire::open(&gateway, OFFER).await;
        for (first, payload) in frames {
            wire.frame(*first, payload).await;
        }
        assert_eq!(wire.closed().await, 1002, "{frames:?}");
    }
    let (mut wire, _) = Wire::open(&gateway, OFFER).await;
    wire.frame(LAST | TEXT, br#"[{"taskType": "ping"}]"#).await;
    assert_eq!(wire.read().await.0, LAST | TEXT);
}
