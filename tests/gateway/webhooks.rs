//! Results that are posted to where the task says.

use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::lab::{Lab, post};
use crate::support::{Gateway, Log, found, json as read};

/// One delivery: its headers, and its body.
pub type Delivery = (String, String);

/// A server that answers the statuses given, then 200, and keeps what it was sent.
pub async fn receiver(statuses: &'static [u16]) -> (u16, Arc<Mutex<Vec<Delivery>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken: Arc<Mutex<Vec<Delivery>>> = Arc::default();
    let keep = taken.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            let (head, body) = loop {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                text += std::str::from_utf8(&piece[..read]).unwrap();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() == length.parse::<usize>().unwrap() {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let status = {
                let mut taken = keep.lock().unwrap();
                taken.push((head, body));
                statuses.get(taken.len() - 1).copied().unwrap_or(200)
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, taken)
}

pub async fn wait(taken: &Mutex<Vec<Delivery>>, count: usize) -> Vec<Delivery> {
    let what = format!("{count} deliveries");
    found(&what, async || Some(taken.lock().unwrap().clone()).filter(|taken| taken.len() >= count)).await
}

pub const SIM: &str = "[providers.sim]\nkind = \"sim\"\nsim = { service = \"20ms\", sigma = 0.0 }\n\
    [models.fast]\nroutes = [{ provider = \"sim\" }]\n";

#[tokio::test]
async fn each_result_is_posted_until_it_is_taken() {
    let (port, taken) = receiver(&[500, 302]).await;
    let hooks = "[webhooks]\nsecret = { value = \"s3cret\" }\nhosts = [\"127.0.0.1\"]\nbase = \"20ms\"";
    let mut gateway = Gateway::start("", &format!("{SIM}{hooks}"));
    let task = json!({"taskType": "imageInference", "taskUUID": "w", "model": "fast", "positivePrompt": "x",
        "numberResults": 2, "webhookURL": format!("http://127.0.0.1:{port}/hook?token=1")});
    let acknowledged = read(post(&gateway, "/v1", &json!([task]), &[]).await).await;
    assert_eq!(acknowledged, json!({"data": [{"taskType": "imageInference", "taskUUID": "w"}]}));
    // A drain waits for what is still to be posted.
    gateway.terminate();
    let deliveries = wait(&taken, 4).await;
    assert!(gateway.ended().await);
    assert_eq!((deliveries.len(), taken.lock().unwrap().len()), (4, 4), "two results, two failures, no redirect");
    let mut urls = std::collections::BTreeSet::new();
    for (head, body) in &deliveries {
        assert!(head.starts_with("POST /hook?token=1 HTTP/1.1"), "{head}");
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
        assert_eq!(header("content-type"), "application/json");
        let (time, signature) = header("x-fairflow-signature").split_once(',').unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap();
        mac.update(format!("{}.{body}", time.strip_prefix("t=").unwrap()).as_bytes());
        let digest: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(signature, format!("v1={digest}"));
        let item = serde_json::from_str::<Value>(body).unwrap()["data"][0].clone();
        assert_eq!((&item["status"], &item["taskUUID"]), (&json!("success"), &json!("w")));
        urls.insert(item["imageUUID"].as_str().unwrap().to_owned());
    }
    assert_eq!(urls.len(), 2);
}

#[tokio::test]
async fn a_failure_is_posted_too_and_given_up_in_the_end() {
    let lab = Lab::start();
    let (port, taken) = receiver(&[500, 500, 500, 500, 500]).await;
    let hooks = "[webhooks]\nhosts = [\"127.0.0.1\"]\nattempts = 3\nbase = \"10ms\"\nmax = \"10ms\"";
    let log = Log::new();
    let gateway = lab.gateway_with("", &[("bad", hooks)], |command| {
        command.stderr(log.open());
    });
    let url = format!("http://127.0.0.1:{port}/");
    let slow = json!({"taskType": "textInference", "taskUUID": "w", "model": "bad", "webhookURL": url,
        "messages": [{"role": "user", "content": "x"}]});
    let answer = read(post(&gateway, "/v1", &json!([slow]), &[]).await).await;
    // Refused at once, or acknowledged where the provider took a moment longer.
    let told = answer.pointer("/errors/0/taskUUID").or_else(|| answer.pointer("/data/0/taskUUID"));
    assert_eq!(told, Some(&json!("w")), "{answer}");
    let deliveries = wait(&taken, 3).await;
    log.says("a webhook is given up after 3 attempts", 1).await;
    assert_eq!(taken.lock().unwrap().len(), 3, "three attempts, then no more");
    assert!(deliveries[0].1.contains("\"errors\"") && !deliveries[0].0.contains("x-fairflow-signature"));
    // Without the host in the configuration nothing is asked of a provider.
    let calls = lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst);
    for url in [format!("http://localhost:{port}/"), "https://[::1]/".to_owned(), "https://192.168.0.1/".to_owned()] {
        let task = json!({"taskType": "textInference", "taskUUID": "v", "model": "bad", "webhookURL": url,
            "messages": [{"role": "user", "content": "x"}]});
        let answer = read(post(&gateway, "/v1", &json!([task]), &[]).await).await;
        assert_eq!(answer["errors"][0]["parameter"], "webhookURL", "{answer}");
    }
    assert_eq!(lab.seen.calls.load(std::sync::atomic::Ordering::SeqCst), calls);
}

const SLOW: &str = "[providers.slowly]\nkind = \"sim\"\nsim = { service = \"2s\", sigma = 0.0 }\n\
    [models.slow]\nroutes = [{ provider = \"slowly\" }]\n";

#[tokio::test]
async fn a_task_sent_again_with_a_webhook_is_posted_whether_it_is_done_or_under_way() {
    let (port, taken) = receiver(&[]).await;
    let gateway = Gateway::start("", &format!("{SIM}{SLOW}[webhooks]\nhosts = [\"127.0.0.1\"]\n"));
    let place = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let task = |uuid: &str| {
        let model = if uuid == "done" { "fast" } else { "slow" };
        json!({"taskType": "imageInference", "taskUUID": uuid, "model": model, "positivePrompt": "x"})
    };
    let to = |uuid: &str, path: &str| {
        let mut task = task(uuid);
        task["webhookURL"] = place(path).into();
        json!([task])
    };
    // Done: the known result goes there.
    let made = read(post(&gateway, "/v1", &json!([task("done")]), &[]).await).await;
    let acknowledged = read(post(&gateway, "/v1", &to("done", "late"), &[]).await).await;
    assert_eq!(acknowledged, json!({"data": [{"taskType": "imageInference", "taskUUID": "done"}]}));
    let (head, body) = wait(&taken, 1).await[0].clone();
    let posted: Value = serde_json::from_str(&body).unwrap();
    assert!(head.starts_with("POST /late"), "{head}");
    assert_eq!(posted["data"][0]["imageUUID"], made["data"][0]["imageUUID"]);
    // Under way: to each place once, however often it is sent.
    let tasks = [to("way", "one"), to("way", "two"), to("way", "one")];
    futures_util::future::join_all(tasks.iter().map(|task| post(&gateway, "/v1", task, &[]))).await;
    let paths = |taken: Vec<Delivery>| -> Vec<String> {
        let mut paths: Vec<_> = taken.iter().map(|(head, _)| head.split(' ').nth(1).unwrap().to_owned()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(wait(&taken, 3).await), ["/late", "/one", "/two"]);
    // Another task under the same UUID is a conflict.
    let mut other = to("done", "late");
    other[0]["positivePrompt"] = "another".into();
    let refused = read(post(&gateway, "/v1", &other, &[]).await).await;
    assert_eq!(refused["errors"][0]["code"], "conflictTaskUUID");
    // More places than can be kept are a conflict too, and silence is none.
    let many: Vec<_> = (0..12).map(|n| to("many", &n.to_string())).collect();
    let answers = futures_util::future::join_all(many.iter().map(|task| post(&gateway, "/v1", task, &[]))).await;
    let refused = answers.iter().filter(|answer| answer.status() != 200).count();
    assert_eq!(wait(&taken, 3 + 12 - refused).await.len(), 3 + 12 - refused);
}
