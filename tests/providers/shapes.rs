//! Each service as it answers when it is well: what is sent, what is read, what it cannot do.

use std::time::Duration;

use fairflow::Error;
use fairflow::task::{AudioInference, Embedding, ImageInference, TextInference, VideoInference};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, engine};

fn not_found() -> Reply {
    Reply::Json(404, json!({}))
}

#[tokio::test]
async fn bfl() {
    let fake = Fake::start(|base, ask, nth| match (ask.method.as_str(), ask.path.as_str(), nth) {
        ("POST", "/v1/lab/model", _) => {
            Reply::Json(200, json!({"id": "t1", "polling_url": format!("{base}/v1/get_result?id=t1")}))
        }
        ("GET", "/v1/get_result?id=t1", 0) => Reply::Json(200, json!({"id": "t1", "status": "Pending", "result": null})),
        ("GET", "/v1/get_result?id=t1", _) => Reply::Json(
            200,
            json!({"id": "t1", "status": "Ready", "cost": 4.0, "result": {"sample": "https://d.bfl.ai/x.png", "seed": 7}}),
        ),
        _ => not_found(),
    })
    .await;
    let fairflow = engine("bfl", &format!("{}/v1", fake.url), "", "").await;
    let task = ImageInference::new("m", "a fox").size(1024, 768).set("outputFormat", "JPG");
    let result = fairflow.generate(task).await.unwrap();
    let image = &result.images[0];
    assert_eq!(image.url.as_deref(), Some("https://d.bfl.ai/x.png"));
    assert_eq!((image.seed, image.url_lifetime), (Some(7), Some(Duration::from_secs(600))));
    assert_eq!(result.usage.dollars, Some(0.04));
    let asks = fake.asks();
    assert_eq!(asks[0].body, json!({"prompt": "a fox", "width": 1024, "height": 768, "output_format": "jpeg"}));
    assert!(asks.iter().all(|ask| ask.headers.get("x-key").is_some_and(|key| key == "secret")));
    assert!(asks.iter().all(|ask| !ask.headers.contains_key("authorization")));
}

#[tokio::test]
async fn fal() {
    let fake = Fake::start(|base, ask, nth| {
        let at = |what: &str| format!("{base}/lab/requests/r1{what}");
        match (ask.method.as_str(), ask.path.as_str(), nth) {
            ("POST", "/lab/model", _) => Reply::Json(
                200,
                json!({"request_id": "r1", "status_url": at("/status"), "response_url": at(""), "cancel_url": at("/cancel"),
                    "queue_position": 3}),
            ),
            ("GET", "/lab/requests/r1/status", 0) => Reply::Json(202, json!({"status": "IN_QUEUE", "queue_position": 2})),
            ("GET", "/lab/requests/r1/status", 1) => Reply::Json(202, json!({"status": "IN_PROGRESS"})),
            ("GET", "/lab/requests/r1/status", _) => {
                Reply::Json(200, json!({"status": "COMPLETED", "response_url": at("")}))
            }
            ("GET", "/lab/requests/r1", 0) => Reply::Json(503, json!({})),
            ("GET", "/lab/requests/r1", _) => {
                Reply::Json(200, json!({"seed": 5, "video": {"url": "https://v.fal.media/x.mp4", "file_size": 9}}))
            }
            _ => not_found(),
        }
    })
    .await;
    let fairflow = engine("fal", &fake.url, "", "").await;
    let task = VideoInference::new("m", "a fox runs").seconds(5.0).first_frame("https://x/y.png").set("loop", true);
    let result = fairflow.generate(task).await.unwrap();
    assert_eq!(result.videos[0].url.as_deref(), Some("https://v.fal.media/x.mp4"));
    let asks = fake.asks();
    let sent = json!({"prompt": "a fox runs", "duration": 5, "image_url": "https://x/y.png", "loop": true});
    assert_eq!(asks[0].body, sent);
    assert!(asks.iter().all(|ask| ask.headers["authorization"] == "Key secret"));
    assert_eq!(fake.count("GET", "/lab/requests/r1"), 2, "a result that cannot be had is fetched again");
}

#[tokio::test]
async fn replicate() {
    let fake = Fake::start(|base, ask, nth| {
        let state = |status: &str, output: Value| {
            let url = format!("{base}/v1/predictions/p1");
            json!({"id": "p1", "status": status, "output": output, "error": null,
                "urls": {"get": url, "cancel": format!("{url}/cancel")}})
        };
        match (ask.method.as_str(), ask.path.as_str(), nth) {
            ("POST", "/v1/models/lab/model/predictions", _) => Reply::Json(201, state("starting", Value::Null)),
            ("GET", "/v1/predictions/p1", 0) => Reply::Json(200, state("processing", Value::Null)),
            ("GET", "/v1/predictions/p1", _) => {
                Reply::Json(200, state("succeeded", json!(["https://r/a.png", "https://r/b.png"])))
            }
            _ => not_found(),
        }
    })
    .await;
    let fairflow = engine("replicate", &format!("{}/v1", fake.url), "", "").await;
    let result = fairflow.generate(ImageInference::new("m", "a fox").count(2).steps(4)).await.unwrap();
    assert_eq!(result.images.len(), 2);
    let ask = &fake.asks()[0];
    let input = json!({"prompt": "a fox", "width": 1024, "height": 1024, "num_outputs": 2, "num_inference_steps": 4});
    assert_eq!(ask.body, json!({"input": input}));
    assert_eq!(ask.headers["authorization"], "Bearer secret");
}

/// Models put their files where they like.
#[tokio::test]
async fn files_are_found_by_what_they_are() {
    for (output, file) in [
        (json!({"spectrogram": "https://r/a.png", "audio": "https://r/a.mp3"}), "https://r/a.mp3"),
        (json!([{"stem": {"drums": "https://r/d.wav"}, "plot": "https://r/d.png"}]), "https://r/d.wav"),
        (json!("data:audio/mpeg;base64,QQ=="), "data:audio/mpeg;base64,QQ=="),
    ] {
        let fake = Fake::start(move |_, _, _| {
            Reply::Json(201, json!({"id": "p1", "status": "succeeded", "output": output, "error": null}))
        })
        .await;
        let fairflow = engine("replicate", &fake.url, "", "").await;
        let result = fairflow.generate(AudioInference::new("m", "rain")).await.unwrap();
        let urls: Vec<_> = result.audios.iter().map(|audio| audio.url.as_deref()).collect();
        assert_eq!(urls, [Some(file)]);
    }
}

#[tokio::test]
async fn what_a_checker_found_is_told() {
    let fake = Fake::start(|base, ask, _| match ask.path.as_str() {
        "/lab/model" => Reply::Json(
            200,
            json!({"request_id": "1", "status_url": format!("{base}/s"), "response_url": format!("{base}/r")}),
        ),
        "/s" => Reply::Json(200, json!({"status": "COMPLETED", "response_url": format!("{base}/r")})),
        _ => Reply::Json(
            200,
            json!({"images": [{"url": "https://f/1"}, {"url": "https://f/2"}], "has_nsfw_concepts": [false, true]}),
        ),
    })
    .await;
    let result = engine("fal", &fake.url, "", "").await.generate(ImageInference::new("m", "x").count(2)).await.unwrap();
    assert_eq!(result.images.iter().map(|image| image.nsfw).collect::<Vec<_>>(), [Some(false), Some(true)]);
}

#[tokio::test]
async fn ark() {
    let fake = Fake::start(|_, ask, nth| match (ask.method.as_str(), ask.path.as_str(), nth) {
        ("POST", "/api/v3/contents/generations/tasks", _) => Reply::Json(200, json!({"id": "cgt-1"})),
        ("GET", "/api/v3/contents/generations/tasks/cgt-1", 0) => Reply::Json(200, json!({"status": "queued"})),
        ("GET", "/api/v3/contents/generations/tasks/cgt-1", 1) => Reply::Json(200, json!({"status": "running"})),
        ("GET", "/api/v3/contents/generations/tasks/cgt-1", _) => Reply::Json(
            200,
            json!({"id": "cgt-1", "status": "succeeded", "content": {"video_url": "https://ark/x.mp4"},
                "usage": {"completion_tokens": 246_840, "total_tokens": 246_840}}),
        ),
        ("POST", "/api/v3/chat/completions", _) => Reply::Json(
            200,
            json!({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}], "usage": {}}),
        ),
        _ => not_found(),
    })
    .await;
    let fairflow = engine("ark", &format!("{}/api/v3", fake.url), "", "").await;
    let task = VideoInference::new("m", "a fox").seconds(5.0).size(1280, 720);
    let result = fairflow.generate(task).await.unwrap();
    assert_eq!(result.videos[0].url.as_deref(), Some("https://ark/x.mp4"));
    assert_eq!(result.usage.output_tokens, Some(246_840));
    let sent = json!({"model": "lab/model", "content": [{"type": "text", "text": "a fox"}], "duration": 5,
        "ratio": "16:9", "resolution": "720p"});
    assert_eq!(fake.asks()[0].body, sent);
    let text = fairflow.generate(TextInference::new("m", "hi")).await.unwrap();
    assert_eq!(text.text, "hello", "chat is OpenAI-shaped");
}

/// What a service cannot do is refused by name, and nothing is sent.
#[tokio::test]
async fn what_cannot_be_done_is_said_before_anything_is_spent() {
    let fake = Fake::start(|_, _, _| not_found()).await;
    let refused = |error: Error| {
        assert_eq!((error.status(), error.reason().as_str()), (400, "rejected"), "{error}");
        error.to_string()
    };
    let bfl = engine("bfl", &fake.url, "", "").await;
    let said = refused(bfl.generate(ImageInference::new("m", "x").count(2)).await.unwrap_err());
    assert!(said.contains("`count` must be 1"), "{said}");
    let said = refused(bfl.generate(VideoInference::new("m", "x")).await.unwrap_err());
    assert!(said.contains("image tasks, not video"), "{said}");
    let ark = engine("ark", &fake.url, "", "").await;
    for task in [
        VideoInference::new("m", "x").fps(60),
        VideoInference::new("m", "x").size(1000, 77),
        VideoInference::new("m", ""),
        VideoInference::new("m", "x").count(3),
    ] {
        refused(ark.generate(task).await.unwrap_err());
    }
    refused(ark.generate(AudioInference::new("m", "x")).await.unwrap_err());
    let replicate = engine("replicate", &fake.url, "", "").await;
    refused(replicate.generate(TextInference::new("m", "x")).await.unwrap_err());
    refused(replicate.generate(Embedding::new("m", ["x"])).await.unwrap_err());
    assert!(fake.asks().is_empty());
}

/// A model's name that a caller chose does not walk to another path.
#[tokio::test]
async fn a_models_name_stays_below_the_base_url() {
    let fake = Fake::start(|_, _, _| not_found()).await;
    let config =
        format!("[providers.p]\nkind = \"fal\"\nbase_url = \"{}/queue\"\n[defaults]\nunknown_models = \"p\"", fake.url);
    let fairflow = fairflow::Fairflow::builder(fairflow::Config::from_toml(&config).unwrap()).start().await.unwrap();
    for name in ["../admin", "a/../../b", "a?x=1", "a#b", "a b", "%2e%2e/x", "/x"] {
        let error = fairflow.generate(ImageInference::new(name, "x")).await.unwrap_err();
        assert_eq!(error.status(), 400, "{name}: {error}");
    }
    assert!(fake.asks().is_empty());
}
