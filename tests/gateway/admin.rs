//! The admin port: its key, its view of the configuration, and its orders.

use serde_json::{Value, json};

use crate::lab::{CHAT, Lab, chat, post};
use crate::support::{Gateway, client, eventually, found, json as read};

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
    eventually(&format!("{field} is {value}"), async || route(gateway, model).await[field] == value).await;
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
    let config = read(client().get(format!("{}/admin/config", gateway.admin)).send().await.unwrap()).await;
    assert_eq!(config["operator"], json!({"ok": {"paused": false, "pinnedWindow": 9}}), "what stands beside the file");
    let (_, answer) = order(&gateway, "ok", json!({"action": "unpin"})).await;
    assert_eq!(answer["pinnedWindow"], Value::Null);
    assert_eq!(order(&gateway, "ok", json!({"action": "release"})).await.0, 200);
    for (model, body, status, says) in [
        ("ok", json!({"action": "release", "window": 1}), 400, "`window`"),
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
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/admin/config"),
        ("GET", "/admin/overview"),
        ("GET", "/admin/models/ok"),
        ("GET", "/admin/tenants?model=ok"),
        ("POST", "/admin/models/ok"),
        ("POST", "/admin/drain"),
    ] {
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

#[tokio::test]
async fn the_dashboard_is_served_and_told() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    let get = |path: &str| client().get(format!("{}{path}", gateway.admin)).header("origin", "http://evil.example");
    let page = get("/").send().await.unwrap();
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((page.status().as_u16(), &*header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(header("content-security-policy").starts_with("default-src 'self'; "));
    assert_eq!((&*header("x-content-type-options"), &*header("cache-control")), ("nosniff", "no-cache"));
    assert!(page.headers().get("access-control-allow-origin").is_none(), "no other page may read");
    let again = get("/").header("if-none-match", header("etag")).send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.text().await.unwrap().len()), (304, 0));
    assert_eq!(get("/assets/vendor/uPlot.iife.min.js").send().await.unwrap().status(), 200);
    assert_eq!(get("/assets/../Cargo.toml").send().await.unwrap().status(), 404);

    assert_eq!(read(get("/admin/overview").send().await.unwrap()).await["requests"], 0);
    let tenant = [("x-fairflow-tenant", "acme")];
    assert_eq!(post(&gateway, CHAT, &chat("ok"), &tenant).await.status(), 200);
    let overview = found("the request is counted", async || {
        Some(read(get("/admin/overview").send().await.unwrap()).await).filter(|overview| overview["requests"] == 1)
    })
    .await;
    assert_eq!(overview["models"][0]["model"], "ok");
    assert_eq!(format!("http://{}", overview["public"].as_str().unwrap()), gateway.public);
    let detail = read(get("/admin/models/ok").send().await.unwrap()).await;
    assert_eq!((&detail["attempts"]["success"], &detail["capacity"]["model"]), (&json!(1), &json!("ok")));
    let columns = &detail["history"];
    assert!(!columns["at"].as_array().unwrap().is_empty(), "there at once, before any page was open");
    assert_eq!(columns["at"].as_array().unwrap().len(), columns["p99"].as_array().unwrap().len());
    let later = read(get(&format!("/admin/models/ok?since={}", u32::MAX)).send().await.unwrap()).await;
    assert_eq!(later["history"]["at"], json!([]));
    let tenants = read(get("/admin/tenants?model=ok&search=x&sort=share&limit=3").send().await.unwrap()).await;
    assert_eq!(tenants["tenants"], json!([]));
    for (path, status, says) in [
        ("/admin/models/no", 404, "no"),
        ("/admin/tenants?model=no", 404, "no"),
        ("/admin/tenants", 400, "model"),
        ("/admin/tenants?model=ok&sort=size", 400, "size"),
        ("/admin/overview?until=3", 400, "until"),
    ] {
        let answer = get(path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert!(read(answer).await["error"]["message"].as_str().unwrap().contains(says), "{path}");
    }
}

#[tokio::test]
async fn other_web_pages_neither_read_nor_act() {
    let lab = Lab::start();
    let gateway = lab.gateway("", &[("ok", "")]);
    let host = gateway.admin.strip_prefix("http://").unwrap();
    for (path, name, value, status) in [
        ("/admin/models/ok", "origin", "http://evil.example", 403),
        ("/admin/models/ok", "sec-fetch-site", "cross-site", 403),
        ("/admin/drain", "origin", "null", 403),
        ("/admin/models/ok", "host", "rebound.example", 403),
        ("/admin/models/ok", "origin", &gateway.admin, 200),
        ("/admin/models/ok", "host", host, 200),
    ] {
        let request = client().post(format!("{}{path}", gateway.admin)).header(name, value);
        let answer = request.body(r#"{"action":"pause"}"#).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path} {name}: {value}");
        assert_eq!(
            answer.headers().get("x-fairflow-reason").is_some_and(|reason| reason == "foreign_page"),
            status == 403
        );
    }
    let rebound = client().get(format!("{}/admin/overview", gateway.admin)).header("host", "rebound.example");
    assert_eq!(rebound.send().await.unwrap().status(), 403);
    assert_eq!(
        client().get(format!("{}/health/ready", gateway.admin)).send().await.unwrap().text().await.unwrap(),
        "ok"
    );
}
