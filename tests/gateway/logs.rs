//! What the gateway logs: a line per generation, and never a secret.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, text};
use crate::lab::{CHAT, Lab, chat, post, streamed};
use crate::support::{Gateway, Log, client, found};

/// The lines of a log that is JSON.
trait Lines {
    /// Waits for the first line that `wanted` likes.
    async fn line(&self, wanted: impl Fn(&Value) -> bool) -> Value;

    async fn of(&self, id: &str) -> Value {
        self.line(|line| line["request_id"] == id).await
    }
}

impl Lines for Log {
    async fn line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        found("a line of the log", async || {
            let text = self.read();
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
            lines.find(&wanted)
        })
        .await
    }
}

#[tokio::test]
async fn each_generation_has_its_line() {
    let (lab, log) = (Lab::start(), Log::new());
    let models = [
        ("quick", ""),
        ("down", "retry = { max_attempts = 2, base = \"50ms\", max = \"50ms\" }"),
        ("bad", ""),
        ("drip", ""),
        ("hang", ""),
    ];
    let gateway = lab.gateway_with("", &models, |command| {
        command.args(["--log-format", "json", "--access-log"]).env("RUST_LOG", "info").stderr(log.open());
    });
    let ask = async |id: &str, body: &Value| {
        let headers = [("x-request-id", id), ("x-fairflow-tenant", "acme")];
        let response = post(&gateway, CHAT, body, &headers).await;
        (response.headers().clone(), response.status().as_u16(), response.text().await.unwrap())
    };

    let (headers, ..) = ask("one", &chat("quick")).await;
    let line = log.of("one").await;
    let header = |name: &str| headers[name].to_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(line["level"], "DEBUG");
    for (field, value) in [
        ("target", json!("fairflow::access")),
        ("tenant", json!("acme")),
        ("model", json!("quick")),
        ("operation", json!("chat")),
        ("outcome", json!("success")),
        ("status", json!(200)),
        ("attempts", json!(1)),
        ("route", json!("lab/quick")),
        ("queue_ms", json!(header("x-fairflow-queue-ms"))),
        ("upstream_ms", json!(header("x-fairflow-upstream-ms"))),
        ("input_tokens", json!(2)),
        ("output_tokens", json!(3)),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert!(line["upstream_ms"].as_u64().unwrap() >= 20 && line["total_ms"].as_u64() >= line["upstream_ms"].as_u64());

    ask("two", &chat("down")).await;
    let line = log.of("two").await;
    assert_eq!(
        (&line["outcome"], &line["status"], &line["attempts"]),
        (&json!("retries_exhausted"), &json!(503), &json!(2))
    );

    ask("three", &chat("bad")).await;
    let line = log.of("three").await;
    assert_eq!((&line["outcome"], &line["status"]), (&json!("rejected"), &json!(400)));

    ask("four", &streamed("drip")).await;
    let line = log.of("four").await;
    assert_eq!((&line["outcome"], &line["output_tokens"]), (&json!("success"), &json!(11)));
    let (upstream, total) = (line["upstream_ms"].as_u64().unwrap(), line["total_ms"].as_u64().unwrap());
    assert!(total >= upstream + 40, "the stream's last piece ends it: {line}");

    let request = client().post(format!("{}{CHAT}", gateway.public)).header("x-request-id", "five");
    let request = request.timeout(Duration::from_millis(300)).body(chat("hang").to_string());
    assert!(request.send().await.is_err());
    let line = log.of("five").await;
    assert_eq!((&line["outcome"], &line["status"], &line["attempts"]), (&json!("cancelled"), &json!(499), &json!(1)));

    for (action, said) in [
        (json!({"action": "pin", "window": 9}), "windows pinned by operator"),
        (json!({"action": "pause"}), "model paused by operator"),
        (json!({"action": "resume"}), "model resumed by operator"),
    ] {
        let request = client().post(format!("{}/admin/models/bad", gateway.admin)).body(action.to_string());
        assert_eq!(request.send().await.unwrap().status(), 200);
        let line = log.line(|line| line["message"] == said).await;
        assert_eq!((&line["model"], &line["window"]), (&json!("bad"), &json!(9)), "{line}");
    }

    // What reaches no model has its line too, in the span of its request.
    ask("six", &chat("none")).await;
    let line = log.line(|line| line["span"]["request_id"] == "six").await;
    let span = json!({"name": "request", "request_id": "six", "tenant": "acme", "model": "none"});
    assert_eq!((&line["outcome"], &line["status"], &line["span"]), (&json!("unknown_model"), &json!(404), &span));
    ask("seven", &json!({})).await;
    let line = log.line(|line| line["span"]["request_id"] == "seven").await;
    assert_eq!((&line["outcome"], &line["span"]["tenant"]), (&json!("invalid_request"), &json!("acme")));
    for (path, id) in [("/v1/completions", "eight"), ("/v1/models", "nine")] {
        let request = client().post(format!("{}{path}", gateway.public)).header("x-request-id", id);
        assert!(request.send().await.unwrap().status().is_client_error());
        let line = log.line(|line| line["span"]["request_id"] == id).await;
        assert_eq!(line["outcome"], "unknown_path", "{path}");
    }

    // Over a socket, a task is found by its name.
    let (mut socket, _) = Client::open(&gateway, "k", None).await;
    socket.send(&json!([text("quick", "b7d3f0a4-5a33-4a87-a1f3-000000000001")])).await;
    socket.next().await;
    let line = log.line(|line| line["task"] == "b7d3f0a4-5a33-4a87-a1f3-000000000001").await;
    assert_eq!((&line["outcome"], &line["model"]), (&json!("success"), &json!("quick")));
}

#[tokio::test]
async fn lines_of_generations_are_asked_for() {
    let (lab, log) = (Lab::start(), Log::new());
    let gateway = lab.gateway_with("", &[("ok", "")], |command| {
        command.env("RUST_LOG", "info").stderr(log.open());
    });
    post(&gateway, CHAT, &chat("ok"), &[]).await;
    post(&gateway, CHAT, &chat("none"), &[]).await;
    assert!(!log.read().contains("fairflow::access"), "{}", log.read());
}

#[tokio::test]
async fn a_file_gets_no_colours() {
    let (lab, log) = (Lab::start(), Log::new());
    let gateway = lab.gateway_with("", &[("ok", "")], |command| {
        command.env("RUST_LOG", "fairflow=debug").arg("--access-log").stderr(log.open());
    });
    post(&gateway, CHAT, &chat("ok"), &[]).await;
    log.says("fairflow::access", 1).await;
    let text = log.read();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

const PROVIDER_KEY: &str = "sk-provider-5ecre7";
const TENANT_KEY: &str = "ff-tenant-5ecre7";
const ADMIN_KEY: &str = "ff-admin-5ecre7";
const WEBHOOK_SECRET: &str = "whsec-5ecre7";
const HEADER_KEY: &str = "otlp-header-5ecre7";

fn hash(key: &str) -> String {
    fairflow::config::KeyHash::of(key).to_string()
}

#[tokio::test]
async fn no_secret_is_ever_told() {
    let (lab, log) = (Lab::start(), Log::new());
    let port = lab.port;
    let rest = format!(
        "[webhooks]\nsecret = {{ value = \"{WEBHOOK_SECRET}\" }}\n\
         [telemetry]\notlp_headers = {{ authorization = {{ value = \"{HEADER_KEY}\" }} }}\n\
         [defaults]\nretry = {{ base = \"10ms\", max = \"20ms\", max_attempts = 2 }}\n\
         queue = {{ max_wait = \"500ms\" }}\ntimeout = \"300ms\"\n\
         [tenants.acme]\napi_keys = [\"{}\"]\n\
         [providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\napi_key = {{ value = \"{PROVIDER_KEY}\" }}\n\
         [providers.gone]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\napi_key = {{ env = \"LAB_KEY\" }}\n\
         [providers.poll]\nkind = \"replicate\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\napi_key = {{ value = \"{PROVIDER_KEY}\" }}\n\
         [models.ok]\nroutes = [{{ provider = \"lab\" }}]\n[models.bad]\nroutes = [{{ provider = \"lab\" }}]\n\
         [models.down]\nroutes = [{{ provider = \"lab\" }}]\n[models.hang]\nroutes = [{{ provider = \"lab\" }}]\n\
         [models.broken]\nroutes = [{{ provider = \"lab\" }}]\n[models.gone]\nroutes = [{{ provider = \"gone\" }}]\n\
         [models.poll]\nroutes = [{{ provider = \"poll\" }}]\n[models.echo]\nroutes = [{{ provider = \"lab\" }}]\n",
        hash(TENANT_KEY)
    );
    let server = format!("auth = \"keys\"\nadmin_key = {{ value = \"{ADMIN_KEY}\" }}");
    let mut gateway = Gateway::start_with(&server, &rest, |command| {
        command.env("RUST_LOG", "trace").env("LAB_KEY", PROVIDER_KEY).arg("--access-log").stderr(log.open());
    });
    let mut told = String::new();
    let bearer = format!("Bearer {TENANT_KEY}");
    for model in ["ok", "bad", "down", "hang", "gone", "none", "poll", "echo", "echo"] {
        let response = post(&gateway, CHAT, &chat(model), &[("authorization", &bearer)]).await;
        told += &format!(
            "{model}: {} {:?}\n{}\n",
            response.status(),
            response.headers().clone(),
            response.text().await.unwrap()
        );
    }
    let response = post(&gateway, CHAT, &streamed("broken"), &[("authorization", &bearer)]).await;
    told += &response.text().await.unwrap_or_default();
    // A key that nobody has, and one where it does not belong.
    for headers in [
        vec![("authorization", "Bearer nobody-5ecre7")],
        vec![("x-fairflow-class", TENANT_KEY), ("authorization", &bearer)],
    ] {
        let asked = headers.len() == 1;
        let text = post(&gateway, CHAT, &chat("ok"), &headers).await.text().await.unwrap();
        // What a caller sends in the wrong place is its own to read, and not to be logged.
        told += if asked { &text } else { "" };
    }
    let task = json!([{"taskType": "authentication", "apiKey": TENANT_KEY}, text("none", "u")]);
    told += &post(&gateway, "/v1", &task, &[]).await.text().await.unwrap();
    let admin = format!("Bearer {ADMIN_KEY}");
    for (url, key) in [
        (format!("{}/metrics", gateway.admin), &admin),
        (format!("{}/admin/config", gateway.admin), &admin),
        (format!("{}/admin/config", gateway.admin), &bearer),
        (format!("{}/v1/capacity", gateway.public), &bearer),
        (format!("{}/v1/models", gateway.public), &bearer),
    ] {
        let response = client().get(url).header("authorization", key).send().await.unwrap();
        told += &response.text().await.unwrap();
    }
    gateway.terminate();
    assert!(gateway.ended().await);
    let log = log.read();
    assert!(log.contains("fairflow::access") && log.contains("TRACE"), "all levels are looked through");
    assert!(told.contains("fairflow_requests_total") && told.contains("[redacted]"), "{told}");
    for (from, text) in [("an answer", &told), ("the log", &log)] {
        if let Some(line) = text.lines().find(|line| line.contains("5ecre7")) {
            panic!("{from} tells a secret: {line}");
        }
    }
}

#[test]
fn a_bad_config_tells_no_secret() {
    let (program, path) = (env!("CARGO_BIN_EXE_fairflow"), Log::new());
    for wrong in [
        format!("[providers.lab]\nkind = \"openai\"\napi_key = \"{PROVIDER_KEY}\""),
        format!("[providers.lab]\nkind = \"openai\"\napi_key = {{ value = \"{PROVIDER_KEY}\" }}"),
        format!("[providers.lab]\nkind = \"openai\"\nkey = \"{PROVIDER_KEY}\""),
        format!("[providers.lab]\nkind = \"openai\"\nbase_url = \"https://u:{PROVIDER_KEY}@h/v1\"\nrate = 1"),
        format!("[providers.lab]\nkind = \"openai\"\nbase_url = \"ftp://u:{PROVIDER_KEY}@h/v1\""),
        format!("[tenants.acme]\napi_keys = [\"{TENANT_KEY}\"]"),
        format!("[server]\nadmin_key = {{ vaule = \"{ADMIN_KEY}\" }}"),
        format!("[webhooks]\nsecret = \"{WEBHOOK_SECRET}\""),
        format!("[telemetry.otlp_headers]\nauthorization = \"{HEADER_KEY}\""),
        format!("[telemetry]\notlp_endpoint = \"u:{HEADER_KEY}@h:4318\""),
    ] {
        std::fs::write(&path.0, &wrong).unwrap();
        for command in [vec!["check"], vec!["serve", "--config"]] {
            let made = Command::new(program).args(command).arg(&path.0).output().unwrap();
            let told = String::from_utf8_lossy(&[made.stdout, made.stderr].concat()).into_owned();
            assert_eq!(made.status.code(), Some(2), "{wrong}\n{told}");
            assert!(!told.contains("5ecre7"), "{wrong}\n{told}");
        }
    }
}
