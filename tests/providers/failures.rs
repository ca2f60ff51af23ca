//! Providers that are slow, strict, garbled or gone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fairflow::Error;
use fairflow::provider::Outcome;
use fairflow::task::ImageInference;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, engine};

const SUBMIT: &str = "/lab/model";
const POLL: &str = "/get_result?id=t1";

fn fox() -> ImageInference {
    ImageInference::new("m", "a fox")
}

fn accepted(base: &str) -> Reply {
    Reply::Json(200, json!({"id": "t1", "polling_url": format!("{base}{POLL}")}))
}

fn state(status: &str) -> Value {
    json!({"id": "t1", "status": status, "result": {"sample": "https://d/x.png"}})
}

/// A provider that accepts and then answers the nth question as the script says.
async fn polled(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |base, ask, nth| if ask.path == SUBMIT { accepted(base) } else { script(nth) }).await
}

#[tokio::test]
async fn a_slow_generation_is_awaited_with_its_slot() {
    let fake = polled(|nth| Reply::Json(200, state(if nth % 7 == 6 { "Ready" } else { "Pending" }))).await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let (one, two) =
        futures_util::future::join(async { fairflow.generate(fox()).await }, async { fairflow.generate(fox()).await })
            .await;
    assert!(one.is_ok() && two.is_ok());
    let asks = fake.asks();
    let submits: Vec<usize> = (0..asks.len()).filter(|index| asks[*index].path == SUBMIT).collect();
    assert_eq!(submits, [0, 8], "the one slot is free only when the first generation has ended");
}

#[tokio::test]
async fn too_many_questions_only_slow_the_questions() {
    let fake = polled(|nth| match nth {
        0..=9 => Reply::With(429, ("retry-after-ms", "15"), json!({})),
        _ => Reply::Json(200, state("Ready")),
    })
    .await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let (result, receipt) = fairflow.generate(fox()).with_receipt().await.unwrap();
    assert_eq!((result.images.len(), receipt.attempts), (1, 1));
    assert_eq!((fake.count("POST", SUBMIT), fake.count("GET", POLL)), (1, 11));
}

#[tokio::test]
async fn the_providers_hint_decides_when_to_ask_again() {
    let hint = ("openai-poll-after-ms", "20");
    let fake = Fake::start(move |base, ask, nth| match (ask.path.as_str(), nth) {
        (SUBMIT, _) => Reply::With(200, hint, json!({"id": "t1", "polling_url": format!("{base}{POLL}")})),
        (_, 0) => Reply::With(200, hint, state("Pending")),
        _ => Reply::Json(200, state("Ready")),
    })
    .await;
    // The interval of its own would outlast the attempt.
    let text = format!(
        "[providers.p]\nkind = \"bfl\"\nbase_url = \"{}\"\npoll = {{ initial = \"1h\", max = \"1h\" }}\n\
         [models.m]\nroutes = [{{ provider = \"p\", model = \"lab/model\" }}]\ntimeout = \"30s\"",
        fake.url
    );
    let fairflow = fairflow::Fairflow::builder(fairflow::Config::from_toml(&text).unwrap()).start().await.unwrap();
    assert!(fairflow.generate(fox()).await.is_ok());
}

#[tokio::test]
async fn garbled_answers_are_asked_for_again() {
    let fake = polled(|nth| match nth {
        0 => Reply::Text("application/json", "{\"status\": "),
        1 => Reply::Truncated,
        2 => Reply::Text("text/html", "<h1>welcome</h1>"),
        3 => Reply::Json(200, state("Pending")),
        4 => Reply::Break,
        5 => Reply::Json(502, json!({})),
        6 => Reply::Json(200, json!({"status": "Sleepwalking"})),
        _ => Reply::Json(200, state("Ready")),
    })
    .await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    assert!(fairflow.generate(fox()).await.is_ok());
    assert_eq!(fake.count("POST", SUBMIT), 1);
}

#[tokio::test]
async fn a_provider_that_stays_garbled_is_given_up_and_not_paid_twice() {
    let fake = polled(|_| Reply::Text("text/html", "<h1>welcome</h1>")).await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let error = fairflow.generate(fox()).await.unwrap_err();
    let Error::Unconfirmed(failure) = &error else { panic!("{error:?}") };
    assert!(failure.spent && failure.outcome == Outcome::Failed && failure.message.contains("not JSON"), "{failure}");
    assert_eq!((error.status(), error.reason().as_str(), error.is_retryable()), (502, "unconfirmed", false));
    assert_eq!((fake.count("POST", SUBMIT), fake.count("GET", POLL)), (1, 4), "patience is 3");
}

#[tokio::test]
async fn a_provider_that_dies_after_the_submission_is_not_paid_twice() {
    let dead = AtomicBool::new(false);
    let fake =
        Fake::start(move |base, _, _| if dead.swap(true, Ordering::SeqCst) { Reply::Break } else { accepted(base) })
            .await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let error = fairflow.generate(fox()).await.unwrap_err();
    assert_eq!(error.reason().as_str(), "unconfirmed", "{error}");
    assert_eq!(fake.count("POST", SUBMIT), 1);
}

#[tokio::test]
async fn a_submission_that_breaks_off_is_sent_again_only_where_the_policy_says_so() {
    let script = |base: &str, path: &str, nth: usize| match (path, nth) {
        (SUBMIT, 0) => Reply::Break,
        (SUBMIT, _) => accepted(base),
        _ => Reply::Json(200, state("Ready")),
    };
    for (model, submits) in [("", 1), ("retry.resubmit = true", 2)] {
        let fake = Fake::start(move |base, ask, nth| script(base, &ask.path, nth)).await;
        let fairflow = engine("bfl", &fake.url, "", model).await;
        let result = fairflow.generate(fox()).await;
        assert_eq!(result.is_ok(), submits == 2, "{model}: {result:?}");
        if let Err(error) = result {
            assert_eq!(error.reason().as_str(), "unconfirmed");
        }
        assert_eq!(fake.count("POST", SUBMIT), submits, "{model}");
    }
}

#[tokio::test]
async fn submissions_that_may_have_been_taken_are_not_sent_again() {
    for reply in [
        || Reply::Truncated,
        || Reply::Text("application/json", "{\"id\": 7}"),
        || Reply::Text("text/html", "<h1>welcome</h1>"),
        || Reply::Json(504, json!({})),
        || Reply::Json(502, json!({})),
    ] {
        let fake = Fake::start(move |_, _, _| reply()).await;
        let fairflow = engine("bfl", &fake.url, "", "").await;
        let error = fairflow.generate(fox()).await.unwrap_err();
        assert_eq!((error.reason().as_str(), fake.asks().len()), ("unconfirmed", 1), "{error}");
    }
}

#[tokio::test]
async fn clear_refusals_of_a_submission_are_retried_by_the_scheduler() {
    for refusal in [429, 503] {
        let fake = Fake::start(move |base, ask, nth| match (ask.path.as_str(), nth) {
            (SUBMIT, 0 | 1) => Reply::With(refusal, ("retry-after-ms", "5"), json!({"detail": "busy"})),
            (SUBMIT, _) => accepted(base),
            _ => Reply::Json(200, state("Ready")),
        })
        .await;
        let fairflow = engine("bfl", &fake.url, "", "").await;
        let (_, receipt) = fairflow.generate(fox()).with_receipt().await.unwrap();
        assert_eq!((receipt.attempts, fake.count("POST", SUBMIT)), (3, 3), "{refusal}");
    }
}

#[tokio::test]
async fn nobody_there_is_waited_for_as_long_as_the_request_may() {
    let text = "[providers.p]\nkind = \"bfl\"\nbase_url = \"http://127.0.0.1:1\"\n[models.m]\n\
                routes = [{ provider = \"p\" }]\nretry = { base = \"1ms\", max = \"2ms\", max_attempts = 2, budget = 1.0 }\n\
                queue = { max_wait = \"2s\" }";
    let fairflow = fairflow::Fairflow::builder(fairflow::Config::from_toml(text).unwrap()).start().await.unwrap();
    let error = fairflow.generate(fox()).await.unwrap_err();
    // A refused connection costs no attempt; what ends the wait is that the route is closed for longer than it may last.
    assert!(matches!(error, Error::NoCapacity { .. } | Error::QueueTimeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_bad_request_passes_through() {
    let fake = Fake::start(|_, _, _| Reply::Json(422, json!({"detail": "width must be a multiple of 32"}))).await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let error = fairflow.generate(fox()).await.unwrap_err();
    let Error::Rejected(failure) = &error else { panic!("{error:?}") };
    let upstream = failure.upstream.as_ref().unwrap();
    assert!(error.status() == 422 && String::from_utf8_lossy(&upstream.body).contains("multiple of 32"));
}

#[tokio::test]
async fn moderation_is_the_requests_fault_and_a_failed_generation_the_providers() {
    for status in ["Request Moderated", "Content Moderated"] {
        let fake = polled(move |_| Reply::Json(200, state(status))).await;
        let fairflow = engine("bfl", &fake.url, "", "").await;
        let error = fairflow.generate(fox()).await.unwrap_err();
        assert!(error.status() == 400 && error.to_string().contains(status), "{error}");
        assert_eq!(fake.count("POST", SUBMIT), 1);
    }
    let fake = polled(|nth| Reply::Json(200, state(if nth == 0 { "Error" } else { "Ready" }))).await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let (_, receipt) = fairflow.generate(fox()).with_receipt().await.unwrap();
    assert_eq!(receipt.attempts, 2, "it said clearly that nothing came of it");
}

/// Services add stages to their work: a word that is not known is one, for as long as the attempt may take.
#[tokio::test]
async fn an_unknown_state_is_under_way() {
    let fake = polled(|nth| Reply::Json(200, state(if nth < 20 { "Reasoning" } else { "Ready" }))).await;
    let (_, receipt) =
        engine("bfl", &fake.url, "", "").await.generate(fox()).with_receipt().await.expect("done at last");
    assert_eq!((receipt.attempts, fake.count("GET", POLL)), (1, 21));
    let fake = polled(|_| Reply::Json(200, state("Reasoning"))).await;
    let error = engine("bfl", &fake.url, "", "timeout = \"200ms\"").await.generate(fox()).await.unwrap_err();
    assert_eq!((error.reason().as_str(), error.status()), ("unconfirmed", 504));
}

/// A fal queue whose generation is completed, and whose result is what the script says of its nth fetch and the nth
/// submission.
async fn completed(script: impl Fn(usize, usize) -> Reply + Send + Sync + 'static) -> Fake {
    let submits = AtomicUsize::new(0);
    Fake::start(move |base, ask, nth| {
        let at = |what: &str| format!("{base}/r/1{what}");
        match (ask.method.as_str(), ask.path.as_str()) {
            ("POST", _) => {
                submits.fetch_add(1, Ordering::SeqCst);
                Reply::Json(200, json!({"request_id": "1", "status_url": at("/status"), "response_url": at("")}))
            }
            (_, "/r/1/status") => Reply::Json(200, json!({"status": "COMPLETED", "response_url": at("")})),
            _ => script(nth, submits.load(Ordering::SeqCst)),
        }
    })
    .await
}

#[tokio::test]
async fn a_result_that_stays_away_ends_and_is_not_made_again() {
    let fake = completed(|_, _| Reply::Json(404, json!({"detail": "Request not found"}))).await;
    let error = engine("fal", &fake.url, "", "").await.generate(fox()).await.unwrap_err();
    assert_eq!((error.reason().as_str(), error.status()), ("unconfirmed", 502), "{error}");
    assert_eq!((fake.count("POST", SUBMIT), fake.count("GET", "/r/1")), (1, 4), "patience is 3");
    // A replica that is behind is waited for.
    let image = json!({"images": [{"url": "https://v.fal.media/x.png"}]});
    let fake = completed(move |nth, _| Reply::Json(if nth < 3 { 404 } else { 200 }, image.clone())).await;
    assert!(engine("fal", &fake.url, "", "").await.generate(fox()).await.is_ok());
}

#[tokio::test]
async fn a_runner_that_was_lost_is_a_failed_generation_which_is_made_again() {
    let gone = json!({"detail": "Runner disconnected", "error_type": "runner_disconnected"});
    let fake = completed(move |_, submits| match submits {
        1 => Reply::Json(503, gone.clone()),
        2 => Reply::With(504, ("x-fal-error-type", "startup_timeout"), json!({})),
        _ => Reply::Json(200, json!({"images": [{"url": "https://v.fal.media/x.png"}]})),
    })
    .await;
    let (_, receipt) = engine("fal", &fake.url, "", "").await.generate(fox()).with_receipt().await.unwrap();
    assert_eq!((receipt.attempts, fake.count("GET", "/r/1")), (3, 9), "each as often as patience says");
}

/// The provider's answer goes with the refusal, so that its words reach who asked.
#[tokio::test]
async fn a_generation_that_failed_for_its_request_says_why() {
    let said = json!({"detail": [{"loc": ["body", "prompt"], "msg": "flagged by a checker", "type": "content_policy_violation"}]});
    let fake = completed(move |_, _| Reply::Json(422, said.clone())).await;
    let error = engine("fal", &fake.url, "", "").await.generate(fox()).await.unwrap_err();
    let Error::Rejected(failure) = &error else { panic!("{error:?}") };
    let upstream = failure.upstream.as_ref().unwrap();
    let read = fairflow::wire::said::Said::read(&upstream.body).unwrap();
    assert!(read.moderated && upstream.status == 422, "{read:?}");
    assert_eq!((&*failure.message, read.param.as_deref()), ("flagged by a checker", Some("prompt")));
    assert_eq!(fake.count("POST", SUBMIT), 1);
}

#[tokio::test]
async fn a_generation_that_the_provider_forgot_has_expired() {
    // Looks too early are forgiven, and replicas that are behind.
    let fake = polled(|nth| match nth {
        0..=2 => Reply::Json(404, json!({"status": "Task not found"})),
        3 => Reply::Json(200, state("Pending")),
        4..=6 => Reply::Json(200, state("Task not found")),
        _ => Reply::Json(200, state("Ready")),
    })
    .await;
    assert!(engine("bfl", &fake.url, "", "").await.generate(fox()).await.is_ok());
    let fake = polled(|_| Reply::Json(404, json!({"status": "Task not found"}))).await;
    let error = engine("bfl", &fake.url, "", "").await.generate(fox()).await.unwrap_err();
    assert!(error.reason().as_str() == "unconfirmed" && error.to_string().contains("does not know"), "{error}");
    assert_eq!(fake.count("GET", POLL), 4, "patience is 3");
}

/// The key goes to nobody whom the provider merely names.
#[tokio::test]
async fn a_foreign_polling_url_is_not_followed() {
    let foreign = Fake::start(|_, _, _| Reply::Json(200, state("Ready"))).await;
    let there = foreign.url.clone();
    let fake =
        Fake::start(move |_, _, _| Reply::Json(200, json!({"id": "t1", "polling_url": format!("{there}{POLL}")})))
            .await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let error = fairflow.generate(fox()).await.unwrap_err();
    assert!(error.reason().as_str() == "unconfirmed" && error.to_string().contains("foreign host"), "{error}");
    assert!(foreign.asks().is_empty());
    assert_eq!(fake.asks().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed_either() {
    let foreign = Fake::start(|_, _, _| Reply::Json(200, state("Ready"))).await;
    let there: &'static str = Box::leak(format!("{}{POLL}", foreign.url).into_boxed_str());
    let fake = polled(move |_| Reply::With(302, ("location", there), json!({}))).await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    assert_eq!(fairflow.generate(fox()).await.unwrap_err().reason().as_str(), "unconfirmed");
    assert!(foreign.asks().is_empty());
}
