//! A provider whose models each behave in one way, and a gateway in front of it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{Gateway, client, eventually};

/// What the provider has seen.
#[derive(Default)]
pub struct Seen {
    pub busy: AtomicUsize,
    pub calls: AtomicUsize,
    pub flaky: AtomicUsize,
    /// Each `traceparent` that came.
    pub traces: Mutex<Vec<String>>,
    /// When the last piece of a stream of `drip` was sent.
    pub dripped: Mutex<Option<SystemTime>>,
}

/// Counts a call as under way until it is dropped.
struct Busy(Arc<Seen>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

pub struct Lab {
    pub seen: Arc<Seen>,
    pub port: u16,
    server: ServerHandle,
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

impl Lab {
    pub fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let data = web::Data::new(seen.clone());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || App::new().app_data(data.clone()).default_service(web::to(complete));
                let server = HttpServer::new(app)
                    .workers(1)
                    .disable_signals()
                    .h1_allow_half_closed(false)
                    // Pieces of a stream are not held back for each other.
                    .tcp_nodelay(true)
                    .listen(listener)
                    .unwrap()
                    .run();
                tell.send(server.handle()).unwrap();
                server.await
            })
        });
        Self { seen, port, server: told.recv().unwrap() }
    }

    /// Waits until so many requests are being served.
    pub async fn busy(&self, requests: usize) {
        let what = format!("{requests} requests are served");
        eventually(&what, async || self.seen.busy.load(Ordering::SeqCst) >= requests).await;
    }

    /// Waits until so many requests have come.
    pub async fn called(&self, times: usize) {
        eventually(&format!("{times} calls"), async || self.seen.calls.load(Ordering::SeqCst) >= times).await;
    }

    /// Ends the provider at once, with all its connections.
    pub async fn kill(&self) {
        self.server.stop(false).await;
    }

    /// Starts a gateway whose models are the lab's, each with its own settings.
    pub fn gateway(&self, server: &str, models: &[(&str, &str)]) -> Gateway {
        self.gateway_with(server, models, |_| {})
    }

    /// As [`gateway`](Self::gateway), with more arguments or another environment.
    pub fn gateway_with(
        &self,
        server: &str,
        models: &[(&str, &str)],
        adjust: impl FnOnce(&mut std::process::Command),
    ) -> Gateway {
        let mut config = format!(
            "[tiers.one]\nmax_queued = 1\n[tenants.single]\ntier = \"one\"\n[tenants.acme]\napi_keys = [\"{KEY_HASH}\"]\n\
             [defaults]\nretry = {{ base = \"10ms\", max = \"20ms\" }}\n\
             [providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{}/v1\"\n",
            self.port
        );
        for (model, settings) in models {
            let upstream = model.split('-').next().unwrap();
            config +=
                &format!("[models.{model:?}]\nroutes = [{{ provider = \"lab\", model = {upstream:?} }}]\n{settings}\n");
        }
        Gateway::start_with(server, &config, adjust)
    }
}

/// The hash of the key `abc`.
const KEY_HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn complete(request: HttpRequest, body: web::Bytes, seen: web::Data<Arc<Seen>>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    seen.traces.lock().unwrap().extend(header("traceparent"));
    seen.busy.fetch_add(1, Ordering::SeqCst);
    let busy = Busy(seen.get_ref().clone());
    seen.calls.fetch_add(1, Ordering::SeqCst);
    // A form, or what only a lenient server reads.
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return HttpResponse::Ok().json(json!({"data": [{"url": "https://files.invalid/1.png"}]}));
    };
    let model = body["model"].as_str().unwrap();
    match model.split_once('/').map_or(model, |(kind, _)| kind) {
        "hang" => return std::future::pending().await,
        "down" => return HttpResponse::ServiceUnavailable().body("{}"),
        "echo" => {
            let told = json!({"error": {"message": format!("wrong key: {:?}", header("authorization"))}});
            return HttpResponse::Unauthorized().json(told);
        }
        // Knows one key alone; who comes with another is sent away for an hour.
        "keyed" if header("authorization").as_deref() != Some("Bearer sk-second") => {
            let error = json!({"message": "Incorrect API key provided.", "type": "x", "code": "invalid_api_key"});
            return HttpResponse::Unauthorized().insert_header(("retry-after", "3600")).json(json!({"error": error}));
        }
        // Says that no image is left for an hour, whatever was asked for.
        "limited" => {
            let mut answer = serde_json::from_str::<Value>(OK).unwrap();
            answer["data"] = json!([{"url": "https://files.invalid/1.png"}]);
            return HttpResponse::Ok()
                .insert_header(("x-ratelimit-limit-images", "5"))
                .insert_header(("x-ratelimit-remaining-images", "0"))
                .insert_header(("x-ratelimit-reset-images", "3600s"))
                .json(answer);
        }
        // Every other call fails.
        "flaky" if seen.flaky.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) => {
            return HttpResponse::ServiceUnavailable().body("{}");
        }
        "bad" => return HttpResponse::BadRequest().content_type("application/json").body(BAD),
        "large" => {
            let text = "y".repeat(20 << 20);
            let choice =
                json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
            return HttpResponse::Ok().json(json!({"choices": [choice]}));
        }
        // Says what it was sent, and what it calls the request.
        "told" => {
            let sent = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("?")));
            let sent = Value::from_iter(sent.map(|(name, value)| (name.to_owned(), Value::from(value))));
            let choice =
                json!({"index": 0, "message": {"role": "assistant", "content": sent}, "finish_reason": "stop"});
            return HttpResponse::Ok()
                .insert_header(("x-request-id", "req_42"))
                .insert_header(("openai-processing-ms", "7"))
                .json(json!({"choices": [choice]}));
        }
        // Repeats the key, whatever it is asked for.
        "leak" => {
            let message = format!("You sent {}, and that.", header("authorization").unwrap_or_default());
            let error = json!({"error": {"message": message, "type": "x", "param": null, "code": "x"}});
            if body["stream"] == true {
                let event = Bytes::from(format!("data: {error}\n\n"));
                let (one, two) = (event.slice(..event.len() / 2), event.slice(event.len() / 2..));
                let halves = futures_util::stream::iter([one, two]).then(|half| async {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, std::io::Error>(half)
                });
                return HttpResponse::Ok().content_type("text/event-stream").streaming(halves);
            }
            let status = body["status"].as_u64().map_or(400, |status| u16::try_from(status).unwrap());
            let status = actix_web::http::StatusCode::from_u16(status).unwrap();
            return HttpResponse::build(status).insert_header(("request-id", "req_43")).json(error);
        }
        "unknown" => {
            let error = json!({"message": "no such model", "type": "x", "param": "model", "code": "model_not_found"});
            return HttpResponse::NotFound().json(json!({"error": error}));
        }
        "quick" => tokio::time::sleep(Duration::from_millis(20)).await,
        "slow" => tokio::time::sleep(Duration::from_millis(400)).await,
        // One of them goes on until its caller leaves.
        model @ ("drip" | "endless") => {
            let pieces = if model == "drip" { 5 } else { u32::MAX };
            let tick = |n: u32| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                let chunk = json!({"choices": [{"index": 0, "delta": {"content": n.to_string()}}], "usage": null});
                Ok::<_, std::io::Error>(Bytes::from(format!("data: {chunk}\n\n")))
            };
            let last =
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":11}}\n\ndata: [DONE]\n\n";
            let last = futures_util::stream::iter([Ok(Bytes::from_static(last.as_bytes()))]);
            let chunks = futures_util::stream::iter(0..pieces).then(tick).chain(last).map(move |chunk| {
                *busy.0.dripped.lock().unwrap() = Some(SystemTime::now());
                chunk
            });
            return HttpResponse::Ok().content_type("text/event-stream").streaming(chunks);
        }
        "broken" => {
            let half = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\"";
            let items = [Ok(Bytes::from_static(half.as_bytes())), Err(std::io::Error::other("gone"))];
            let chunks = futures_util::stream::iter(items).then(|item| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                item
            });
            return HttpResponse::Ok().content_type("text/event-stream").streaming(chunks);
        }
        _ => {}
    }
    drop(busy);
    HttpResponse::Ok().content_type("application/json").body(OK)
}

pub const BAD: &str = r#"{"error":{"message":"bad prompt","type":"invalid_request_error","odd":1}}"#;
pub const OK: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":2,"completion_tokens":3}}"#;

/// Returns a chat for a model.
pub fn chat(model: &str) -> Value {
    json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]})
}

/// Returns a streamed chat for a model.
pub fn streamed(model: &str) -> Value {
    let mut chat = chat(model);
    chat["stream"] = true.into();
    chat
}

/// Posts JSON with headers.
pub async fn post(gateway: &Gateway, path: &str, body: &Value, headers: &[(&str, &str)]) -> reqwest::Response {
    let request = client().post(format!("{}{path}", gateway.public)).body(body.to_string());
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

pub const CHAT: &str = "/v1/chat/completions";
