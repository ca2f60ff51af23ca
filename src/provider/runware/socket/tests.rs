//! The connection against a server that a script plays, frame by frame.

mod closings;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::provider::runware::common::Object;
use crate::provider::runware::told::text;

const SHORT: Beat = Beat { every: Duration::from_millis(20), dead: Duration::from_millis(60) };

enum Say {
    Frame(Value),
    Raw(&'static str),
    /// A frame, after a while.
    Later(Duration, Value),
    Close,
    /// The end, after a while.
    CloseLater(Duration),
}

/// Plays a server: the script gets the number of the connection and one task, and returns what to do.
async fn server(
    script: impl Fn(usize, &Value) -> Vec<Say> + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/v1", listener.local_addr().expect("has one"));
    let (seen, script) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::new(script));
    let (log, connections) = (seen.clone(), AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = connections.fetch_add(1, Ordering::SeqCst);
            let (script, log) = (script.clone(), log.clone());
            tokio::spawn(async move {
                let Ok(stream) = accept_async(stream).await else { return };
                let (mut sink, mut frames) = stream.split();
                let (say, mut said) = mpsc::unbounded_channel::<Option<String>>();
                let writing = tokio::spawn(async move {
                    while let Some(Some(text)) = said.recv().await {
                        if sink.send(Message::text(text)).await.is_err() {
                            return;
                        }
                    }
                    // The other side may be gone.
                    sink.close().await.ok();
                });
                while let Some(Ok(Message::Text(text))) = frames.next().await {
                    let Ok(Value::Array(tasks)) = serde_json::from_str(text.as_str()) else { return };
                    for task in tasks {
                        let does = script(connection, &task);
                        log.lock().expect("held briefly").push(task);
                        for what in does {
                            let say = say.clone();
                            match what {
                                Say::Frame(frame) => say.send(Some(frame.to_string())).ok(),
                                Say::Raw(text) => say.send(Some(text.to_owned())).ok(),
                                Say::Later(span, frame) => {
                                    tokio::spawn(async move {
                                        tokio::time::sleep(span).await;
                                        // The connection may have ended meanwhile.
                                        say.send(Some(frame.to_string())).ok();
                                    });
                                    None
                                }
                                Say::CloseLater(span) => {
                                    tokio::spawn(async move {
                                        tokio::time::sleep(span).await;
                                        say.send(None).ok();
                                    });
                                    None
                                }
                                Say::Close => {
                                    say.send(None).ok();
                                    writing.await.expect("ends");
                                    return;
                                }
                            };
                        }
                    }
                }
            });
        }
    });
    (url, seen)
}

fn welcome(session: &str) -> Vec<Say> {
    data(json!([{"taskType": "authentication", "connectionSessionUUID": session}]))
}

fn data(items: Value) -> Vec<Say> {
    vec![Say::Frame(json!({ "data": items }))]
}

fn socket(url: &str, key: &str, beat: Beat) -> Socket {
    let (endpoint, poll) = settings(url, key);
    Socket::new(&endpoint, &poll, beat, Arc::default()).expect("sets up")
}

fn settings(url: &str, key: &str) -> (Endpoint, PollSettings) {
    let endpoint = Endpoint {
        base_url: url.to_owned(),
        authorities: None,
        api_key: Some(SecretString::from(key)),
        bare_key: false,
        api_version: None,
        headers: Vec::new(),
        user_agent: "test".to_owned(),
        max_response: 1 << 20,
        guarded: [SecretString::from(key)].into(),
    };
    let poll =
        PollSettings { initial: Duration::from_millis(10), max: Duration::from_millis(10), ..PollSettings::default() };
    (endpoint, poll)
}

/// Runs a task with all the time it needs; `was_sent` where an earlier attempt may have sent it.
async fn run(socket: &Socket, task: &Object, was_sent: bool) -> Result<Vec<Object>, Failure> {
    let task = Outgoing::new(task);
    let follow = Follow::new(&task, was_sent, now(), now() + Duration::from_secs(60));
    socket.follow(task, follow).await.map(|made| made.items)
}

fn task(uuid: &str, method: &str, results: u64) -> Object {
    let task =
        json!({"taskType": "imageInference", "taskUUID": uuid, "deliveryMethod": method, "numberResults": results});
    task.as_object().expect("is one").clone()
}

fn image(uuid: &Value, id: &str) -> Value {
    json!({"taskType": "imageInference", "taskUUID": uuid, "imageUUID": id, "imageURL": "https://x", "cost": 0.001})
}

fn kinds(seen: &Mutex<Vec<Value>>, kind: &str) -> Vec<Value> {
    seen.lock().expect("held briefly").iter().filter(|task| task["taskType"] == kind).cloned().collect()
}

#[tokio::test]
async fn tasks_share_a_connection_and_each_gets_its_own() {
    let parked = Mutex::new(Vec::new());
    let (url, seen) = server(move |_, task| {
        let uuid = &task["taskUUID"];
        match task["taskType"].as_str() {
            Some("authentication") => welcome("s1"),
            // The first is answered last, in two frames; one is refused.
            Some("imageInference") if uuid == "bad" => vec![Say::Frame(json!({"errors": [
                {"code": "invalidModel", "message": "no such model", "taskUUID": "bad"}]}))],
            Some("imageInference") if uuid == "t0" => {
                parked.lock().expect("held briefly").push(uuid.clone());
                Vec::new()
            }
            Some("imageInference") if uuid == "t9" => {
                let mut said = data(json!([image(uuid, "i")]));
                for first in parked.lock().expect("held briefly").drain(..) {
                    said.extend(data(json!([image(&first, "i1")])));
                    said.extend(data(json!([image(&first, "i2")])));
                }
                said
            }
            Some("imageInference") => data(json!([image(uuid, "i")])),
            _ => Vec::new(),
        }
    })
    .await;
    let socket = socket(&url, "k", BEAT);
    let runs = (0..10).map(|n| {
        let task = task(&format!("t{n}"), "sync", if n == 0 { 2 } else { 1 });
        let socket = &socket;
        async move { run(socket, &task, false).await }
    });
    let bad = task("bad", "sync", 1);
    let (results, refused) =
        futures_util::future::join(futures_util::future::join_all(runs), run(&socket, &bad, false)).await;
    for (n, items) in results.into_iter().enumerate() {
        let items = items.expect("made");
        assert_eq!(items.len(), if n == 0 { 2 } else { 1 });
        assert!(items.iter().all(|item| item["taskUUID"] == format!("t{n}")));
    }
    let refused = refused.expect_err("an unknown model");
    assert_eq!((refused.outcome, refused.message.as_str()), (Outcome::Rejected, "no such model"));
    assert_eq!(kinds(&seen, "authentication").len(), 1, "one connection");
    assert!(socket.shared.waiters.all().is_empty(), "nothing is left behind");
}

#[tokio::test]
async fn what_is_asynchronous_is_asked_for() {
    let asked = AtomicUsize::new(0);
    let (url, seen) = server(move |_, task| {
        let uuid = &task["taskUUID"];
        match task["taskType"].as_str() {
            Some("authentication") => welcome("s1"),
            Some("imageInference") => data(json!([{"taskType": "imageInference", "taskUUID": uuid}])),
            Some("getResponse") if asked.fetch_add(1, Ordering::SeqCst) < 2 => {
                data(json!([{"taskType": "imageInference", "taskUUID": uuid, "status": "processing"}]))
            }
            Some("getResponse") => {
                let mut item = image(uuid, "i");
                item["status"] = "success".into();
                data(json!([item]))
            }
            _ => Vec::new(),
        }
    })
    .await;
    let items = run(&socket(&url, "k", BEAT), &task("t", "async", 1), false).await.expect("made");
    assert_eq!(items[0]["imageUUID"], "i");
    assert_eq!((kinds(&seen, "imageInference").len(), kinds(&seen, "getResponse").len()), (1, 3));
}

#[tokio::test]
async fn a_resumed_session_delivers_what_it_owes_and_nothing_is_sent_twice() {
    let (url, seen) = server(|connection, task| match (task["taskType"].as_str(), connection) {
        (Some("authentication"), 0) => welcome("s1"),
        (Some("authentication"), _) => {
            assert_eq!(task["connectionSessionUUID"], "s1");
            let mut said = welcome("s1");
            said.extend(data(json!([image(&json!("t"), "i")])));
            said
        }
        (Some("imageInference"), _) => vec![Say::Close],
        _ => Vec::new(),
    })
    .await;
    let items = run(&socket(&url, "k", BEAT), &task("t", "sync", 1), false).await.expect("made");
    assert_eq!(items.len(), 1);
    assert_eq!(kinds(&seen, "imageInference").len(), 1);
}

#[tokio::test]
async fn a_lost_session_gets_the_same_task_again_and_a_conflict_means_that_it_runs() {
    let (url, seen) = server(|connection, task| {
        let uuid = &task["taskUUID"];
        match (task["taskType"].as_str(), connection) {
            (Some("authentication"), connection) => welcome(&format!("s{connection}")),
            (Some("imageInference"), 0) => vec![Say::Close],
            (Some("imageInference"), _) => vec![Say::Frame(json!({"errors": [
                {"code": "conflictTaskUUID", "message": "used", "taskUUID": uuid}]}))],
            (Some("getResponse"), _) => data(json!([image(uuid, "i")])),
            _ => Vec::new(),
        }
    })
    .await;
    let items = run(&socket(&url, "k", BEAT), &task("t", "sync", 1), false).await.expect("made");
    assert_eq!(items.len(), 1);
    let sent = kinds(&seen, "imageInference");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
}

#[tokio::test]
async fn a_conflict_on_the_first_attempt_is_the_callers() {
    let (url, _) = server(|_, task| match task["taskType"].as_str() {
        Some("authentication") => welcome("s1"),
        _ => vec![Say::Frame(json!({"errors": [
            {"code": "conflictTaskUUID", "message": "used", "taskUUID": task["taskUUID"]}]}))],
    })
    .await;
    let refused = run(&socket(&url, "k", BEAT), &task("t", "sync", 1), false).await.expect_err("used before");
    assert_eq!(refused.outcome, Outcome::Rejected);
}

#[tokio::test]
async fn a_silent_server_is_left_for_another_connection() {
    let (url, seen) = server(|connection, task| match (task["taskType"].as_str(), connection) {
        (Some("authentication"), _) => welcome(&format!("s{connection}")),
        (Some("imageInference"), 1) => data(json!([image(&task["taskUUID"], "i")])),
        _ => Vec::new(),
    })
    .await;
    let items = run(&socket(&url, "k", SHORT), &task("t", "sync", 1), false).await.expect("made");
    assert_eq!(items.len(), 1);
    assert!(!kinds(&seen, "ping").is_empty());
}

#[tokio::test]
async fn a_refused_key_concerns_the_account_and_is_not_tried_again() {
    let (url, seen) = server(|_, _| {
        vec![Say::Frame(
            json!({"errors": [{"code": "invalidApiKey", "message": "bad key K-123", "taskType": "authentication"}]}),
        )]
    })
    .await;
    let failure = run(&socket(&url, "K-123", BEAT), &task("t", "sync", 1), false).await.expect_err("refused");
    assert!(
        failure.verdict.scope.is_account()
            && failure.outcome == Outcome::RateLimited
            && !failure.message.contains("K-123")
    );
    assert_eq!(seen.lock().expect("held briefly").len(), 1);
}

#[tokio::test]
async fn nobody_there_is_a_failure_and_the_next_task_tries_anew() {
    let socket = socket("http://127.0.0.1:1/v1", "k", BEAT);
    for _ in 0..2 {
        let failure = run(&socket, &task("t", "sync", 1), false).await.expect_err("nobody listens");
        assert!(failure.outcome == Outcome::Overloaded && !failure.spent, "{failure}");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_is_forgotten() {
    let (url, _) = server(|_, task| match task["taskType"].as_str() {
        Some("authentication") => welcome("s1"),
        _ => Vec::new(),
    })
    .await;
    let socket = socket(&url, "k", BEAT);
    let task = task("t", "sync", 1);
    assert!(tokio::time::timeout(Duration::from_millis(50), run(&socket, &task, false)).await.is_err());
    assert!(socket.shared.waiters.all().is_empty());
}

/// Returns how many connections have authenticated.
fn connections(seen: &Mutex<Vec<Value>>) -> usize {
    kinds(seen, "authentication").len()
}

fn sends(seen: &Mutex<Vec<Value>>, uuid: &str) -> usize {
    kinds(seen, "imageInference").iter().filter(|task| task["taskUUID"] == uuid).count()
}

#[tokio::test]
async fn a_resumed_session_is_asked_for_what_it_may_not_have_read() {
    let (url, seen) = server(|connection, task| match (task["taskType"].as_str(), connection) {
        (Some("authentication"), _) => welcome("s"),
        (Some("imageInference"), _) => vec![Say::Close],
        (Some("getResponse"), _) => data(json!([image(&task["taskUUID"], "i")])),
        _ => Vec::new(),
    })
    .await;
    let items = run(&socket(&url, "k", BEAT), &task("t", "sync", 1), false).await.expect("made");
    assert_eq!((items.len(), sends(&seen, "t")), (1, 1));
}

#[tokio::test]
async fn errors_of_any_shape_end_the_task_they_belong_to() {
    let told = json!({"code": "invalidModel", "message": "no such model"});
    for (frame, expected) in [
        (json!({"errors": [told]}), "no such model"),
        (json!({"error": told}), "no such model"),
        (json!({"error": "no such model"}), "no such model"),
        (json!({"data": [{"taskUUID": "bad", "status": "error", "error": told}]}), "no such model"),
        (json!({"errors": [{"code": "invalidModel", "message": "x", "taskType": "imageInference"}]}), "x"),
    ] {
        let (url, _) = server(move |_, task| match task["taskType"].as_str() {
            Some("authentication") => welcome("s1"),
            // Another task, of another type, is under way.
            Some("imageInference") => vec![Say::Frame(frame.clone())],
            Some("caption") => Vec::new(),
            _ => Vec::new(),
        })
        .await;
        let socket = socket(&url, "k", BEAT);
        let refused = run(&socket, &task("bad", "sync", 1), false).await.expect_err("refused");
        assert_eq!((refused.outcome, refused.message.as_str()), (Outcome::Rejected, expected));
    }
}

#[tokio::test]
async fn an_error_that_names_no_task_reaches_those_that_it_can_be_of() {
    let (url, _) = server(|_, task| {
        let said =
            |code: &str| Say::Frame(json!({"errors": [{"code": code, "message": "x", "taskType": "imageInference"}]}));
        match (task["taskType"].as_str(), task["taskUUID"].as_str()) {
            (Some("authentication"), _) => welcome("s1"),
            (_, Some("broke")) => vec![said("insufficientCredits")],
            (_, Some("bad")) => vec![said("invalidPrompt")],
            _ => Vec::new(),
        }
    })
    .await;
    let socket = socket(&url, "k", BEAT);
    let mut other = task("other", "sync", 1);
    other.insert("taskType".into(), "caption".into());
    let mut other = Box::pin(run(&socket, &other, false));
    for (last, outcome) in [("broke", Outcome::RateLimited), ("bad", Outcome::Failed)] {
        let (waiting, last) = (task("waiting", "sync", 1), task(last, "sync", 1));
        let both = futures_util::future::join(run(&socket, &waiting, false), run(&socket, &last, false));
        let (first, second) = tokio::select! {
            ended = &mut other => panic!("it is another's: {ended:?}"),
            both = both => both,
        };
        for failure in [first.expect_err("told"), second.expect_err("told")] {
            assert_eq!(failure.outcome, outcome, "{failure}");
        }
    }
}

#[tokio::test]
async fn a_thousand_results_in_one_frame_find_room() {
    let (url, _) = server(|_, task| match task["taskType"].as_str() {
        Some("authentication") => welcome("s1"),
        _ => data((0..1_000).map(|n| image(&task["taskUUID"], &format!("i{n}"))).collect()),
    })
    .await;
    let items = run(&socket(&url, "k", BEAT), &task("t", "sync", 1_000), false).await.expect("made");
    assert_eq!(items.len(), 1_000);
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_ends_what_it_may_have_answered() {
    for frame in ["half {\"data\": [", "[1, 2]", "\u{0}\u{1}", "\"text\""] {
        let (url, _) = server(move |_, task| match task["taskType"].as_str() {
            Some("authentication") => welcome("s1"),
            _ => vec![Say::Raw(frame)],
        })
        .await;
        let failure = run(&socket(&url, "k", BEAT), &task("t", "sync", 1), false).await.expect_err("nothing was told");
        assert!(failure.outcome == Outcome::Failed && failure.message.contains("cannot be read"), "{failure}");
    }
}

#[tokio::test]
async fn an_answer_beyond_all_bounds_is_not_fetched_again_and_again() {
    let (url, seen) = server(|connection, task| match task["taskType"].as_str() {
        Some("authentication") => welcome(&format!("s{connection}")),
        _ => data(json!([{"taskUUID": task["taskUUID"], "imageBase64Data": "x".repeat(2 << 20)}])),
    })
    .await;
    let failure = run(&socket(&url, "k", BEAT), &task("t", "sync", 1), false).await.expect_err("too large");
    assert_eq!(failure.outcome, Outcome::Failed, "{failure}");
    assert!(sends(&seen, "t") <= 3 && connections(&seen) <= 3, "{} connections", connections(&seen));
}
