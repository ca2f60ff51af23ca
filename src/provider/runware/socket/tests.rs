//! The connection against a server that a script plays, frame by frame.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;

const SHORT: Beat = Beat { every: Duration::from_millis(20), dead: Duration::from_millis(60) };

enum Say {
    Frame(Value),
    Close,
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
                let Ok(mut stream) = accept_async(stream).await else { return };
                while let Some(Ok(Message::Text(text))) = stream.next().await {
                    let Ok(Value::Array(tasks)) = serde_json::from_str(text.as_str()) else { return };
                    for task in tasks {
                        let said = script(connection, &task);
                        log.lock().expect("held briefly").push(task);
                        for say in said {
                            let Say::Frame(frame) = say else { return };
                            if stream.send(Message::text(frame.to_string())).await.is_err() {
                                return;
                            }
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
    Socket::with_beat(&endpoint, &poll, beat).expect("sets up")
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
        async move { socket.run(&task, false).await }
    });
    let bad = task("bad", "sync", 1);
    let (results, refused) =
        futures_util::future::join(futures_util::future::join_all(runs), socket.run(&bad, false)).await;
    for (n, items) in results.into_iter().enumerate() {
        let items = items.expect("made");
        assert_eq!(items.len(), if n == 0 { 2 } else { 1 });
        assert!(items.iter().all(|item| item["taskUUID"] == format!("t{n}")));
    }
    let refused = refused.expect_err("an unknown model");
    assert_eq!((refused.outcome, refused.message.as_str()), (Outcome::Rejected, "no such model"));
    assert_eq!(kinds(&seen, "authentication").len(), 1, "one connection");
    assert!(socket.shared.waiting().is_empty(), "nothing is left behind");
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
    let items = socket(&url, "k", BEAT).run(&task("t", "async", 1), false).await.expect("made");
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
    let items = socket(&url, "k", BEAT).run(&task("t", "sync", 1), false).await.expect("made");
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
    let items = socket(&url, "k", BEAT).run(&task("t", "sync", 1), false).await.expect("made");
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
    let refused = socket(&url, "k", BEAT).run(&task("t", "sync", 1), false).await.expect_err("used before");
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
    let items = socket(&url, "k", SHORT).run(&task("t", "sync", 1), false).await.expect("made");
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
    let failure = socket(&url, "K-123", BEAT).run(&task("t", "sync", 1), false).await.expect_err("refused");
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
        let failure = socket.run(&task("t", "sync", 1), false).await.expect_err("nobody listens");
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
    assert!(tokio::time::timeout(Duration::from_millis(50), socket.run(&task, false)).await.is_err());
    assert!(socket.shared.waiting().is_empty());
}
