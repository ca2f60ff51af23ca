//! How streams travel: unchunked to callers of HTTP/1.0, and without waiting for acknowledgements.

use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::lab::{CHAT, Lab, streamed};
use crate::raw::{EVENTS, Raw, Talk, chunk};
use crate::support::Gateway;

#[tokio::test]
async fn streams_to_http_1_0_end_with_their_connection() {
    let lab = Lab::start();
    let gateway = lab.gateway("keep_alive = \"100ms\"", &[("drip", "")]);
    let body = streamed("drip").to_string();
    for connection in ["close", "keep-alive"] {
        let mut caller = TcpStream::connect(gateway.public.trim_start_matches("http://")).await.unwrap();
        let head =
            format!("POST {CHAT} HTTP/1.0\r\nconnection: {connection}\r\ncontent-length: {}\r\n\r\n", body.len());
        caller.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Its end is the end of the connection, though another request could have followed.
        let read = tokio::time::timeout(Duration::from_secs(20), caller.read_to_string(&mut answer));
        read.await.expect("the connection ends").unwrap();
        let (head, stream) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        assert!(!head.to_lowercase().contains("connection: keep-alive"), "{head}");
        assert!(stream.starts_with("data: {") && stream.ends_with("data: [DONE]\n\n"), "{stream}");
    }
}

/// Asks on a connection that is used again, and returns how long after the first piece the second came.
async fn second_piece(caller: &mut BufReader<TcpStream>) -> Duration {
    let body = streamed("m").to_string();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    caller.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let (mut line, mut times) = (String::new(), Vec::new());
    while line != "0\r\n" {
        line.clear();
        caller.read_line(&mut line).await.unwrap();
        if line.starts_with("data: {") {
            times.push(Instant::now());
        }
    }
    caller.read_line(&mut line).await.unwrap();
    times[1] - times[0]
}

#[tokio::test]
async fn the_second_piece_waits_for_no_acknowledgement() {
    let raw = Raw::start(|mut talk: Talk| async move {
        while talk.request().await.is_some() {
            talk.write(EVENTS).await;
            for _ in 0..3 {
                talk.write(chunk("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            talk.write([chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat()).await;
        }
    })
    .await;
    let provider = format!("[providers.p]\nkind = \"openai\"\nbase_url = \"{}\"\n", raw.url);
    let gateway = Gateway::start("", &format!("{provider}[models.m]\nroutes = [{{ provider = \"p\" }}]\n"));
    let mut caller = BufReader::new(TcpStream::connect(gateway.public.trim_start_matches("http://")).await.unwrap());
    let mut gaps = Vec::new();
    for _ in 0..30 {
        gaps.push(second_piece(&mut caller).await);
    }
    // The first of a connection are acknowledged at once. An acknowledgement that is put off takes 40 ms; a machine that
    // is busy may take as long now and then.
    let mut gaps = gaps.split_off(10);
    gaps.sort_unstable();
    println!("the second piece, 1 ms after the first: {:.1?} in the median", gaps[gaps.len() / 2]);
    assert!(gaps[gaps.len() / 4] < Duration::from_millis(30), "{gaps:?}");
}
