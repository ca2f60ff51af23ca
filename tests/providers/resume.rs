//! A generation that has a name outlives the process that asked for it.

use std::future::IntoFuture;
use std::path::PathBuf;

use fairflow::task::{ImageInference, VideoInference};
use serde_json::json;

use crate::fake::{Fake, Reply, engine};

fn place(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fairflow-resume-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join("handles.jsonl")
}

#[test]
fn a_named_generation_is_taken_up_after_a_restart() {
    let path = place("restart");
    let handles = format!("handles = {path:?}");
    let world = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let fake = world.block_on(Fake::start(|_, ask, nth| match (ask.method.as_str(), nth) {
        ("POST", _) => Reply::Json(200, json!({"id": "a1"})),
        ("GET", 0..=2) => Reply::Json(200, json!({"status": "running"})),
        _ => Reply::Json(200, json!({"status": "succeeded", "content": {"video_url": "https://ark/x.mp4"}})),
    }));
    let video = || VideoInference::new("m", "a fox");

    // The first process goes down while the generation runs.
    let first = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    first.block_on(async {
        let fairflow = engine("ark", &fake.url, &handles, "").await;
        let request = fairflow.generate(video()).job("acme/1").into_future();
        tokio::spawn(async move { drop(request.await) });
        fake.wait_for("GET", "/contents/generations/tasks/a1").await;
    });
    drop(first);

    let second = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    second.block_on(async {
        let fairflow = engine("ark", &fake.url, &handles, "").await;
        let other = fairflow.generate(VideoInference::new("m", "a hen")).job("acme/1").await.unwrap_err();
        assert!(other.status() == 400 && other.to_string().contains("stands for another request"), "{other}");
        let result = fairflow.generate(video()).job("acme/1").await.unwrap();
        assert_eq!(result.videos[0].url.as_deref(), Some("https://ark/x.mp4"));
        assert_eq!(fake.count("POST", "/contents/generations/tasks"), 1, "not submitted again");
        assert_eq!(fake.count("DELETE", "/contents/generations/tasks/a1"), 0, "not cancelled");
        // It has ended: the same name now begins anew.
        fairflow.generate(video()).job("acme/1").await.unwrap();
        assert_eq!(fake.count("POST", "/contents/generations/tasks"), 2);
    });
    let left = std::fs::read_to_string(&path).unwrap();
    assert!(!left.contains("secret"), "no key in the file");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// bfl cannot cancel: what its caller left behind is found again under its name.
#[tokio::test]
async fn what_cannot_be_cancelled_is_taken_up_again() {
    let fake = Fake::start(|base, ask, nth| match (ask.method.as_str(), nth) {
        ("POST", _) => Reply::Json(200, json!({"id": "t1", "polling_url": format!("{base}/get_result")})),
        ("GET", 0..=5) => Reply::Json(200, json!({"status": "Pending"})),
        _ => Reply::Json(200, json!({"status": "Ready", "result": {"sample": "https://d/x.png"}})),
    })
    .await;
    let fairflow = engine("bfl", &fake.url, "", "").await;
    let request = || fairflow.generate(ImageInference::new("m", "a fox")).job("acme/1").into_future();
    let left = tokio::spawn(request());
    fake.wait_for("GET", "/get_result").await;
    left.abort();
    drop(left.await);
    assert_eq!(request().await.unwrap().images.len(), 1);
    assert_eq!(fake.count("POST", "/lab/model"), 1);
}

#[tokio::test]
async fn a_name_is_followed_once_at_a_time() {
    let fake = Fake::start(|_, ask, nth| match (ask.method.as_str(), nth) {
        ("POST", _) => Reply::Json(200, json!({"id": "a1"})),
        ("GET", 0..=2) => Reply::Json(200, json!({"status": "running"})),
        _ => Reply::Json(200, json!({"status": "succeeded", "content": {"video_url": "https://ark/x.mp4"}})),
    })
    .await;
    let fairflow = engine("ark", &fake.url, "", "window = { min = 2, max = 2 }").await;
    let request = || fairflow.generate(VideoInference::new("m", "a fox")).job("acme/1").into_future();
    let (one, two) = futures_util::future::join(request(), request()).await;
    let refused = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(refused.len() == 1 && refused[0].to_string().contains("is under way"), "{refused:?}");
    assert_eq!(fake.count("POST", "/contents/generations/tasks"), 1);
}
