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
        assert_eq!((error.status(), error.reason().as_str()), (400, "rejected"), "{error}");
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

/// What a proxy in front says of a task means nothing: under its UUID the task is sent again.
#[tokio::test]
async fn a_task_that_a_proxy_lost_is_sent_again() {
    for status in [502, 504, 520, 522, 524] {
        let fake = Fake::start(move |_, ask, nth| match nth {
            0 => Reply::Json(status, json!("no JSON of the service")),
            _ => Reply::Json(200, json!({"data": [{"taskUUID": ask.body[0]["taskUUID"], "imageURL": "https://x"}]})),
        })
        .await;
        let fairflow = engine("runware", &fake.url, "", "").await;
        let made = fairflow.generate(ImageInference::new("m", "a fox")).await.unwrap();
        assert_eq!((made.images.len(), fake.asks().len()), (1, 2), "{status}");
    }
}

/// Not found just after the acknowledgement, progress with an id, a state that is not known, then results one by one.
#[tokio::test]
async fn a_task_is_followed_through_whatever_is_no_end() {
    let fake = Fake::start(|_, ask, nth| {
        let uuid = &ask.body[0]["taskUUID"];
        let item = |more: Value| {
            let mut item = json!({"taskType": "videoInference", "taskUUID": uuid});
            item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            item
        };
        let video =
            |id: &str| item(json!({"videoUUID": id, "videoURL": format!("https://x/{id}"), "status": "success"}));
        let unknown = json!({"code": "taskFailedOrNotFound", "message": "not found", "taskUUID": uuid});
        match (kind(ask), nth) {
            ("videoInference", _) => Reply::Json(200, json!({"data": [item(json!({}))]})),
            (_, 1) => Reply::Json(404, json!({"data": [], "errors": [unknown]})),
            (_, 2) => Reply::Json(404, json!("a page")),
            (_, 3) => Reply::Json(200, json!({"data": [item(json!({"videoUUID": "a", "progress": 30}))]})),
            (_, 4) => Reply::Json(200, json!({"data": [item(json!({"status": "uploading"}))]})),
            (_, 5) => Reply::Json(200, json!({"data": [video("a"), item(json!({"status": "processing"}))]})),
            // Only what is new.
            _ => Reply::Json(200, json!({"data": [video("b")]})),
        }
    })
    .await;
    let fairflow = engine("runware", &fake.url, "", "").await;
    let mut task = VideoInference::new("m", "a fox");
    task.count = 2;
    let made = fairflow.generate(task).await.unwrap();
    let ids: Vec<_> = made.videos.iter().map(|video| video.id.as_deref().unwrap()).collect();
    assert_eq!((ids, fake.asks().len()), (vec!["a", "b"], 7));
}

#[tokio::test]
async fn an_error_of_the_task_ends_it_in_whatever_shape_it_is_told() {
    let own = json!({"code": "invalidProviderContent", "message": "not allowed"});
    for answer in [
        json!({"data": [{"status": "error", "error": own}]}),
        json!({"error": own}),
        json!({"errors": own}),
        json!({"data": [], "errors": [own]}),
    ] {
        let fake = Fake::start(move |_, ask, _| match kind(ask) {
            "getResponse" => Reply::Json(200, answer.clone()),
            _ => {
                Reply::Json(200, json!({"data": [{"taskType": "videoInference", "taskUUID": ask.body[0]["taskUUID"]}]}))
            }
        })
        .await;
        let fairflow = engine("runware", &fake.url, "", "").await;
        let error = fairflow.generate(VideoInference::new("m", "a fox")).await.unwrap_err();
        assert_eq!((error.status(), fake.asks().len()), (400, 2), "{error}");
        assert!(error.to_string().contains("not allowed"), "{error}");
    }
}
