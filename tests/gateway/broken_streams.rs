//! Providers that fall silent or break off in the middle of a stream, and callers that stop reading.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::lab::{CHAT, post, streamed};
use crate::raw::{EVENTS, Raw, Talk, answer, chunk};
use crate::support::{Gateway, eventually};

const PIECE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
const EMPTY: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}]}\n\n";

/// A gateway whose one model `m` has one slot, and 300 ms between pieces.
fn gateway(raw: &Raw) -> Gateway {
    let provider = format!("[providers.p]\nkind = \"openai\"\nbase_url = \"{}\"\n", raw.url);
    let model = "[models.m]\nroutes = [{ provider = \"p\" }]\ntimeout = \"300ms\"\nwindow = { min = 1, max = 1 }\n\
                 retry = { base = \"10ms\", max = \"20ms\" }\n";
    Gateway::start("", &(provider + model))
}

/// Returns the payloads of events.
fn payloads(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
}

/// Falls silent after a piece, or goes on with what says nothing.
async fn stuck(mut talk: Talk, noise: &'static str) {
    if talk.request().await.is_none() {
        return;
    }
    talk.write([EVENTS.as_bytes(), &chunk(PIECE)].concat()).await;
    if noise.is_empty() {
        return talk.closed().await;
    }
    while talk.write(chunk(noise)).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_provider_that_falls_silent_frees_its_slot_and_the_caller_is_told() {
    let silent = Raw::start(|talk| stuck(talk, "")).await;
    let comments = Raw::start(|talk| stuck(talk, ": processing\n\n")).await;
    let empty = Raw::start(|talk| stuck(talk, EMPTY)).await;
    for raw in [silent, comments, empty] {
        let gateway = gateway(&raw);
        // One after the other: each needs the one slot.
        for _ in 0..2 {
            let text = post(&gateway, CHAT, &streamed("m"), &[]).await.text().await.unwrap();
            let told = payloads(&text);
            let [first, .., error, done] = &told[..] else { panic!("{text}") };
            assert_eq!((&first["choices"][0]["delta"]["content"], done), (&json!("a"), &json!("[DONE]")), "{text}");
            assert_eq!(error["error"]["code"], "upstream_timeout", "{text}");
        }
        gateway.at_rest("m").await;
        raw.all_closed().await;
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_no_slot() {
    let raw = Raw::start(|mut talk: Talk| async move {
        while let Some(ask) = talk.request().await {
            if ask.body["stream"] != true {
                let text = json!({"choices": [{"index": 0, "message": {"content": "b"}, "finish_reason": "stop"}]});
                talk.write(answer(200, "", text.to_string())).await;
                continue;
            }
            talk.write(EVENTS).await;
            let much = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "a".repeat(60_000));
            while talk.write(chunk(&much)).await {}
        }
    })
    .await;
    let gateway = gateway(&raw);
    let mut caller = TcpStream::connect(gateway.public.trim_start_matches("http://")).await.unwrap();
    let body = streamed("m").to_string();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    caller.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    eventually("the provider is asked", async || raw.requests() > 0).await;
    assert_eq!(post(&gateway, CHAT, &crate::lab::chat("m"), &[]).await.status(), 200, "the slot is free again");
    gateway.at_rest("m").await;
    drop(caller);
}

#[tokio::test]
async fn a_break_in_the_middle_of_an_event_leaves_whole_ones_and_an_error() {
    let raw = Raw::start(|mut talk: Talk| async move {
        let Some(ask) = talk.request().await else { return };
        let text = if ask.path.ends_with("/responses") {
            "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\"}}\n\n\
             event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"delta\":\"a\"}\n\n\
             event: response.output_text.delta\ndata: {\"type\":\"response.outp"
        } else {
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\ndata: {\"choices\":[{\"del"
        };
        // In two pieces, so that the first has passed when the break comes.
        let (begin, rest) = text.split_at(text.len() - 9);
        talk.write([EVENTS.as_bytes(), &chunk(begin)].concat()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        talk.write(chunk(rest)).await;
    })
    .await;
    let gateway = gateway(&raw);
    let text = post(&gateway, CHAT, &streamed("m"), &[]).await.text().await.unwrap();
    let told = payloads(&text);
    assert_eq!(
        (told.len(), &told[1]["error"]["code"], &told[2]),
        (3, &json!("upstream_error"), &json!("[DONE]")),
        "{text}"
    );
    let body = json!({"model": "m", "input": "hi", "stream": true});
    let text = post(&gateway, "/v1/responses", &body, &[]).await.text().await.unwrap();
    let told = payloads(&text);
    assert_eq!((told.len(), &told[2]["type"], &told[2]["sequence_number"]), (3, &json!("error"), &json!(8)), "{text}");
    assert!(text.contains("\n\nevent: error\ndata: "), "{text}");
    gateway.at_rest("m").await;
}
