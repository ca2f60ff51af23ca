//! The openai kind: Azure's way, and what is sent again.

use fairflow::task::{ImageInference, TextInference};
use serde_json::json;

use crate::fake::{Fake, Reply, engine};

fn chat() -> Reply {
    Reply::Json(200, json!({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {}}))
}

#[tokio::test]
async fn azure_has_its_own_header_version_and_path() {
    let fake = Fake::start(|_, _, _| chat()).await;
    let base = format!("{}/openai/deployments/{{model}}", fake.url);
    let azure = "key_header = \"api-key\"\napi_version = \"2024-10-21\"";
    let fairflow = engine("openai", &base, azure, "").await;
    fairflow.generate(TextInference::new("m", "hi")).await.unwrap();
    let ask = &fake.asks()[0];
    assert_eq!(ask.path, "/openai/deployments/lab%2Fmodel/chat/completions?api-version=2024-10-21");
    assert_eq!(ask.headers["api-key"], "secret");
    assert!(!ask.headers.contains_key("authorization"));
}

/// Images are paid by the piece: one that may have been made is not asked for again. Text is.
#[tokio::test]
async fn a_broken_connection_repeats_text_but_not_images() {
    let script = |path: &str, nth: usize| match (path, nth) {
        (_, 0) => Reply::Break,
        ("/v1/chat/completions", _) => chat(),
        _ => Reply::Json(200, json!({"created": 1, "data": [{"url": "https://x/y.png"}]})),
    };
    let fake = Fake::start(move |_, ask, nth| script(&ask.path, nth)).await;
    let fairflow = engine("openai", &format!("{}/v1", fake.url), "", "").await;
    fairflow.generate(TextInference::new("m", "hi")).await.unwrap();
    assert_eq!(fake.count("POST", "/v1/chat/completions"), 2);
    let error = fairflow.generate(ImageInference::new("m", "a fox")).await.unwrap_err();
    assert_eq!((error.reason().as_str(), fake.count("POST", "/v1/images/generations")), ("unconfirmed", 1));
    let allowed = engine("openai", &format!("{}/v1", fake.url), "", "retry.resubmit = true").await;
    allowed.generate(ImageInference::new("m", "a fox")).await.unwrap();
}
