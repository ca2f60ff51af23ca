//! Connections to providers: when they are used again, closed, and given up.

use std::time::Duration;

use fairflow::Fairflow;
use fairflow::task::TextInference;
use futures_util::TryStreamExt;
use serde_json::json;

use crate::fake::engine;
use crate::raw::{EVENTS, Raw, Talk, answer, chunk};

const JSON: &str = "content-type: application/json\r\n";

fn text() -> String {
    json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).to_string()
}

/// Makes a text; returns how many attempts it took.
async fn ask(fairflow: &Fairflow) -> u32 {
    fairflow.generate(TextInference::new("m", "hi")).with_receipt().await.unwrap().1.attempts
}

/// Answers whatever comes.
async fn faithful(mut talk: Talk) {
    while talk.request().await.is_some() {
        talk.write(answer(200, JSON, text())).await;
    }
}

/// Answers once, promises to stay, and closes at once.
async fn faithless(mut talk: Talk) {
    if talk.request().await.is_some() {
        let promise = format!("connection: keep-alive\r\nkeep-alive: timeout=600\r\n{JSON}");
        talk.write(answer(200, &promise, text())).await;
    }
}

#[tokio::test]
async fn one_request_after_the_other_uses_one_connection() {
    let raw = Raw::start(faithful).await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    for _ in 0..20 {
        assert_eq!(ask(&fairflow).await, 1);
    }
    assert_eq!((raw.requests(), raw.connections()), (20, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_threads_of_a_runtime_share_their_connections() {
    let raw = Raw::start(faithful).await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    for _ in 0..20 {
        let fairflow = fairflow.clone();
        assert_eq!(tokio::spawn(async move { ask(&fairflow).await }).await.unwrap(), 1);
    }
    assert_eq!((raw.requests(), raw.connections()), (20, 1));
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_fails_no_request_and_reads_none_twice() {
    let raw = Raw::start(faithless).await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    for _ in 0..20 {
        assert_eq!(ask(&fairflow).await, 1);
    }
    assert_eq!((raw.requests(), raw.connections()), (20, 20));
}

#[tokio::test]
async fn a_closed_connection_is_found_while_it_is_idle() {
    let raw = Raw::start(|mut talk: Talk| async move {
        talk.request().await;
        talk.write(answer(200, &format!("keep-alive: timeout=2\r\n{JSON}"), text())).await;
        // The client closes a second before it is told to.
        talk.closed().await;
    })
    .await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    assert_eq!(ask(&fairflow).await, 1);
    raw.all_closed().await;
    assert_eq!(ask(&fairflow).await, 1);
    assert_eq!((raw.requests(), raw.connections()), (2, 2));
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let raw = Raw::start(|mut talk: Talk| async move {
        talk.request().await;
        talk.closed().await;
    })
    .await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    let call = tokio::time::timeout(Duration::from_millis(200), fairflow.generate(TextInference::new("m", "hi")));
    call.await.unwrap_err();
    assert_eq!(raw.connections(), 1);
    raw.all_closed().await;
}

#[tokio::test]
async fn a_stream_that_is_read_to_its_end_gives_its_connection_back() {
    let raw = Raw::start(|mut talk: Talk| async move {
        while talk.request().await.is_some() {
            let delta = json!({"choices": [{"delta": {"content": "x"}}]});
            let events = chunk(format!("data: {delta}\n\ndata: [DONE]\n\n"));
            talk.write([EVENTS.as_bytes(), &events, b"0\r\n\r\n"].concat()).await;
        }
    })
    .await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    for _ in 0..5 {
        let pieces = fairflow.generate(TextInference::new("m", "hi")).stream().await.unwrap();
        let pieces: Vec<_> = pieces.try_collect().await.unwrap();
        assert_eq!(pieces.len(), 1);
    }
    assert_eq!((raw.requests(), raw.connections()), (5, 1));
}

#[test]
fn connections_do_not_outlive_the_runtime_that_they_were_made_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let raw = server.block_on(Raw::start(faithful));
    let fairflow = server.block_on(engine("openai", &raw.url, "", ""));
    for count in 1..=3 {
        let caller = runtime();
        for _ in 0..3 {
            assert_eq!(caller.block_on(ask(&fairflow)), 1);
        }
        assert!(raw.connections() <= count, "{} connections after {count} runtimes", raw.connections());
        drop(caller);
    }
    drop(fairflow);
    server.block_on(raw.all_closed());
}
