//! The admin port: its key, its view of the configuration, and its orders.

use serde_json::{Value, json};

use crate::lab::{CHAT, Lab, chat, post};
use crate::support::{Gateway, client, json as read};

async fn order(gateway: &Gateway, model: &str, order: Value) -> (u16, Value) {
    let url = format!("{}/admin/models/{model}", gateway.admin);
    let response = client().post(url).body(order.to_string()).send().await.unwrap();
    (response.status().as_u16(), read(response).await)
}

async fn route(gateway: &Gateway, model: &str) -> Value {
    let url = format!("{}/v1/capacity/{model}", gateway.public);
    read(client().get(url).send().await.unwrap()).await["models"][0]["routes"][0].clone()
}

async fn becomes(gateway: &Gateway, model: &str, field: &str, value: Value) {
    for _ in 0..200 {
        if route(gateway, model).await[field] == value {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{field} is never {value}: {}", route(gateway, model).await);
}

#[tokio::test]
async fn an_operator_pauses_and_pins() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "queue = { max_wait = \"5s\" }")]);
    let (status, answer) = order(&gateway, "ok", json!({"action": "pause"})).await;
    assert_eq!((status, answer), (200, json!({"model": "ok", "paused": true, "pinnedWindow": null})));
    becomes(&gateway, "ok", "state", "paused".into()).await;
    // It may wait, but is not served.
    let hurry = [("x-fairflow-max-wait", "100")];
    let refused = post(&gateway, CHAT, &chat("ok"), &hurry).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["x-fairflow-reason"]),
        (504, &"queue_timeout".parse().unwrap())
    );
    let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("ok").to_string());
    let waiting = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
    let (_, answer) = order(&gateway, "ok", json!({"action": "pin", "window": 9})).await;
    assert_eq!(answer, json!({"model": "ok", "paused": true, "pinnedWindow": 9}), "orders add up");
    becomes(&gateway, "ok", "window", 9.into()).await;
    assert_eq!(lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(order(&gateway, "ok", json!({"action": "resume"})).await.0, 200);
    assert_eq!(waiting.await.unwrap(), 200, "served after the pause");
    becomes(&gateway, "ok", "state", "open".into()).await;
    assert_eq!(route(&gateway, "ok").await["window"], 9);
    let (_, answer) = order(&gateway, "ok", json!({"action": "unpin"})).await;
    assert_eq!(answer["pinnedWindow"], Value::Null);
    for (model, body, status, says) in [
        ("no", json!({"action": "pause"}), 404, "no"),
        ("ok", json!({"action": "stop"}), 400, "not \"stop\""),
        ("ok", json!({"action": "pin"}), 400, "`window`"),
        ("ok", json!({"action": "pin", "window": 0}), 400, "`window`"),
        ("ok", json!({"action": "pause", "window": 1}), 400, "`window`"),
        ("ok", json!({"action": "pause", "for": 1}), 400, "for"),
        ("ok", json!([]), 400, "`body`"),
    ] {
        let (got, answer) = order(&gateway, model, body.clone()).await;
        assert_eq!(got, status, "{body}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(says), "{answer}");
    }
}

#[tokio::test]
async fn the_admin_key_is_asked_for() {
    let lab = Lab::start();
    let gateway = lab.gateway("admin_key = { value = \"hunter2\" }", &[("ok", "")]);
    for (method, path) in
        [("GET", "/metrics"), ("GET", "/admin/config"), ("POST", "/admin/models/ok"), ("POST", "/admin/drain")]
    {
        for key in [None, Some("Bearer hunter"), Some("hunter2")] {
            let request = client().request(method.parse().unwrap(), format!("{}{path}", gateway.admin));
            let request = key.into_iter().fold(request, |request, key| request.header("authorization", key));
            let response = request.body(r#"{"action":"pause"}"#).send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} {key:?}");
            assert_eq!(read(response).await["error"]["code"], "invalid_api_key");
        }
    }
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(client().get(format!("{}{path}", gateway.admin)).send().await.unwrap().status(), 200);
    }
    let config = client().get(format!("{}/admin/config", gateway.admin)).header("authorization", "Bearer hunter2");
    let config = read(config.send().await.unwrap()).await;
    assert!(!config.to_string().contains("hunter2"), "{config}");
    assert_eq!(config["models"]["ok"]["retry"]["base"], "10ms");
    assert_eq!(config["tenants"]["single"]["max_queued"], 1);
    // The admin port is not the public one, and the other way round.
    assert_eq!(client().get(format!("{}/v1/models", gateway.admin)).send().await.unwrap().status(), 404);
    assert_eq!(client().get(format!("{}/admin/config", gateway.public)).send().await.unwrap().status(), 404);
}
