//! The gateway over HTTP against a provider process-alike with a hard cap: does the window find it, do refusals stay
//! inside, do tenants share.
//!
//! `FAIRFLOW_LOAD_SECONDS=60 cargo test --release --test closed_loop -- --nocapture` is the campaign, which holds
//! the figures against bands; the default is short and holds what does not depend on the machine: everybody is answered,
//! every tenant is served, every slot comes back.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

mod support;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use rand::RngExt;
use tokio::time::Instant;

use support::{Gateway, client, eventually};

const CAP: usize = 24;
const MEAN_SECONDS: f64 = 0.4;
const SIGMA: f64 = 0.5;

/// What the provider has seen.
#[derive(Default)]
struct Lab {
    busy: AtomicUsize,
    served: AtomicU64,
    refused: AtomicU64,
    service_micros: AtomicU64,
}

/// Gives the provider's slot back, also when the client goes away.
struct Slot(Arc<Lab>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn complete(lab: web::Data<Arc<Lab>>) -> HttpResponse {
    let lab = lab.get_ref().clone();
    if lab.busy.fetch_add(1, Ordering::SeqCst) >= CAP {
        drop(Slot(lab.clone()));
        lab.refused.fetch_add(1, Ordering::SeqCst);
        return HttpResponse::TooManyRequests().body(r#"{"error":{"message":"busy","type":"rate_limit_error"}}"#);
    }
    let slot = Slot(lab.clone());
    let (a, b) = (rand::rng().random::<f64>(), rand::rng().random::<f64>());
    let normal = (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    let service = MEAN_SECONDS * (SIGMA * normal - SIGMA * SIGMA / 2.0).exp();
    tokio::time::sleep(Duration::from_secs_f64(service)).await;
    lab.served.fetch_add(1, Ordering::SeqCst);
    lab.service_micros.fetch_add((service * 1e6) as u64, Ordering::SeqCst);
    drop(slot);
    HttpResponse::Ok().content_type("application/json").body(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    )
}

/// Starts the provider on a port of its own.
fn lab() -> (Arc<Lab>, u16) {
    let lab = Arc::new(Lab::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let data = lab.clone();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(
            HttpServer::new(move || {
                App::new()
                    .app_data(web::Data::new(data.clone()))
                    .route("/v1/chat/completions", web::post().to(complete))
            })
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run(),
        )
    });
    (lab, port)
}

fn gateway(provider: u16) -> Gateway {
    let base_url = format!("http://127.0.0.1:{provider}/v1");
    let provider = format!("[providers.lab]\nkind = \"openai\"\nbase_url = \"{base_url}\"");
    Gateway::start("", &format!("{provider}\n[models.m]\nroutes = [{{ provider = \"lab\" }}]\n"))
}

/// Runs closed-loop clients, `clients[tenant]` of each tenant, and returns each tenant's latencies and the statuses.
async fn drive(url: &str, clients: &[usize], seconds: f64) -> (Vec<Vec<f64>>, BTreeMap<u16, u64>) {
    let http = client();
    let latencies = Arc::new(Mutex::new(vec![Vec::new(); clients.len()]));
    let statuses = Arc::new(Mutex::new(BTreeMap::new()));
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut tasks = Vec::new();
    for (tenant, count) in clients.iter().enumerate() {
        for _ in 0..*count {
            let (http, latencies, statuses) = (http.clone(), latencies.clone(), statuses.clone());
            let url = format!("{url}/v1/chat/completions");
            tasks.push(tokio::spawn(async move {
                while Instant::now() < end {
                    let began = Instant::now();
                    let sent = http
                        .post(&url)
                        .header("x-fairflow-tenant", format!("t{tenant}"))
                        .body(r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}"#)
                        .send()
                        .await;
                    let status = sent.map_or(0, |response| response.status().as_u16());
                    *statuses.lock().unwrap().entry(status).or_insert(0) += 1;
                    if status == 200 && Instant::now() < end {
                        latencies.lock().unwrap()[tenant].push(began.elapsed().as_secs_f64());
                    }
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let latencies = std::mem::take(&mut *latencies.lock().unwrap());
    let statuses = std::mem::take(&mut *statuses.lock().unwrap());
    (latencies, statuses)
}

fn p99(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    fairflow::core::estimate::nearest_rank(&sorted, 0.99).expect("a success")
}

fn seconds() -> (f64, bool) {
    let long = std::env::var("FAIRFLOW_LOAD_SECONDS").ok().and_then(|text| text.parse().ok());
    (long.unwrap_or(4.0), long.is_some_and(|seconds| seconds >= 60.0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn twenty_tenants_share_a_capped_provider_and_see_no_refusal() {
    let (seconds, long) = seconds();
    let (lab, port) = lab();
    let gateway = gateway(port);
    let (latencies, statuses) = drive(&gateway.public, &[10; 20], seconds).await;
    let counts: Vec<f64> = latencies.iter().map(|tenant| tenant.len() as f64).collect();
    let (sum, squares): (f64, f64) = (counts.iter().sum(), counts.iter().map(|n| n * n).sum());
    let jain = sum * sum / (counts.len() as f64 * squares);
    let goodput = sum / (CAP as f64 / MEAN_SECONDS * seconds);
    let refusals = lab.refused.load(Ordering::SeqCst) as f64 / lab.served.load(Ordering::SeqCst) as f64;
    println!("{seconds} s: goodput {goodput:.3}, refusals per success {refusals:.4}, Jain {jain:.4}, {statuses:?}");
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200], "{statuses:?}");
    if long {
        assert!(goodput >= 0.93, "goodput {goodput}");
        assert!(refusals <= 0.05, "refusals per success {refusals}");
        assert!(jain >= 0.99, "Jain {jain}");
    }
    assert!(latencies.iter().all(|tenant| !tenant.is_empty()), "each tenant is served");
    eventually("the provider's slots are free", async || lab.busy.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flood_does_not_slow_small_tenants_much() {
    let (seconds, long) = seconds();
    let alone = {
        let (_lab, port) = lab();
        let gateway = gateway(port);
        drive(&gateway.public, &[0, 2, 2, 8], seconds).await.0
    };
    let (_lab, port) = lab();
    let gateway = gateway(port);
    let (beside, statuses) = drive(&gateway.public, &[150, 2, 2, 8], seconds).await;
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200], "{statuses:?}");
    for tenant in 1..4 {
        let (alone, beside) = (p99(&alone[tenant]), p99(&beside[tenant]));
        println!("tenant {tenant}: P99 {beside:.3} s beside the flood, {alone:.3} s alone: {:.2}×", beside / alone);
        assert!(!long || beside / alone <= 2.5, "tenant {tenant}");
    }
}
