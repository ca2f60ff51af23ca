//! What was learned is there after a restart.

use serde_json::Value;

use crate::lab::{CHAT, chat};
use crate::support::{Gateway, client, found, json as read};

/// Returns the window, once a snapshot tells it.
async fn window(gateway: &Gateway) -> u64 {
    found("a snapshot tells of a window", async || {
        let answer = client().get(format!("{}/v1/capacity/m", gateway.public)).send().await.unwrap();
        read(answer).await["models"][0]["window"].as_u64().filter(|window| *window > 0)
    })
    .await
}

#[tokio::test]
async fn a_learned_window_survives_a_restart() {
    let file = std::env::temp_dir().join(format!("fairflow-state-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let server = format!("state = {:?}", file.display().to_string());
    // A long service, so that no level of the window looks slower than another by chance.
    let models = "[providers.sim]\nkind = \"sim\"\nsim = { capacity = 20, service = \"100ms\", sigma = 0.0 }\n\
        [models.m]\nroutes = [{ provider = \"sim\" }]\n";
    let mut gateway = Gateway::start(&server, models);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("m").to_string());
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    let learned = window(&gateway).await;
    assert!(learned > 4, "{learned}");
    gateway.terminate();
    assert!(gateway.ended().await, "it ends");
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let kept = kept["models"]["m"][0]["window"].as_u64().unwrap();
    assert!(kept > 4, "{kept} of {learned}");
    let gateway = Gateway::start(&server, models);
    assert_eq!(window(&gateway).await, kept);
    std::fs::write(&file, "no json").unwrap();
    let cold = Gateway::start(&server, models);
    assert_eq!(window(&cold).await, 4, "a file that cannot be read means a cold start");
    let _ = std::fs::remove_file(&file);
}

/// Returns the rate that the only route has learned, once a snapshot tells it.
async fn rate(gateway: &Gateway) -> f64 {
    found("a snapshot tells of a rate", async || {
        let answer = client().get(format!("{}/v1/capacity/m", gateway.public)).send().await.unwrap();
        read(answer).await["models"][0]["routes"][0]["learnedRate"].as_f64()
    })
    .await
}

#[tokio::test]
async fn a_learned_rate_survives_a_restart_unless_it_is_old() {
    let file = std::env::temp_dir().join(format!("fairflow-rates-{}.json", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let server = format!("state = {:?}", file.display().to_string());
    let models = "[providers.sim]\nkind = \"sim\"\n\
        sim = { capacity = 200, service = \"20ms\", sigma = 0.0, requests_per_minute = 600, headers = false }\n\
        [models.m]\nroutes = [{ provider = \"sim\" }]\nwindow = { initial = 100 }\nretry = { base = \"100ms\", budget = 1.0 }\n";
    let mut gateway = Gateway::start(&server, models);
    let calls: Vec<_> = (0..80)
        .map(|_| {
            let request = client().post(format!("{}{CHAT}", gateway.public)).body(chat("m").to_string());
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        })
        .collect();
    let learned = rate(&gateway).await;
    assert!(learned > 0.0, "{learned}");
    calls.iter().for_each(|call| call.abort());
    gateway.terminate();
    assert!(gateway.ended().await, "it ends");
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let kept = kept["models"]["m"][0]["rate"].as_f64().unwrap();
    let mut gateway = Gateway::start(&server, models);
    assert_eq!(rate(&gateway).await, kept, "known before anything was sent");
    gateway.terminate();
    assert!(gateway.ended().await, "it ends");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(state["models"]["m"][0]["rate"], kept, "written again although nothing was sent");
    state["written"] = 1_000_000_000.into();
    std::fs::write(&file, state.to_string()).unwrap();
    let cold = Gateway::start(&server, models);
    assert_eq!(window(&cold).await, 100);
    let answer = client().get(format!("{}/v1/capacity/m", cold.public)).send().await.unwrap();
    assert_eq!(read(answer).await["models"][0]["routes"][0]["learnedRate"], Value::Null, "too old to be believed");
    let _ = std::fs::remove_file(&file);
}
