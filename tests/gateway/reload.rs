//! A new configuration while the gateway runs: by SIGHUP, and by a change of the file.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{CHAT, chat};
use crate::support::{Gateway, client, json as read};

fn with(models: &[&str]) -> String {
    let models: Vec<String> =
        models.iter().map(|name| format!("[models.{name}]\nroutes = [{{ provider = \"sim\" }}]\n")).collect();
    format!("[providers.sim]\nkind = \"sim\"\nsim = {{ service = \"20ms\" }}\n{}", models.concat())
}

async fn models(gateway: &Gateway) -> Vec<String> {
    let answer = read(client().get(format!("{}/v1/models", gateway.public)).send().await.unwrap()).await;
    let names = answer["data"].as_array().unwrap().iter();
    names.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

async fn becomes(gateway: &Gateway, wanted: &[&str]) {
    for _ in 0..500 {
        if models(gateway).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {wanted:?}: {:?}", models(gateway).await);
}

#[tokio::test]
async fn a_signal_and_a_changed_file_are_taken_over_and_what_is_wrong_is_not() {
    let gateway = Gateway::start("", &with(&["a"]));
    gateway.rewrite(&with(&["a", "b"]));
    gateway.signal("HUP");
    becomes(&gateway, &["a", "b"]).await;
    gateway.rewrite("[models.c]\nroutes = []\n");
    gateway.signal("HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(models(&gateway).await, ["a", "b"], "a bad one changes nothing");
    gateway.rewrite(&with(&["b"]));
    becomes(&gateway, &["b"]).await;
}

#[tokio::test]
async fn reloads_under_load_lose_no_request() {
    let gateway = Gateway::start("", &with(&["a"]));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("a").to_string());
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                for _ in 0..15 {
                    statuses.push(request.try_clone().unwrap().send().await.unwrap().status().as_u16());
                }
                statuses
            })
        })
        .collect();
    for round in 0..20 {
        let models = if round % 2 == 0 { with(&["a", "b"]) } else { with(&["a"]) };
        // Each round the provider is reached otherwise too, so that the route is rewired.
        gateway.rewrite(&models.replace("20ms", &format!("2{}ms", round % 7)));
        gateway.signal("HUP");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    for call in calls {
        assert!(call.await.unwrap().iter().all(|status| *status == 200));
    }
    let capacity: Value = read(client().get(format!("{}/v1/capacity/a", gateway.public)).send().await.unwrap()).await;
    assert!(capacity["models"][0]["window"].as_u64().unwrap() >= 4, "{capacity}");
}
