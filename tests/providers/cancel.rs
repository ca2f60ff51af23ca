//! Whoever goes away, or whose time is up, leaves nothing running at the provider.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use fairflow::Fairflow;
use fairflow::task::{Task, VideoInference};
use serde_json::json;

use crate::fake::{Ask, Fake, Reply, engine};

/// The three services that can cancel, in one server: no generation ever ends.
fn endless(base: &str, ask: &Ask, _: usize) -> Reply {
    let replicate = || {
        let url = format!("{base}/predictions/p1");
        json!({"id": "p1", "status": "processing", "urls": {"get": url, "cancel": format!("{url}/cancel")}})
    };
    let fal = || format!("{base}/requests/r1");
    match (ask.method.as_str(), ask.path.as_str()) {
        ("POST", "/models/lab/model/predictions") | ("GET", "/predictions/p1") => Reply::Json(200, replicate()),
        ("POST", "/lab/model") => Reply::Json(
            200,
            json!({"request_id": "r1", "status_url": format!("{}/status", fal()), "cancel_url": format!("{}/cancel", fal())}),
        ),
        ("GET", "/requests/r1/status") => Reply::Json(200, json!({"status": "IN_PROGRESS"})),
        ("POST", "/contents/generations/tasks") => Reply::Json(200, json!({"id": "a1"})),
        ("GET", "/contents/generations/tasks/a1") => Reply::Json(200, json!({"status": "queued"})),
        _ => Reply::Json(202, json!({})),
    }
}

const SERVICES: [(&str, &str, &str, &str); 3] = [
    ("replicate", "/predictions/p1", "POST", "/predictions/p1/cancel"),
    ("fal", "/requests/r1/status", "PUT", "/requests/r1/cancel"),
    ("ark", "/contents/generations/tasks/a1", "DELETE", "/contents/generations/tasks/a1"),
];

fn video() -> VideoInference {
    VideoInference::new("m", "a fox")
}

fn start<T: Task>(fairflow: &Fairflow, task: T) -> tokio::task::JoinHandle<()>
where
    T::Output: Send,
{
    let request = fairflow.generate(task).into_future();
    tokio::spawn(async move { drop(request.await) })
}

#[tokio::test]
async fn a_dropped_future_is_cancelled_at_the_provider() {
    for (kind, poll, method, cancel) in SERVICES {
        let fake = Fake::start(endless).await;
        let fairflow = engine(kind, &fake.url, "", "").await;
        let request = start(&fairflow, video());
        fake.wait_for("GET", poll).await;
        request.abort();
        fake.wait_for(method, cancel).await;
        assert_eq!(fake.count(method, cancel), 1, "{kind}");
    }
}

#[tokio::test]
async fn an_attempt_whose_time_is_up_is_cancelled_and_not_sent_again() {
    let fake = Fake::start(endless).await;
    let fairflow = engine("replicate", &fake.url, "", "timeout = \"100ms\"").await;
    let error = fairflow.generate(video()).await.unwrap_err();
    assert_eq!((error.status(), error.reason().as_str()), (504, "unconfirmed"), "{error}");
    fake.wait_for("POST", "/predictions/p1/cancel").await;
    assert_eq!(fake.count("POST", "/models/lab/model/predictions"), 1);
}

/// A caller who leaves while the submission is on its way has no handle yet: it is cancelled as soon as there is one.
#[tokio::test]
async fn a_submission_that_nobody_waits_for_is_cancelled_when_it_is_accepted() {
    let fake = Fake::start(|base, ask, nth| {
        let reply = endless(base, ask, nth);
        match ask.path.ends_with("/predictions") {
            true => Reply::Late(Duration::from_millis(100), Box::new(reply)),
            false => reply,
        }
    })
    .await;
    let fairflow = engine("replicate", &fake.url, "", "timeout = \"20ms\"").await;
    let error = fairflow.generate(video()).await.unwrap_err();
    assert_eq!(error.reason().as_str(), "unconfirmed", "{error}");
    fake.wait_for("POST", "/predictions/p1/cancel").await;
    assert_eq!(fake.count("GET", "/predictions/p1"), 0);
}

/// What is submitted may have a slot there for as long as the connection stands.
#[tokio::test]
async fn a_submission_that_is_never_answered_is_given_up_after_its_caller() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connection = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Ends when the other side closes, by a reset too.
        stream.read_to_end(&mut Vec::new()).await.unwrap_or_default()
    });
    let fairflow = engine("replicate", &url, "", "timeout = \"20ms\"").await;
    let error = fairflow.generate(video()).await.unwrap_err();
    assert_eq!(error.reason().as_str(), "unconfirmed", "{error}");
    tokio::time::timeout(Duration::from_secs(40), connection).await.expect("it was left open").unwrap();
}
