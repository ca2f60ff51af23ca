//! Tenants on one Runware account: a `taskUUID` is each tenant's own, and after a restart the same task is the same there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use crate::fake::{Fake, Reply};
use crate::support::{Gateway, client, found, json as read};

/// How often each `taskUUID` was submitted, with its prompt.
type Seen = Arc<Mutex<HashMap<String, (usize, String)>>>;

/// Answers as the service does: a `taskUUID` is used once; a video is done when it was submitted twice.
fn answer(seen: &Seen, task: &Value) -> Value {
    let uuid = task["taskUUID"].as_str().unwrap_or_default();
    let mut seen = seen.lock().unwrap();
    let item = |more: Value| {
        let mut item = json!({"taskType": "x", "taskUUID": uuid, "request": {"taskUUID": uuid}});
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"data": [item]})
    };
    match task["taskType"].as_str() {
        Some("authentication") => json!({"data": [{"taskType": "authentication", "connectionSessionUUID": "s"}]}),
        Some("getResponse") => match &seen[uuid] {
            (1, _) => json!({"data": [{"taskType": "videoInference", "taskUUID": uuid, "status": "processing"}]}),
            (_, prompt) => {
                item(json!({"status": "success", "videoUUID": "v", "videoURL": format!("https://x/{prompt}")}))
            }
        },
        Some(kind) => {
            let prompt = task["positivePrompt"].as_str().unwrap().to_owned();
            let (times, known) = seen.entry(uuid.to_owned()).or_insert((0, prompt.clone()));
            *times += 1;
            if *times > 1 {
                return json!({"errors": [{"code": "conflictTaskUUID", "message": "used", "taskUUID": uuid}]});
            }
            match kind {
                "videoInference" => json!({"data": [{"taskType": "videoInference", "taskUUID": uuid}]}),
                _ => item(json!({"imageUUID": "i", "imageURL": format!("https://x/{known}")})),
            }
        }
        None => json!({"data": []}),
    }
}

/// Starts a service that speaks one of its transports; returns its address.
async fn service(transport: &str, seen: Seen) -> (String, Option<Fake>) {
    if transport == "rest" {
        let fake = Fake::start(move |_, ask, _| {
            let said = answer(&seen, &ask.body[0]);
            Reply::Json(if said.get("errors").is_some() { 400 } else { 200 }, said)
        })
        .await;
        return (format!("{}/v1", fake.url), Some(fake));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(Message::Text(text))) = stream.next().await {
                    for task in serde_json::from_str::<Vec<Value>>(text.as_str()).unwrap() {
                        stream.send(Message::text(answer(&seen, &task).to_string())).await.unwrap();
                    }
                }
            });
        }
    });
    (url, None)
}

async fn ask(gateway: &Gateway, tenant: &str, task: Value) -> Value {
    let request = client().post(format!("{}/v1", gateway.public)).header("x-fairflow-tenant", tenant);
    read(request.json(&json!([task])).send().await.unwrap()).await
}

#[tokio::test]
async fn one_uuid_of_two_tenants_is_two_tasks_there_and_the_same_after_a_restart() {
    for transport in ["rest", "websocket"] {
        let seen = Seen::default();
        let (url, _fake) = service(transport, seen.clone()).await;
        let start = || {
            Gateway::start(
                "",
                &format!(
                    "[providers.p]\nkind = \"runware\"\nbase_url = \"{url}\"\ntransport = \"{transport}\"\n\
                     poll = {{ initial = \"10ms\", max = \"20ms\" }}\n[models.m]\nroutes = [{{ provider = \"p\" }}]\n"
                ),
            )
        };
        let gateway = start();
        let image = |prompt: &str| json!({"taskType": "imageInference", "taskUUID": "U", "model": "m", "positivePrompt": prompt});
        for tenant in ["a", "b"] {
            let said = ask(&gateway, tenant, image(tenant)).await;
            let item = &said["data"][0];
            assert_eq!(item["imageURL"], format!("https://x/{tenant}"), "{transport}: {said}");
            assert_eq!((&item["taskUUID"], &item["request"]["taskUUID"]), (&json!("U"), &json!("U")));
        }
        assert_eq!(seen.lock().unwrap().len(), 2);

        let video = |prompt: &str| json!({"taskType": "videoInference", "taskUUID": "V", "model": "m", "positivePrompt": prompt});
        for tenant in ["a", "b"] {
            let said = ask(&gateway, tenant, video(tenant)).await;
            assert_eq!(said, json!({"data": [{"taskType": "videoInference", "taskUUID": "V"}]}), "{transport}");
        }
        drop(gateway);
        let gateway = start();
        for tenant in ["a", "b"] {
            ask(&gateway, tenant, video(tenant)).await;
            let item = found("the video", async || {
                let said = ask(&gateway, tenant, json!({"taskType": "getResponse", "taskUUID": "V"})).await;
                let item = said["data"][0].clone();
                assert!(item.is_object(), "{transport}: {said}");
                Some(item).filter(|item| item["status"] == "success")
            })
            .await;
            assert_eq!((&item["taskUUID"], &item["videoURL"]), (&json!("V"), &json!(format!("https://x/{tenant}"))));
        }
        let times: Vec<usize> =
            seen.lock().unwrap().values().map(|(times, _)| *times).filter(|times| *times == 2).collect();
        assert_eq!(times, [2, 2], "{transport}: resumed under the names they had");
    }
}
