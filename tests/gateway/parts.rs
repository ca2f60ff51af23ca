//! What Runware's callers hear when a part of what they asked for is made, and tasks as other languages write them.

use serde_json::{Value, json};

use crate::client::Client;
use crate::fake::{Fake, Reply};
use crate::lab::post;
use crate::support::{Gateway, json as read};
use crate::webhooks::{SIM, receiver, wait};

/// Starts a gateway with a model `m` at a provider of Runware's kind, which posts webhooks to loopback.
fn before(fake: &Fake) -> Gateway {
    let provider = format!("[providers.p]\nkind = \"runware\"\nbase_url = \"{}/v1\"\n", fake.url);
    let model = "[models.m]\nroutes = [{ provider = \"p\" }]\n[webhooks]\nhosts = [\"127.0.0.1\"]\n";
    Gateway::start("", &(provider + model))
}

/// A provider that makes three of four images; the last fails.
async fn three_of_four() -> Fake {
    Fake::start(|_, ask, _| {
        let uuid = &ask.body[0]["taskUUID"];
        let image = |id: &str| json!({"taskType": "imageInference", "taskUUID": uuid, "imageUUID": id, "imageURL": "https://x"});
        let error = json!({"code": "invalidProviderContent", "message": "not allowed", "taskUUID": uuid});
        Reply::Json(200, json!({"data": [image("a"), image("b"), image("c")], "errors": [error]}))
    })
    .await
}

fn four(uuid: &str, more: Value) -> Value {
    let mut task = json!({"taskType": "imageInference", "taskUUID": uuid, "model": "m", "positivePrompt": "x",
        "width": 512, "height": 512, "numberResults": 4});
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([task])
}

#[tokio::test]
async fn what_was_made_is_delivered_with_the_error_beside_it_in_every_way() {
    let fake = three_of_four().await;
    let (port, taken) = receiver(&[]).await;
    let gateway = before(&fake);
    let failed = |error: &Value, uuid: &str| {
        assert_eq!((&error["code"], &error["taskUUID"]), (&json!("invalidProviderContent"), &json!(uuid)), "{error}");
    };
    let rest = post(&gateway, "/v1", &four("r", json!({})), &[]).await;
    assert_eq!(rest.status(), 200);
    let rest = read(rest).await;
    assert_eq!(rest["data"].as_array().unwrap().len(), 3);
    failed(&rest["errors"][0], "r");
    // Asked for later it is the same.
    let asked = read(post(&gateway, "/v1", &json!([{"taskType": "getResponse", "taskUUID": "r"}]), &[]).await).await;
    assert_eq!((asked["data"].as_array().unwrap().len(), &asked["data"][2]["status"]), (3, &json!("success")));
    failed(&asked["errors"][0], "r");
    // Over the socket in frames of their own.
    let (mut client, _) = Client::open(&gateway, "k", None).await;
    client.send(&four("s", json!({}))).await;
    let (made, error) = (client.next().await, client.next().await);
    assert_eq!((made["data"].as_array().unwrap().len(), made.get("errors")), (3, None));
    assert_eq!((error["errors"].as_array().unwrap().len(), error.get("data")), (1, None));
    failed(&error["errors"][0], "s");
    // Each posted by itself.
    let place = format!("http://127.0.0.1:{port}/");
    post(&gateway, "/v1", &four("w", json!({"webhookURL": place})), &[]).await;
    let posted: Vec<Value> =
        wait(&taken, 4).await.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    let made = posted.iter().filter(|body| body["data"][0]["imageURL"].is_string()).count();
    assert_eq!((posted.len(), made), (4, 3));
    failed(posted.iter().find_map(|body| body.pointer("/errors/0")).unwrap(), "w");
}

#[tokio::test]
async fn nulls_are_absent_and_whole_numbers_are_whole_however_they_are_written() {
    let fake = Fake::start(|_, ask, _| {
        let uuid = &ask.body[0]["taskUUID"];
        Reply::Json(200, json!({"data": [{"taskUUID": uuid, "imageUUID": "i", "imageURL": "https://x"}]}))
    })
    .await;
    let gateway = before(&fake);
    let odd = json!({"deliveryMethod": null, "negativePrompt": null, "webhookURL": null, "numberResults": 1.0, "width": 512.0,
        "steps": 2e1, "CFGScale": 7.5, "settings": {"seed": 3.0, "other": null}});
    let answer = post(&gateway, "/v1", &four("odd", odd), &[]).await;
    assert_eq!(answer.status(), 200);
    let sent = fake.asks()[0].body[0].clone();
    assert_eq!(
        (&sent["width"], &sent["steps"], &sent["CFGScale"], &sent["settings"]),
        (&json!(512), &json!(20), &json!(7.5), &json!({"seed": 3}))
    );
    assert!(sent.get("negativePrompt").is_none() && sent["deliveryMethod"] == "sync");
    // It is the same task, so it is not made again.
    let plain = json!({"numberResults": 1, "steps": 20, "CFGScale": 7.5, "settings": {"seed": 3}});
    assert_eq!(post(&gateway, "/v1", &four("odd", plain), &[]).await.status(), 200);
    assert_eq!(fake.asks().len(), 1);
    let refused = read(post(&gateway, "/v1", &four("half", json!({"steps": 2.5})), &[]).await).await;
    assert_eq!(refused["errors"][0]["parameter"], "steps");
}

#[tokio::test]
async fn a_key_alone_is_answered_and_one_before_tasks_is_not_in_the_way() {
    let gateway = Gateway::start(
        "auth = \"keys\"",
        &format!(
            "{SIM}[tenants.acme]\napi_keys = [\"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"]\n"
        ),
    );
    let hello = |key: &str| json!({"taskType": "authentication", "apiKey": key});
    let answer = post(&gateway, "/v1", &json!([hello("abc")]), &[]).await;
    assert_eq!(answer.status(), 200);
    let answer = read(answer).await;
    let item = &answer["data"][0];
    assert_eq!((answer.as_object().unwrap().len(), &item["taskType"]), (1, &json!("authentication")));
    assert!(item["connectionSessionUUID"].is_string());
    let answer = post(&gateway, "/v1", &json!([hello("wrong")]), &[]).await;
    assert_eq!(answer.status(), 401);
    let mut tasks = four("t", json!({"model": "fast", "numberResults": 1}));
    tasks.as_array_mut().unwrap().insert(0, hello("abc"));
    let answer = read(post(&gateway, "/v1", &tasks, &[]).await).await;
    assert_eq!((answer["data"].as_array().unwrap().len(), &answer["data"][0]["taskUUID"]), (1, &json!("t")));
}
