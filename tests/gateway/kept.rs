//! Videos and responses that are kept: each tenant's own, in bounds, with bad questions refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Gateway, client, json as read};

async fn call(gateway: &Gateway, tenant: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
    let request = client().request(method, format!("{}/v1/{path}", gateway.public)).header("x-fairflow-tenant", tenant);
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), read(response).await)
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
