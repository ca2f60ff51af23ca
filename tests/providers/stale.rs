//! Kept-alive connections that the provider closes just as they are used again.

use fairflow::task::{ImageInference, TextInference};
use serde_json::json;

use crate::fake::engine;
use crate::raw::{Raw, Talk, answer};

/// Answers the first request of each connection, promises to keep it, and closes it on the second.
async fn fickle(mut talk: Talk) {
    let Some(ask) = talk.request().await else { return };
    let base = format!("http://{}", ask.headers["host"]);
    let body = match (ask.method.as_str(), ask.path.as_str()) {
        (_, "/v1/chat/completions") => json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}),
        (_, "/v1/images/generations") => json!({"data": [{"url": "https://x/y.png"}]}),
        ("POST", _) => json!({"id": "t1", "polling_url": format!("{base}/v1/get_result?id=t1")}),
        _ => json!({"id": "t1", "status": "Ready", "result": {"sample": "https://d.bfl.ai/x.png"}}),
    };
    talk.write(answer(200, "content-type: application/json\r\n", body.to_string())).await;
    talk.request().await;
}

#[tokio::test]
async fn a_request_that_meets_a_closed_connection_is_sent_again_and_counts_once() {
    let raw = Raw::start(fickle).await;
    let fairflow = engine("openai", &raw.url, "", "").await;
    for _ in 0..6 {
        let (_, receipt) = fairflow.generate(TextInference::new("m", "hi")).with_receipt().await.unwrap();
        assert_eq!(receipt.attempts, 1);
    }
    assert!(raw.requests() > 6, "connections were used again, and closed: {} requests", raw.requests());
}

#[tokio::test]
async fn what_may_go_only_once_uses_a_connection_that_is_alive() {
    let raw = Raw::start(fickle).await;
    for kind in ["openai", "bfl"] {
        let fairflow = engine(kind, &raw.url, "", "").await;
        let before = raw.requests();
        for _ in 0..6 {
            let (_, receipt) = fairflow.generate(ImageInference::new("m", "a fox")).with_receipt().await.unwrap();
            assert_eq!(receipt.attempts, 1, "{kind}");
        }
        // Questions after a submission may be asked twice.
        assert!(kind == "bfl" || raw.requests() - before == 6, "{} requests", raw.requests() - before);
    }
}

#[tokio::test]
async fn a_provider_that_dies_at_every_request_is_not_asked_twice_as_often() {
    let raw = Raw::start(|mut talk: Talk| async move {
        talk.request().await;
    })
    .await;
    let fairflow = engine("openai", &raw.url, "", "retry.max_attempts = 3").await;
    fairflow.generate(TextInference::new("m", "hi")).await.unwrap_err();
    assert_eq!((raw.requests(), raw.connections()), (3, 3));
}
