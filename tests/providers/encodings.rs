//! Answers that come compressed though nobody asked for it.

use std::time::Duration;

use fairflow::Error;
use fairflow::task::TextInference;
use futures_util::StreamExt;
use serde_json::json;
use tokio::sync::Notify;

use crate::fake::engine;
use crate::raw::{Raw, Talk, answer, chunk};

const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\ndata: [DONE]\n\n";

/// Writes deflate's block for what is not compressed.
fn stored(text: &[u8], is_last: bool) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&[u8::from(is_last)], &length.to_le_bytes()[..], &(!length).to_le_bytes(), text].concat()
}

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fn gzip(text: &[u8]) -> Vec<u8> {
    let crc = !text.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let length = u32::try_from(text.len()).unwrap();
    [&GZIP_HEAD[..], &stored(text, true), &crc.to_le_bytes(), &length.to_le_bytes()].concat()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let (a, b) = text.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    [&[0x78, 0x01], &stored(text, true)[..], &(b << 16 | a).to_be_bytes()].concat()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let head = u32::try_from(text.len() - 1).unwrap() << 4 | 1 << 20;
    [&head.to_le_bytes()[..3], text, &[3]].concat()
}

/// Writes zstd's frame of blocks: of a kind (0 stored, 1 one byte repeated), with a length and content.
fn zstd(blocks: &[(u32, usize, &[u8])]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for (index, (kind, length, content)) in blocks.iter().enumerate() {
        let last = u32::from(index + 1 == blocks.len());
        let head = last | kind << 1 | u32::try_from(*length).unwrap() << 3;
        frame.extend_from_slice(&head.to_le_bytes()[..3]);
        frame.extend_from_slice(content);
    }
    frame
}

fn packed(encoding: &str, text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    match encoding {
        "gzip" => gzip(text),
        "deflate" => deflate(text),
        "br" => brotli(text),
        _ => zstd(&[(0, text.len(), text)]),
    }
}

/// Answers as the path and the name in it say: `/{encoding}/{what}/chat/completions`.
async fn script(mut talk: Talk) {
    while let Some(ask) = talk.request().await {
        assert_eq!(ask.headers["accept-encoding"], "identity", "what is not wanted is not asked for");
        let mut parts = ask.path.split('/').skip(1);
        let (encoding, what) = (parts.next().unwrap().to_owned(), parts.next().unwrap().to_owned());
        let (status, kind, text) = match &*what {
            "stream" => (200, "text/event-stream", STREAM.to_owned()),
            "broke" => {
                let error =
                    json!({"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}});
                (429, "application/json", error.to_string())
            }
            _ => {
                let message = json!({"role": "assistant", "content": "Hello"});
                (
                    200,
                    "application/json",
                    json!({"choices": [{"message": message, "finish_reason": "stop"}]}).to_string(),
                )
            }
        };
        let headers = format!("content-type: {kind}\r\ncontent-encoding: {encoding}\r\n");
        talk.write(answer(status, &headers, packed(&encoding, &text))).await;
    }
}

#[tokio::test]
async fn what_is_compressed_is_decoded() {
    let raw = Raw::start(script).await;
    let base = raw.url.trim_end_matches("/v1");
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let fairflow = engine("openai", &format!("{base}/{encoding}/whole"), "", "").await;
        let text = fairflow
            .generate(TextInference::new("m", "hi"))
            .await
            .unwrap_or_else(|error| panic!("{encoding}: {error}"));
        assert_eq!(text.text, "Hello", "{encoding}");
        let fairflow = engine("openai", &format!("{base}/{encoding}/stream"), "", "").await;
        let pieces: Vec<_> = fairflow.generate(TextInference::new("m", "hi")).stream().await.unwrap().collect().await;
        let [Ok(piece)] = &pieces[..] else { panic!("{encoding}: {pieces:?}") };
        assert_eq!(piece.text, "Hello");
        // A refusal is read as well: an account without money is not asked again.
        let fairflow = engine("openai", &format!("{base}/{encoding}/broke"), "", "").await;
        let before = raw.requests();
        let ask = fairflow.generate(TextInference::new("m", "hi")).max_wait(Duration::from_millis(200));
        assert!(ask.await.is_err());
        assert_eq!(raw.requests() - before, 1, "{encoding}");
    }
}

#[tokio::test]
async fn a_compressed_stream_comes_piece_by_piece() {
    static GO: Notify = Notify::const_new();
    let raw = Raw::start(|mut talk: Talk| async move {
        if talk.request().await.is_none() {
            return;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
        let first = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        talk.write([head.as_bytes(), &chunk([&GZIP_HEAD[..], &stored(first.as_bytes(), false)].concat())].concat())
            .await;
        // It goes on only when the first piece has arrived.
        GO.notified().await;
        talk.write([chunk(stored(STREAM.as_bytes(), false)), b"0\r\n\r\n".to_vec()].concat()).await;
    })
    .await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    let mut pieces = fairflow.generate(TextInference::new("m", "hi")).stream().await.unwrap();
    let first = tokio::time::timeout(Duration::from_secs(20), pieces.next()).await.expect("it comes by itself");
    assert_eq!(first.unwrap().unwrap().text, "a");
    GO.notify_one();
    assert_eq!(pieces.next().await.unwrap().unwrap().text, "Hello");
}

#[tokio::test]
async fn what_grows_beyond_the_limit_or_cannot_be_read_is_an_error() {
    let raw = Raw::start(|mut talk: Talk| async move {
        while let Some(ask) = talk.request().await {
            let (encoding, body) = match ask.path.split('/').nth(1) {
                // 64 MiB in some 2 kB.
                Some("bomb") => ("zstd", zstd(&[(1, 128 << 10, &b" "[..]); 512])),
                Some("odd") => ("compress", b"\x1f\x9d\x90".to_vec()),
                _ => ("gzip", b"not at all".to_vec()),
            };
            talk.write(answer(200, &format!("content-encoding: {encoding}\r\n"), body)).await;
        }
    })
    .await;
    let base = raw.url.trim_end_matches("/v1");
    for (path, words) in [("bomb", "larger than"), ("odd", "\"compress\""), ("torn", "decoded")] {
        let limits = "max_response = \"1MiB\"";
        let fairflow = engine("openai", &format!("{base}/{path}"), limits, "retry.max_attempts = 1").await;
        let error = fairflow.generate(TextInference::new("m", "hi")).await.unwrap_err();
        let Error::RetriesExhausted { last, .. } = &error else { panic!("{path}: {error:?}") };
        assert!(last.message.contains(words), "{path}: {last}");
    }
}
