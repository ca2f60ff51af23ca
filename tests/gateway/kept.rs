//! Videos and responses that are kept: each tenant's own, in bounds, with bad questions refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::dialects::before;
use crate::fake::{Fake, Reply};
use crate::support::{Gateway, client, eventually, json as read};

async fn call(gateway: &Gateway, tenant: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
    let request = client().request(method, format!("{}/v1/{path}", gateway.public)).header("x-fairflow-tenant", tenant);
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), read(response).await)
}

/// Asks tenant `a` of a gateway for a response, whole or as the end of a stream.
async fn respond(gateway: &Gateway, body: Value) -> Value {
    let request = client().post(format!("{}/v1/responses", gateway.public)).header("x-fairflow-tenant", "a");
    let response = request.json(&body).send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    let last = text.lines().rev().find_map(|line| line.strip_prefix("data: ").filter(|data| data.starts_with('{')));
    match last {
        Some(last) => serde_json::from_str::<Value>(last).unwrap()["response"].take(),
        None => serde_json::from_str(&text).unwrap(),
    }
}

#[tokio::test]
async fn what_is_kept_is_its_tenants_own_and_bounded() {
    let sim = "[jobs]\ntenant_most = 3\n[providers.s]\nkind = \"sim\"\nsim = { service = \"5ms\" }\n";
    let gateway = Gateway::start("", &format!("{sim}[models.m]\nroutes = [{{ provider = \"s\" }}]\n"));
    let (get, delete, post) = (Method::GET, Method::DELETE, Method::POST);
    let mut ids = Vec::new();
    for n in 0..5 {
        let body = json!({"model": "m", "input": format!("turn {n}")});
        let (status, answer) = call(&gateway, "a", post.clone(), "responses", body).await;
        assert_eq!(status, 200, "{answer}");
        ids.push(format!("responses/{}", answer["id"].as_str().unwrap()));
    }
    for (index, id) in ids.iter().enumerate() {
        let (status, answer) = call(&gateway, "a", get.clone(), id, Value::Null).await;
        assert_eq!(status, if index < 2 { 404 } else { 200 }, "the newest three are kept: {answer}");
        assert_eq!(call(&gateway, "b", get.clone(), id, Value::Null).await.0, 404);
        assert_eq!(call(&gateway, "b", delete.clone(), id, Value::Null).await.0, 404);
    }
    let (status, answer) = call(&gateway, "a", get.clone(), &format!("{}?stream=true", ids[4]), Value::Null).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("stream")));
    let deleted = call(&gateway, "a", delete.clone(), &ids[4], Value::Null).await;
    assert_eq!((deleted.0, &deleted.1["deleted"]), (200, &json!(true)));
    assert_eq!(call(&gateway, "a", get.clone(), &ids[4], Value::Null).await.0, 404);

    for (path, param) in [
        ("videos?limit=0", "limit"),
        ("videos?order=up", "order"),
        ("videos?after=none", "after"),
        ("videos?limit=%", "limit"),
    ] {
        let (status, answer) = call(&gateway, "a", get.clone(), path, Value::Null).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)), "{path}: {answer}");
    }
    let long = json!({"model": "m", "prompt": "x".repeat(70_000)});
    let (status, answer) = call(&gateway, "a", post.clone(), "videos", long).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("prompt")));
    assert_eq!(call(&gateway, "a", post, "videos", json!({"model": "m", "prompt": "x"})).await.0, 200);
    let (_, listed) = call(&gateway, "a", get.clone(), "videos", Value::Null).await;
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["has_more"]), (1, &json!(false)));
    let (_, listed) = call(&gateway, "b", get, "videos", Value::Null).await;
    assert_eq!(listed, json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false}));
}

#[tokio::test]
async fn what_a_provider_keeps_is_forgotten_there_first() {
    let sim = "[providers.s]\nkind = \"sim\"\nsim = { service = \"5ms\" }\n";
    let far = Gateway::start("", &format!("{sim}[models.m]\nroutes = [{{ provider = \"s\" }}]\n"));
    let there = format!("[providers.there]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n", far.public);
    let near = Gateway::start("", &format!("{there}[models.m]\nroutes = [{{ provider = \"there\" }}]\n"));
    let (get, delete, post) = (Method::GET, Method::DELETE, Method::POST);
    for stream in [false, true] {
        let body = json!({"model": "m", "input": "hi", "stream": stream});
        let answer = respond(&near, body).await;
        let id = answer["id"].as_str().unwrap();
        let path = format!("responses/{id}");
        for (gateway, tenant) in [(&near, "a"), (&far, "default")] {
            assert_eq!(call(gateway, tenant, get.clone(), &path, Value::Null).await.0, 200, "{answer}");
        }
        assert_eq!(call(&near, "b", delete.clone(), &path, Value::Null).await.0, 404);
        assert_eq!(
            call(&far, "default", get.clone(), &path, Value::Null).await.0,
            200,
            "a stranger's word changes nothing"
        );
        let (status, answer) = call(&near, "a", delete.clone(), &path, Value::Null).await;
        assert_eq!((status, &answer["deleted"]), (200, &json!(true)), "{answer}");
        for (gateway, tenant) in [(&near, "a"), (&far, "default")] {
            assert_eq!(call(gateway, tenant, get.clone(), &path, Value::Null).await.0, 404);
        }
    }
    // Who has forgotten it already is content; who cannot be reached is asked again later.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (_, answer) = call(&near, "a", post.clone(), "responses", json!({"model": "m", "input": "hi"})).await;
        ids.push(format!("responses/{}", answer["id"].as_str().unwrap()));
    }
    assert_eq!(call(&far, "default", delete.clone(), &ids[0], Value::Null).await.0, 200);
    assert_eq!(call(&near, "a", delete.clone(), &ids[0], Value::Null).await.0, 200);
    drop(far);
    let (status, answer) = call(&near, "a", delete, &ids[1], Value::Null).await;
    assert_eq!(status, 503, "{answer}");
    assert_eq!(call(&near, "a", get, &ids[1], Value::Null).await.0, 200, "it is kept until it is forgotten there");
}

#[tokio::test]
async fn a_conversation_goes_on_at_whichever_account_takes_its_next_turn() {
    let sim =
        "[providers.s]\nkind = \"sim\"\nsim = { service = \"5ms\" }\n[models.m]\nroutes = [{ provider = \"s\" }]\n";
    let (one, other) = (Gateway::start("", sim), Gateway::start("", sim));
    let account = |name, far: &Gateway| {
        format!("[providers.{name}]\nkind = \"openai\"\nbase_url = \"{}/v1\"\nmax_in_flight = 1\n", far.public)
    };
    let routes = "[models.m]\nroutes = [{ provider = \"one\" }, { provider = \"other\" }]\n";
    let near = Gateway::start("", &[account("one", &one), account("other", &other), routes.to_owned()].concat());
    let talk = async |stream: bool| {
        let (mut previous, mut read) = (Value::Null, 0);
        for turn in 0..8 {
            let body =
                json!({"model": "m", "input": "Tell me more.", "stream": stream, "previous_response_id": previous});
            let mut answer = respond(&near, body).await;
            let tokens = answer["usage"]["input_tokens"].as_u64().unwrap();
            assert!(tokens > read, "turn {turn} has read {tokens} tokens, the one before {read}");
            (previous, read) = (answer["id"].take(), tokens);
        }
    };
    // Two at a time, so that both accounts have a part in each.
    tokio::join!(talk(false), talk(true), talk(false));
    for far in [&one, &other] {
        let metrics = client().get(format!("{}/metrics", far.admin)).send().await.unwrap().text().await.unwrap();
        let served = metrics.lines().find_map(|line| line.strip_prefix("fairflow_requests_total")?.rsplit(' ').next());
        assert!(served.is_some_and(|served| served != "0"), "both take turns: {metrics}");
    }
}

/// A provider whose responses are made in the background: done when they were asked about `after` times.
async fn maker(after: usize) -> Fake {
    let answer = |status: &str, text: Value| {
        let output =
            json!([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]);
        let output = if text.is_null() { json!([]) } else { output };
        json!({"id": "resp_1", "object": "response", "status": status, "background": true, "output": output,
            "usage": {"input_tokens": 3, "output_tokens": 4}})
    };
    Fake::start(move |_, ask, nth| match (ask.method.as_str(), ask.path.as_str()) {
        ("POST", "/v1/responses") => Reply::Json(200, answer("queued", Value::Null)),
        ("GET", "/v1/responses/resp_1") if nth < after => Reply::Json(200, answer("in_progress", Value::Null)),
        ("GET", "/v1/responses/resp_1") => Reply::Json(200, answer("completed", "done".into())),
        ("POST", "/v1/responses/resp_1/cancel") => Reply::Json(200, answer("cancelled", Value::Null)),
        _ => Reply::Json(404, json!({"error": {"message": "no such thing"}})),
    })
    .await
}

/// Waits until capacity shows that a slot of the model is taken.
async fn held(gateway: &Gateway) {
    eventually("a slot is taken", async || {
        let answer = read(client().get(format!("{}/v1/capacity/m", gateway.public)).send().await.unwrap()).await;
        answer["models"][0]["inFlight"] == 1
    })
    .await;
}

#[tokio::test]
async fn a_background_response_is_asked_for_where_it_is_made() {
    let fake = maker(5).await;
    let gateway = before(&fake, "openai", "up");
    let body = json!({"model": "m", "input": "hi", "background": true});
    let (status, begun) = call(&gateway, "a", Method::POST, "responses", body.clone()).await;
    assert_eq!((status, &begun["status"]), (200, &json!("queued")));
    held(&gateway).await;
    let get = || call(&gateway, "a", Method::GET, "responses/resp_1", Value::Null);
    assert_eq!(get().await.1["status"], "in_progress");
    assert_eq!(call(&gateway, "b", Method::GET, "responses/resp_1", Value::Null).await.0, 404);
    while get().await.1["status"] != "completed" {}
    assert_eq!(get().await.1["output"][0]["content"][0]["text"], "done");
    let asked = fake.count("GET", "/v1/responses/resp_1");
    get().await;
    assert_eq!(fake.count("GET", "/v1/responses/resp_1"), asked, "what has ended is asked for no more");
    gateway.at_rest("m").await;

    let fake = maker(usize::MAX).await;
    let gateway = before(&fake, "openai", "up");
    call(&gateway, "a", Method::POST, "responses", body).await;
    let cancel = "responses/resp_1/cancel";
    assert_eq!(call(&gateway, "b", Method::POST, cancel, json!({})).await.0, 404);
    for _ in 0..2 {
        let (status, answer) = call(&gateway, "a", Method::POST, cancel, json!({})).await;
        assert_eq!((status, &answer["status"]), (200, &json!("cancelled")));
    }
    assert_eq!(fake.count("POST", "/v1/responses/resp_1/cancel"), 1);
    gateway.at_rest("m").await;
}

#[tokio::test]
async fn a_background_response_that_nobody_can_make_is_refused_by_name() {
    let sim = "[providers.s]\nkind = \"sim\"\n[models.m]\nroutes = [{ provider = \"s\" }]\n";
    let gateway = Gateway::start("", sim);
    let body = json!({"model": "m", "input": "hi", "background": true});
    let (status, answer) = call(&gateway, "a", Method::POST, "responses", body).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("background")), "{answer}");
    let body = json!({"model": "m", "input": "hi", "background": false});
    assert_eq!(call(&gateway, "a", Method::POST, "responses", body).await.0, 200);
}
