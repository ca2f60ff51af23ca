//! The runware kind over REST: what is asynchronous, and one `taskUUID` for all attempts.

use fairflow::task::{ImageInference, VideoInference};
use serde_json::{Value, json};

use crate::fake::{Ask, Fake, Reply, engine};

fn kind(ask: &Ask) -> &str {
    ask.body[0]["taskType"].as_str().unwrap_or_default()
}

fn video(uuid: &Value, status: &str) -> Value {
    json!({"data": [{"taskType": "videoInference", "taskUUID": uuid, "status": status}]})
}

#[tokio::test]
async fn a_video_is_submitted_and_asked_for() {
    let fake = Fake::start(|_, ask, nth| {
        let uuid = &ask.body[0]["taskUUID"];
        match (kind(ask), nth) {
            ("videoInference", _) => {
                Reply::Json(200, json!({"data": [{"taskType": "videoInference", "taskUUID": uuid}]}))
            }
            (_, 1) => Reply::Json(200, video(uuid, "processing")),
            (_, 2) => Reply::Json(429, json!({"errors": [{"code": "rateLimitExceeded", "message": "slowly"}]})),
            _ => {
                let mut done = video(uuid, "success");
                done["data"][0]["videoUUID"] = "v".into();
                done["data"][0]["videoURL"] = "https://x/y.mp4".into();
                done["data"][0]["cost"] = 0.18.into();
                Reply::Json(200, done)
            }
        }
    })
    .await;
    let fairflow = engine("runware", &format!("{}/v1", fake.url), "", "").await;
    let result = fairflow.generate(VideoInference::new("m", "a fox").seconds(5.0)).await.unwrap();
    assert_eq!(result.videos[0].url.as_deref(), Some("https://x/y.mp4"));
    assert_eq!(result.usage.dollars, Some(0.18));
    let asks = fake.asks();
    let sent = &asks[0].body[0];
    assert_eq!((sent["deliveryMethod"].as_str(), sent["duration"].as_u64()), (Some("async"), Some(5)));
    assert_eq!(
        asks.iter().map(kind).collect::<Vec<_>>(),
        ["videoInference", "getResponse", "getResponse", "getResponse"]
    );
}

#[tokio::test]
async fn a_refused_task_is_the_requests_fault_before_and_after_it_was_acknowledged() {
    let moderated =
        |uuid: &Value| json!({"errors": [{"code": "invalidContent", "message": "moderated", "taskUUID": uuid}]});
    for acknowledged in [false, true] {
        let fake = Fake::start(move |_, ask, _| {
            let uuid = &ask.body[0]["taskUUID"];
            match (kind(ask), acknowledged) {
                ("videoInference", true) => {
                    Reply::Json(200, json!({"data": [{"taskType": "videoInference", "taskUUID": uuid}]}))
                }
                _ => Reply::Json(400, moderated(uuid)),
            }
        })
        .await;
        let fairflow = engine("runware", &fake.url, "", "").await;
        let error = fairflow.generate(VideoInference::new("m", "a fox")).await.unwrap_err();
        assert_eq!((error.status(), error.reason()), (400, "rejected"), "{error}");
        assert!(error.to_string().contains("moderated"), "{error}");
    }
}

/// The connection broke after the task was taken: the second attempt bears the same UUID, hears that it is known, and
/// asks for the result.
#[tokio::test]
async fn what_an_earlier_attempt_submitted_is_asked_for_and_not_made_twice() {
    for typed in ["image", "video"] {
        let fake = Fake::start(move |_, ask, nth| {
            let uuid = &ask.body[0]["taskUUID"];
            match (kind(ask), nth) {
                ("getResponse", _) => Reply::Json(
                    200,
                    json!({"data": [{"taskUUID": uuid, "imageUUID": "i", "imageURL": "https://x/y.png",
                        "videoURL": "https://x/y.mp4", "status": "success"}]}),
                ),
                (_, 0) => Reply::Break,
                _ => Reply::Json(
                    400,
                    json!({"errors": [{"code": "conflictTaskUUID", "message": "used", "taskUUID": uuid}]}),
                ),
            }
        })
        .await;
        let fairflow = engine("runware", &fake.url, "", "").await;
        if typed == "image" {
            fairflow.generate(ImageInference::new("m", "a fox")).await.unwrap();
        } else {
            fairflow.generate(VideoInference::new("m", "a fox")).await.unwrap();
        }
        let uuids: Vec<Value> = fake.asks().iter().map(|ask| ask.body[0]["taskUUID"].clone()).collect();
        assert!(uuids.len() >= 3 && uuids.iter().all(|uuid| *uuid == uuids[0]), "{uuids:?}");
    }
}

#[tokio::test]
async fn a_uuid_that_another_request_used_is_refused() {
    let fake =
        Fake::start(|_, _, _| Reply::Json(400, json!({"errors": [{"code": "conflictTaskUUID", "message": "used"}]})))
            .await;
    let fairflow = engine("runware", &fake.url, "", "").await;
    for _ in 0..2 {
        assert_eq!(fairflow.generate(ImageInference::new("m", "a fox")).await.unwrap_err().status(), 400);
        assert_eq!(fairflow.generate(VideoInference::new("m", "a fox")).await.unwrap_err().status(), 400);
    }
}
