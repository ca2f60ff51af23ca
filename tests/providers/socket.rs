//! The runware kind over one WebSocket, through the engine.
#![cfg(feature = "websocket")]

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairflow::task::{ImageInference, VideoInference};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::fake::engine;

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    images: AtomicUsize,
    questions: AtomicUsize,
}

fn answer(seen: &Seen, task: &Value) -> Value {
    let uuid = &task["taskUUID"];
    match task["taskType"].as_str() {
        Some("authentication") => json!({"data": [{"taskType": "authentication", "connectionSessionUUID": "s"}]}),
        // Every third is one too many.
        Some("imageInference") if seen.images.fetch_add(1, Ordering::SeqCst) % 3 == 2 => json!({"errors": [
            {"code": "rateLimitExceeded", "message": "too many concurrent tasks", "taskUUID": uuid, "retryAfter": 0.01}]}),
        Some("imageInference") => {
            json!({"data": [{"taskType": "imageInference", "taskUUID": uuid, "imageUUID": uuid, "imageURL": "https://x", "cost": 0.5}]})
        }
        Some("getResponse") if seen.questions.fetch_add(1, Ordering::SeqCst) > 1 => json!({"data": [
            {"taskUUID": uuid, "status": "success", "videoUUID": "v", "videoURL": "https://x/y.mp4"}]}),
        _ => json!({"data": [{"taskUUID": uuid, "status": "processing"}]}),
    }
}

#[tokio::test]
async fn a_whole_account_shares_one_connection() {
    let seen = Arc::<Seen>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let log = seen.clone();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            log.connections.fetch_add(1, Ordering::SeqCst);
            let log = log.clone();
            tokio::spawn(async move {
                let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(Message::Text(text))) = stream.next().await {
                    let tasks: Vec<Value> = serde_json::from_str(text.as_str()).unwrap();
                    for task in tasks {
                        stream.send(Message::text(answer(&log, &task).to_string())).await.unwrap();
                    }
                }
            });
        }
    });
    let model = "window = { initial = 8, min = 8, max = 8 }\nretry.max_attempts = 20";
    let fairflow = engine("runware", &url, "transport = \"websocket\"", model).await;
    let images = (0..12).map(|n| fairflow.generate(ImageInference::new("m", format!("fox {n}"))).into_future());
    for result in join_all(images).await {
        let result = result.unwrap();
        assert_eq!((result.images.len(), result.usage.dollars), (1, Some(0.5)));
    }
    let video = fairflow.generate(VideoInference::new("m", "a fox")).await.unwrap();
    assert_eq!(video.videos[0].url.as_deref(), Some("https://x/y.mp4"));
    assert!(seen.images.load(Ordering::SeqCst) > 12, "some were refused and came again");
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    server.abort();
}
