//! Runware's WebSocket as its SDKs speak it.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::client::{Client, text};
use crate::lab::{Lab, post};
use crate::support::{Gateway, client, found, json as read};

fn image(model: &str, uuid: &str) -> Value {
    json!({"taskType": "imageInference", "taskUUID": uuid, "model": model, "positivePrompt": "a cat",
        "width": 512, "height": 512, "numberResults": 2, "includeCost": true})
}

fn with(mut task: Value, name: &str, value: &str) -> Value {
    task[name] = value.into();
    task
}

const SIM: &str = "[providers.sim]\nkind = \"sim\"\nsim = { service = \"50ms\", sigma = 0.0 }\n\
    [models.fast]\nroutes = [{ provider = \"sim\" }]\n[models.tasks]\nroutes = [{ provider = \"sim\" }]\n\
    [providers.slowly]\nkind = \"sim\"\nsim = { service = \"700ms\", sigma = 0.0 }\n\
    [models.slow]\nroutes = [{ provider = \"slowly\" }]\n\
    [tenants.acme]\napi_keys = [\"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"]\n";

#[tokio::test]
async fn authentication_ping_and_synchronous_tasks() {
    let gateway = Gateway::start("auth = \"keys\"", SIM);
    let mut stranger = Client::connect(&gateway, "/").await;
    stranger.send(&json!([image("fast", "early")])).await;
    let refused = stranger.next().await;
    let error = &refused["errors"][0];
    assert_eq!(
        (&error["code"], &error["taskUUID"], &refused["error"]),
        (&json!("invalidApiKey"), &json!("early"), error)
    );
    stranger.send(&json!([{"taskType": "authentication", "apiKey": "wrong"}])).await;
    let refused = stranger.next().await;
    assert_eq!((&refused["error"]["code"], refused.get("data")), (&json!("invalidApiKey"), None));
    // It may try again.
    stranger.send(&json!([{"taskType": "authentication", "apiKey": "abc"}])).await;
    assert_eq!(stranger.next().await["data"][0]["taskType"], "authentication");

    let (mut client, _) = Client::open(&gateway, "abc", None).await;
    client.send(&json!([{"taskType": "ping", "ping": true}])).await;
    assert_eq!(client.next().await, json!({"data": [{"taskType": "ping", "pong": true}]}));
    client.send(&json!([image("fast", "one"), image("nobody", "two"), text("fast", "three")])).await;
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..3 {
        let frame = client.next().await;
        let object = frame.as_object().unwrap();
        assert_eq!(object.len(), 1, "data or errors, never both: {frame}");
        let items = object.values().next().unwrap().as_array().unwrap().clone();
        seen.insert(items[0]["taskUUID"].as_str().unwrap().to_owned(), items);
    }
    let (one, two, three) = (&seen["one"], &seen["two"], &seen["three"]);
    assert!(one.len() == 2 && one.iter().all(|item| item["imageUUID"].is_string() && item["imageURL"].is_string()));
    assert_eq!((two.len(), &two[0]["code"], &two[0]["parameter"]), (1, &json!("invalidModel"), &json!("model")));
    assert!(three[0]["text"].is_string());
    client.send(&json!({"no": "array"})).await;
    assert_eq!(client.next().await["errors"][0]["parameter"], "body");
    // A task without a UUID is given one, and one without a model has a queue of its own.
    client.send(&json!([{"taskType": "imageUpload", "image": "https://x.invalid/"}])).await;
    let item = client.next().await["data"][0].clone();
    assert_eq!(item["taskType"], "imageUpload");
    assert_eq!(item["taskUUID"].as_str().unwrap().len(), 36);
    let plain = reqwest::Client::get(&crate::support::client(), format!("{}/v1", gateway.public)).send().await.unwrap();
    assert_eq!(plain.status(), 426);
}

#[tokio::test]
async fn asynchronous_tasks_are_acknowledged_polled_and_pushed() {
    let gateway = Gateway::start("", SIM);
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    let video = |uuid: &str| json!({"taskType": "videoInference", "taskUUID": uuid, "model": "slow", "positivePrompt": "x", "duration": 5});
    client.send(&json!([video("v")])).await;
    assert_eq!(client.next().await, json!({"data": [{"taskType": "videoInference", "taskUUID": "v"}]}));
    client.send(&json!([{"taskType": "getResponse", "taskUUID": "v"}])).await;
    let item = client.next().await["data"][0].clone();
    assert_eq!(item, json!({"taskType": "videoInference", "taskUUID": "v", "status": "processing"}));
    // Pushed without being asked.
    let pushed = client.next().await["data"][0].clone();
    assert_eq!((&pushed["status"], &pushed["taskUUID"]), (&json!("success"), &json!("v")));
    assert!(pushed["videoURL"].is_string() && pushed["videoUUID"].is_string());
    // And told again to whoever asks, with the success that an SDK needs, over REST too; but not to another tenant.
    let again = json!([{"taskType": "getResponse", "taskUUID": "v"}]);
    client.send(&again).await;
    assert_eq!(client.next().await["data"][0], pushed);
    let auth = [("authorization", "Bearer k")];
    assert_eq!(read(post(&gateway, "/v1", &again, &auth).await).await["data"][0], pushed);
    let foreign = post(&gateway, "/v1", &again, &[("authorization", "Bearer other")]).await;
    assert_eq!(foreign.status(), 400);
    // What is refused at once is no acknowledgement.
    client.send(&json!([with(image("nobody", "w"), "deliveryMethod", "async")])).await;
    assert_eq!(client.next().await["errors"][0]["taskUUID"], "w");
    client.send(&json!([with(text("fast", "x"), "deliveryMethod", "stream")])).await;
    assert_eq!(client.next().await["errors"][0]["parameter"], "deliveryMethod");

    // Over REST alone.
    let mut task = with(image("fast", "r"), "deliveryMethod", "async");
    task["numberResults"] = 3.into();
    let acknowledged = read(post(&gateway, "/", &json!([task]), &auth).await).await;
    assert_eq!(acknowledged, json!({"data": [{"taskType": "imageInference", "taskUUID": "r"}]}));
    let ask = json!([{"taskType": "getResponse", "taskUUID": "r"}]);
    let items = found("the images", async || {
        let answer = read(post(&gateway, "/v1", &ask, &auth).await).await;
        let items = answer["data"].as_array().unwrap().clone();
        let processing = json!({"taskType": "imageInference", "taskUUID": "r", "status": "processing"});
        assert!(items[0]["status"] == "success" || items[0] == processing, "{answer}");
        Some(items).filter(|items| items[0]["status"] == "success")
    })
    .await;
    assert!(items.len() == 3 && items.iter().all(|item| item["status"] == "success" && item["imageURL"].is_string()));
}

#[tokio::test]
async fn a_task_is_made_once_under_its_uuid_also_over_a_new_connection() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("slow", "")]);
    let calls = || lab.seen.calls.load(Ordering::SeqCst);
    let (mut first, session) = Client::open(&gateway, "k", None).await;
    first.send(&json!([text("slow", "t")])).await;
    lab.called(1).await;
    drop(first);
    // An old SDK: a new session, and the task sent again under its UUID.
    let (mut second, other) = Client::open(&gateway, "k", None).await;
    assert_ne!(session, other);
    second.send(&json!([text("slow", "t")])).await;
    let answer = second.next().await;
    assert_eq!((&answer["data"][0]["taskUUID"], calls()), (&json!("t"), 1));
    // And once more, when it is done, by whatever way.
    let rest = post(&gateway, "/v1", &json!([text("slow", "t")]), &[("authorization", "Bearer k")]).await;
    assert_eq!((&read(rest).await["data"], calls()), (&answer["data"], 1));
    // Another task under the same UUID is a mistake.
    let mut other = text("slow", "t");
    other["maxTokens"] = 9.into();
    second.send(&json!([other])).await;
    let error = second.next().await["errors"][0].clone();
    assert_eq!((&error["code"], &error["taskUUID"]), (&json!("conflictTaskUUID"), &json!("t")));
    // Another tenant's is not.
    let (mut stranger, _) = Client::open(&gateway, "k2", None).await;
    stranger.send(&json!([text("slow", "t")])).await;
    assert!(stranger.next().await["data"].is_array());
    assert_eq!(calls(), 2);
}

#[tokio::test]
async fn a_session_is_resumed_with_what_it_missed() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("slow", "")]);
    let (mut client, session) = Client::open(&gateway, "k", None).await;
    client.send(&json!([text("slow", "a"), with(text("slow", "b"), "deliveryMethod", "async")])).await;
    assert_eq!(client.next().await["data"][0], json!({"taskType": "textInference", "taskUUID": "b"}));
    drop(client);
    // Both are made while nobody is connected.
    lab.called(2).await;
    gateway.at_rest("slow").await;
    // Nobody else's.
    let (_thief, stolen) = Client::open(&gateway, "other", Some(&session)).await;
    assert_ne!(stolen, session);
    let (mut client, resumed) = Client::open(&gateway, "k", Some(&session)).await;
    assert_eq!(resumed, session);
    let mut missed = [client.next().await, client.next().await].map(|frame| frame["data"][0]["taskUUID"].clone());
    missed.sort_by_key(ToString::to_string);
    assert_eq!(missed, ["a", "b"]);
    assert_eq!(lab.seen.calls.load(Ordering::SeqCst), 2);
    // The one that takes over from a connection that is still there ends it.
    let (_newer, again) = Client::open(&gateway, "k", Some(&session)).await;
    assert_eq!(again, session);
    assert_eq!(client.next().await, json!({"closed": 1012}));
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_given_up() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", "[socket]\nresume = \"100ms\"\nsync_timeout = \"300ms\"")]);
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    client.send(&json!([text("hang", "a")])).await;
    let error = client.next().await["errors"][0].clone();
    assert_eq!(
        (&error["code"], &error["taskUUID"], &error["status"]),
        (&json!("syncTimeout"), &json!("a"), &json!(504))
    );
    gateway.at_rest("hang").await;
    client.send(&json!([text("hang", "b")])).await;
    lab.busy(1).await;
    drop(client);
    gateway.at_rest("hang").await;
    // A caller of REST that hangs up is not waited for at all.
    let request = client_post(&gateway, &json!([text("hang", "c")]));
    let call = tokio::spawn(request.send());
    lab.called(3).await;
    call.abort();
    gateway.at_rest("hang").await;
}

fn client_post(gateway: &Gateway, body: &Value) -> reqwest::RequestBuilder {
    client().post(format!("{}/v1", gateway.public)).body(body.to_string())
}

#[tokio::test]
async fn limits_of_a_connection() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("hang", "[socket]\ntasks = 3\nidle = \"400ms\"")]);
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    client.send(&json!((0..4).map(|n| text("hang", &n.to_string())).collect::<Vec<_>>())).await;
    let error = client.next().await["errors"][0].clone();
    assert_eq!(
        (&error["code"], &error["taskUUID"], &error["retryAfter"]),
        (&json!("rateLimitExceeded"), &json!("3"), &json!(1.0))
    );
    assert_eq!(client.next().await, json!({"closed": 1013}), "it says nothing");

    let gateway = lab.gateway("max_body = \"1MiB\"", &[("hang", "")]);
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    client.send(&json!([{"taskType": "ping", "padding": "x".repeat(1 << 20)}])).await;
    assert_eq!(client.next().await, json!({"closed": 1009}));
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    client.send(&json!([{"taskType": "ping", "padding": "x".repeat(1_000_000)}])).await;
    assert_eq!(client.next().await["data"][0]["pong"], true);
}

#[tokio::test]
async fn a_drain_sends_what_is_under_way_and_closes_with_1012() {
    let lab = Lab::start();
    let mut gateway = lab.gateway("", &[("slow", "")]);
    let (mut idle, _) = Client::open(&gateway, "k", None).await;
    let (mut busy, _) = Client::open(&gateway, "k", None).await;
    busy.send(&json!([text("slow", "a")])).await;
    lab.busy(1).await;
    gateway.terminate();
    assert_eq!(idle.next().await, json!({"closed": 1012}));
    busy.send(&json!([text("slow", "b")])).await;
    let error = busy.next().await["errors"][0].clone();
    assert_eq!((&error["code"], &error["taskUUID"]), (&json!("serviceUnavailable"), &json!("b")));
    assert_eq!(busy.next().await["data"][0]["taskUUID"], "a");
    assert_eq!(busy.next().await, json!({"closed": 1012}));
    assert!(gateway.ended().await);
}

#[tokio::test]
async fn a_frame_of_20_mb_passes_both_ways() {
    let gateway = Gateway::start("", SIM);
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    let large = "QUJD".repeat(5 << 20);
    client.send(&json!([{"taskType": "imageUpscale", "taskUUID": "u", "model": "fast", "inputImage": large}])).await;
    let item = client.next().await["data"][0].clone();
    assert_eq!((&item["taskUUID"], item["imageUUID"].is_string()), (&json!("u"), true));
    // The answer of a model that says a lot comes in pieces, and whole.
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("large", "")]);
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    client.send(&json!([text("large", "l")])).await;
    assert_eq!(client.next().await["data"][0]["text"].as_str().unwrap().len(), 20 << 20);
}
