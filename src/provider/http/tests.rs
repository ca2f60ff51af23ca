//! The client over real sockets, in a time of our own where it would be long.

use std::time::Duration;

use reqwest::{Method, Url};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, MOST_IDLE};
use super::{Broken, HeaderMap, Response, Sending, bearer, next, tls};
use crate::clock::Clock;
use crate::core::time::Time;

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn client(most_idle: usize) -> Client {
    Client::new(tls(false, None).expect("TLS"), most_idle)
}

async fn listener(scheme: &str) -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("{scheme}://{}/v1", listener.local_addr().expect("an address"));
    (listener, url.parse().expect("an address"))
}

async fn send(client: &Client, url: &Url, body: Vec<u8>) -> Result<Response, Broken> {
    let sending = Sending::new(Method::POST, url.clone()).body(bytes::Bytes::from(body).into());
    client.send(url, sending.request(&HeaderMap::new()).expect("a request"), true).await
}

/// Takes a connection, and reads a request without a body.
async fn asked(listener: &TcpListener) -> TcpStream {
    let mut stream = listener.accept().await.expect("a connection").0;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.expect("a request"));
    }
    stream
}

#[test]
fn our_key_is_never_repeated() {
    let value = bearer(&SecretString::from("sk-123")).expect("valid");
    assert!(!format!("{value:?}").contains("sk-123"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_finishes_its_handshake_is_given_up() {
    // The system takes connections that nobody accepts.
    let (_listener, url) = listener("https").await;
    let broken = send(&client(MOST_IDLE), &url, Vec::new()).await.err().expect("no connection");
    assert!(broken.is_connect && !broken.is_stale, "{broken:?}");
    assert!(broken.cause.to_string().contains("10 s"), "{}", broken.cause);
}

#[tokio::test]
async fn no_more_connections_stay_idle_than_may() {
    let (listener, url) = listener("http").await;
    let client = client(2);
    let server = async {
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(asked(&listener).await);
        }
        for stream in &mut streams {
            stream.write_all(EMPTY.as_bytes()).await.expect("written");
        }
        let mut closed = 0;
        for mut stream in streams {
            let read = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
            closed += usize::from(read.is_ok());
        }
        closed
    };
    let ask = || async { drop(send(&client, &url, Vec::new()).await.expect("an answer")) };
    let (closed, ..) = tokio::join!(server, ask(), ask(), ask());
    assert_eq!(closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_stays_idle_is_closed_after_a_minute() {
    let (listener, url) = listener("http").await;
    let client = client(MOST_IDLE);
    let server = async {
        let mut stream = asked(&listener).await;
        stream.write_all(EMPTY.as_bytes()).await.expect("written");
        let clock = Clock::start();
        assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
        clock.now().since(Time::ZERO)
    };
    let (idle, answer) = tokio::join!(server, async { send(&client, &url, Vec::new()).await.map(drop) });
    answer.expect("an answer");
    // What is slept over while bytes are under way is none of the minute.
    assert!((58..=62).contains(&idle.as_secs()), "{idle:?}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_written_is_heard() {
    let (listener, url) = listener("http").await;
    let client = client(MOST_IDLE);
    let server = async {
        let mut stream = listener.accept().await.expect("a connection").0;
        stream.read_u8().await.expect("the first byte");
        stream.write_all(b"HTTP/1.1 413 X\r\ncontent-length: 0\r\n\r\n").await.expect("written");
        // Only the first megabytes fit into the buffers on the way; the rest is never read.
        let mut next = asked(&listener).await;
        next.write_all(EMPTY.as_bytes()).await.expect("written");
        drop(stream);
    };
    let caller = async {
        let refused = send(&client, &url, vec![b'x'; 64 << 20]).await.expect("an answer");
        assert_eq!(refused.status(), 413);
        drop(refused);
        assert_eq!(send(&client, &url, Vec::new()).await.expect("an answer").status(), 200);
    };
    tokio::join!(server, caller);
}

#[tokio::test]
async fn a_server_that_closes_while_a_request_is_written_is_no_stale_connection() {
    let (listener, url) = listener("http").await;
    let client = client(MOST_IDLE);
    let server = async {
        let mut stream = listener.accept().await.expect("a connection").0;
        stream.read_u8().await.expect("the first byte");
    };
    let (_, sent) = tokio::join!(server, send(&client, &url, vec![b'x'; 64 << 20]));
    let broken = sent.err().expect("no answer");
    assert!(!broken.is_connect && !broken.is_stale, "{broken:?}");
}

#[tokio::test]
async fn who_does_not_read_is_not_sent_to() {
    let (listener, url) = listener("http").await;
    let client = client(MOST_IDLE);
    let server = async {
        let mut stream = asked(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await.expect("written");
        let (piece, mut written) = (vec![0; 64 << 10], 0);
        // Until nothing more fits between the two.
        while let Ok(sent) = tokio::time::timeout(Duration::from_millis(300), stream.write(&piece)).await {
            written += sent.expect("written");
        }
        written
    };
    let caller = async {
        let mut answer = send(&client, &url, Vec::new()).await.expect("an answer").into_body();
        next(&mut answer).await.expect("a piece").expect("a piece");
        // Kept open, and not read.
        answer
    };
    let (written, _answer) = tokio::join!(server, caller);
    assert!(written < 64 << 20, "{written} bytes of a gigabyte were taken");
}
