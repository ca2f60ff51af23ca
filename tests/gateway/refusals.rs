//! Each refusal of the scheduler, in both dialects: its status, its reason, and when to come back.

use serde_json::{Value, json};

use crate::lab::{BAD, CHAT, Lab, chat, post};
use crate::support::{Gateway, client, eventually, json as read};

fn task(model: &str) -> Value {
    let messages = json!([{"role": "user", "content": "hello"}]);
    json!([{"taskType": "textInference", "taskUUID": "U", "model": model, "messages": messages}])
}

/// Expects one refusal of a model on an OpenAI and on a Runware route.
async fn refused(gateway: &Gateway, model: &str, expected: (u16, &str, &str), retry: bool, headers: &[(&str, &str)]) {
    let (status, reason, code) = expected;
    for (path, body) in [(CHAT, chat(model)), ("/v1", task(model))] {
        let response = post(gateway, path, &body, headers).await;
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let whole = header("retry-after").map(|text| text.parse::<u64>().unwrap());
        let millis = header("retry-after-ms").map(|text| text.parse::<u64>().unwrap());
        assert_eq!(
            (response.status().as_u16(), header("x-fairflow-reason").as_deref()),
            (status, Some(reason)),
            "{path}"
        );
        assert_eq!((whole.is_some(), millis.is_some()), (retry, retry), "{reason} on {path}");
        if let (Some(whole), Some(millis)) = (whole, millis) {
            assert!(whole >= 1 && millis >= 1 && whole == millis.div_ceil(1_000).max(1), "{whole} s, {millis} ms");
        }
        let answer = read(response).await;
        if path == CHAT {
            let kind = if status == 429 { "rate_limit_error" } else { "server_error" };
            assert_eq!(
                (&answer["error"]["type"], &answer["error"]["code"]),
                (&json!(kind), &json!(reason)),
                "{answer}"
            );
            assert!(!answer["error"]["message"].as_str().unwrap().is_empty());
        } else {
            let error = &answer["errors"][0];
            assert_eq!(
                (&error["code"], &error["reason"], &error["taskUUID"]),
                (&json!(code), &json!(reason), &json!("U"))
            );
            assert_eq!((&answer["data"], &answer["message"]), (&json!([]), &error["message"]), "{answer}");
        }
    }
}

/// Sends a request that will not be answered, and waits until it is where it should be.
async fn occupy(
    gateway: &Gateway,
    model: &str,
    tenant: &'static str,
    wanted: (u64, u64),
) -> tokio::task::JoinHandle<()> {
    let url = format!("{}{CHAT}", gateway.public);
    let request = client().post(url).header("x-fairflow-tenant", tenant).body(chat(model).to_string());
    let task = tokio::spawn(async move { drop(request.send().await) });
    eventually(&format!("{model}: {wanted:?}"), async || now(gateway, model).await == wanted).await;
    task
}

/// Returns how many requests of a model are in flight, and how many wait.
async fn now(gateway: &Gateway, model: &str) -> (u64, u64) {
    let answer = read(client().get(format!("{}/v1/capacity/{model}", gateway.public)).send().await.unwrap()).await;
    let now = &answer["models"][0];
    (now["inFlight"].as_u64().unwrap(), now["queueDepth"].as_u64().unwrap())
}

/// The settings of a model with one slot.
const ONE: &str = "window = { min = 1, max = 1 }";

#[tokio::test]
async fn a_full_queue() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", &format!("{ONE}\nqueue = {{ capacity = 1 }}"))]);
    let _held = occupy(&gateway, "hang", "a", (1, 0)).await;
    let _waits = occupy(&gateway, "hang", "a", (1, 1)).await;
    refused(&gateway, "hang", (429, "queue_full", "rateLimitExceeded"), true, &[]).await;
}

#[tokio::test]
async fn a_full_queue_of_a_tenant() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", ONE)]);
    let _held = occupy(&gateway, "hang", "single", (1, 0)).await;
    let _waits = occupy(&gateway, "hang", "single", (1, 1)).await;
    let tenant = [("x-fairflow-tenant", "single")];
    refused(&gateway, "hang", (429, "tenant_queue_full", "rateLimitExceeded"), true, &tenant).await;
}

#[tokio::test]
async fn a_wait_that_was_too_long() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", &format!("{ONE}\nqueue = {{ max_wait = \"150ms\" }}"))]);
    let _held = occupy(&gateway, "hang", "a", (1, 0)).await;
    refused(&gateway, "hang", (504, "queue_timeout", "queueTimeout"), true, &[]).await;
}

#[tokio::test]
async fn a_provider_that_does_not_answer_in_time() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", "timeout = \"100ms\"\nretry = { max_attempts = 1 }")]);
    refused(&gateway, "hang", (504, "upstream_timeout", "providerTimeout"), false, &[]).await;
}

#[tokio::test]
async fn a_deadline_that_cannot_be_met() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("quick", ONE)]);
    // Thirty answers teach it how long one takes; then a hundred that wait are more than 20 ms.
    let crowd = |size: usize| {
        let url = format!("{}{CHAT}", gateway.public);
        let http = client();
        let send = move |_| tokio::spawn(http.post(&url).body(chat("quick").to_string()).send());
        (0..size).map(send).collect::<Vec<_>>()
    };
    for served in crowd(30) {
        assert_eq!(served.await.unwrap().unwrap().status(), 200);
    }
    let _crowd = crowd(100);
    eventually("the crowd waits", async || now(&gateway, "quick").await.1 >= 80).await;
    let hurry = [("x-fairflow-max-wait", "20")];
    refused(&gateway, "quick", (429, "deadline_unreachable", "rateLimitExceeded"), true, &hurry).await;
}

#[tokio::test]
async fn retries_that_are_used_up_and_then_a_closed_route() {
    let lab = Lab::start();
    let settings = "retry = { max_attempts = 2, base = \"10ms\", max = \"20ms\", budget = 1.0 }\n\
                    queue = { max_wait = \"100ms\" }";
    let gateway = lab.gateway("", &[("down", settings)]);
    refused(&gateway, "down", (503, "retries_exhausted", "serviceUnavailable"), true, &[]).await;
    // For long enough that it is closed yet when the others have asked.
    eventually("the route is closed for two seconds more", async || {
        let response = post(&gateway, CHAT, &chat("down"), &[]).await;
        let left = response.headers().get("retry-after-ms").map(|left| left.to_str().unwrap().parse::<u64>().unwrap());
        response.headers()["x-fairflow-reason"] == "no_capacity" && left.is_some_and(|left| left >= 2_000)
    })
    .await;
    refused(&gateway, "down", (503, "no_capacity", "serviceUnavailable"), true, &[]).await;
}

#[tokio::test]
async fn the_providers_own_refusal_is_passed_on() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("bad", "")]);
    let response = post(&gateway, CHAT, &chat("bad"), &[]).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()),
        (400, "application/json")
    );
    assert_eq!(response.text().await.unwrap(), BAD);
    let answer = read(post(&gateway, "/v1", &task("bad"), &[]).await).await;
    assert_eq!(
        (&answer["errors"][0]["code"], &answer["errors"][0]["taskUUID"]),
        (&json!("invalidRequest"), &json!("U"))
    );
}

#[tokio::test]
async fn a_drain() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    assert_eq!(client().post(format!("{}/admin/drain", gateway.admin)).send().await.unwrap().status(), 202);
    refused(&gateway, "ok", (503, "no_capacity", "serviceUnavailable"), true, &[]).await;
    for address in [&gateway.public, &gateway.admin] {
        assert_eq!(client().get(format!("{address}/health/ready")).send().await.unwrap().status(), 503);
        assert_eq!(client().get(format!("{address}/health/live")).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_no_capacity() {
    let lab = Lab::start();
    lab.kill().await;
    let settings = "retry = { max_attempts = 1 }\nqueue = { max_wait = \"100ms\" }";
    let gateway = lab.gateway("", &[("ok", settings)]);
    eventually("the route is closed", async || {
        let response = post(&gateway, CHAT, &chat("ok"), &[]).await;
        // Before that, a wait for the route's next trial may end.
        response.headers()["x-fairflow-reason"] == "no_capacity" && response.status() == 503
    })
    .await;
}
