//! What answers of providers mean to callers, over the wire: those that are none, and those an operator reads otherwise.

use std::time::Duration;

use fairflow::task::{ImageInference, TextInference};
use fairflow::{Config, Error, Fairflow};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

const CHAT: &str = "/chat/completions";
const IMAGES: &str = "/images/generations";

fn hello() -> Value {
    let message = json!({"role": "assistant", "content": "hello"});
    json!({"id": "c", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]})
}

async fn engine(url: &str, more: &str) -> Fairflow {
    let text = format!(
        "[providers.p]\nkind = \"openai\"\nbase_url = {url:?}\n{more}\n\
         [models.m]\nroutes = [{{ provider = \"p\" }}]\nqueue = {{ max_wait = \"4s\" }}\n\
         retry = {{ base = \"1ms\", max = \"5ms\" }}\n"
    );
    Fairflow::builder(Config::from_toml(&text).unwrap()).start().await.unwrap()
}

#[tokio::test]
async fn an_answer_that_is_none_is_asked_for_again() {
    for none in [
        || Reply::Text("text/html", "<html><h1>Welcome</h1></html>"),
        || Reply::Text("application/json", ""),
        || Reply::Json(200, json!({"error": {"message": "it broke"}})),
        || Reply::Json(500, json!({"error": {"message": "it broke"}})),
        || Reply::With(307, ("location", "https://elsewhere.invalid"), json!({})),
        || Reply::Json(520, json!({})),
    ] {
        let fake = Fake::start(move |_, _, nth| if nth == 0 { none() } else { Reply::Json(200, hello()) }).await;
        let fairflow = engine(&fake.url, "").await;
        let (text, receipt) = fairflow.generate(TextInference::new("m", "hi")).with_receipt().await.unwrap();
        assert_eq!((text.text.as_str(), receipt.attempts), ("hello", 2));
    }
}

#[tokio::test]
async fn an_image_that_may_be_paid_is_not_asked_for_again() {
    for (none, status) in [(Reply::Text("text/html", "<h1>Welcome</h1>"), 502), (Reply::Json(524, json!({})), 502)] {
        let none = std::sync::Mutex::new(Some(none));
        let again = || Reply::Json(200, json!({"data": [{"url": "https://d/x.png"}]}));
        let fake = Fake::start(move |_, _, _| none.lock().unwrap().take().unwrap_or_else(again)).await;
        let fairflow = engine(&fake.url, "").await;
        let error = fairflow.generate(ImageInference::new("m", "a fox")).await.unwrap_err();
        assert_eq!(
            (error.reason().as_str(), error.status(), fake.count("POST", IMAGES)),
            ("unconfirmed", status, 1),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_operator_says_what_an_answer_means() {
    let odd = || Reply::Json(418, json!({"error": {"message": "The plan of 'x' has ended.", "code": "plan"}}));
    let fake = Fake::start(move |_, _, _| odd()).await;
    let by_itself = engine(&fake.url, "").await;
    let error = by_itself.generate(TextInference::new("m", "hi")).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "{error:?}");

    let rule = "[[providers.p.verdicts]]\nstatus = 418\ncontains = \"HAS ENDED\"\nmeans = \"account\"\nfor = \"10m\"";
    let told = engine(&fake.url, rule).await;
    for _ in 0..3 {
        let error = told.generate(TextInference::new("m", "hi")).await.unwrap_err();
        let Error::NoCapacity { retry_after } = error else { panic!("{error:?}") };
        assert!(retry_after > Duration::from_secs(500), "{retry_after:?}");
    }
    assert_eq!(fake.count("POST", CHAT), 2, "one call each");
    let mut capacity = told.watch("m");
    let says = |reason: Option<&str>| reason == Some("held as the configured verdicts say");
    let shown = capacity.wait_for(|now| now.routes.first().is_some_and(|route| says(route.reason.as_deref())));
    drop(tokio::time::timeout(Duration::from_secs(10), shown).await.expect("it is shown"));
}

#[tokio::test]
async fn a_cold_model_is_waited_for_as_long_as_it_says() {
    let cold = || Reply::Json(503, json!({"error": "Model m is currently loading", "estimated_time": 0.6}));
    let fake = Fake::start(move |_, _, nth| if nth == 0 { cold() } else { Reply::Json(200, hello()) }).await;
    let fairflow = engine(&fake.url, "").await;
    let (_, receipt) = fairflow.generate(TextInference::new("m", "hi")).with_receipt().await.unwrap();
    assert!(receipt.queued >= Duration::from_millis(600), "{receipt:?}");
    assert_eq!(receipt.attempts, 2);
}
