//! The simulator's word against the wire: the gateway process before provider servers of several kinds, over HTTP, beside
//! the same scenario in virtual time.
//!
//! `FAIRFLOW_REAL_SECONDS=60 cargo test --release --test real_check -- --ignored --nocapture` runs all and prints the table; it
//! is a campaign, not a check of every change. `FAIRFLOW_REAL_ONLY="cap 24"` runs those with that in their name.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

mod support;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use fairflow::sim::{Controller, Scenario, run, summarize};
use rand::RngExt;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use support::{Gateway, client};

const MEDIAN: f64 = 0.4;
const SIGMA: f64 = 0.5;
const CLIENTS: usize = 200;
/// Tokens per second and size of the bucket of the rate providers.
const RATE: f64 = 40.0;
const BURST: f64 = 40.0;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Cap,
    Queue,
    Rate {
        headers: bool,
    },
    Steps,
    /// This share of requests fails with a 503.
    Weather(f64),
    /// Everything is a 503 for this stretch of the run.
    Down(f64, f64),
    /// Everything is a 429 for this stretch.
    Full(f64, f64),
}

/// A provider, and what it has seen.
struct Lab {
    kind: Kind,
    began: Instant,
    seconds: f64,
    busy: AtomicUsize,
    servers: Semaphore,
    bucket: Mutex<(f64, Instant)>,
    served: AtomicU64,
    /// Microseconds of service delivered.
    work: AtomicU64,
    refused: AtomicU64,
}

struct Slot(web::Data<Lab>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Lab {
    fn cap(&self) -> usize {
        match self.kind {
            Kind::Full(from, to) if self.is_within(from, to) => 0,
            Kind::Cap | Kind::Weather(_) | Kind::Down(..) | Kind::Full(..) => 24,
            Kind::Steps => {
                let part = self.began.elapsed().as_secs_f64() / self.seconds * 3.0;
                [24, 8, 48][(part as usize).min(2)]
            }
            Kind::Queue | Kind::Rate { .. } => usize::MAX,
        }
    }

    fn is_within(&self, from: f64, to: f64) -> bool {
        (from..to).contains(&self.began.elapsed().as_secs_f64())
    }

    fn fails(&self) -> bool {
        match self.kind {
            Kind::Weather(share) => rand::rng().random::<f64>() < share,
            Kind::Down(from, to) => self.is_within(from, to),
            _ => false,
        }
    }

    /// Takes a token; returns whether there was one, and how many are left.
    fn token(&self) -> (bool, f64) {
        let mut bucket = self.bucket.lock().unwrap();
        let now = Instant::now();
        bucket.0 = BURST.min(bucket.0 + RATE * (now - bucket.1).as_secs_f64());
        bucket.1 = now;
        let there = bucket.0 >= 1.0;
        bucket.0 -= f64::from(u8::from(there));
        (there, bucket.0)
    }
}

async fn complete(lab: web::Data<Lab>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Kind::Rate { headers } = lab.kind {
        let (there, left) = lab.token();
        if !there {
            lab.refused.fetch_add(1, Ordering::SeqCst);
            response = HttpResponse::TooManyRequests();
        }
        if headers {
            response
                .insert_header(("x-ratelimit-limit-requests", BURST.to_string()))
                .insert_header(("x-ratelimit-remaining-requests", left.floor().to_string()))
                .insert_header(("x-ratelimit-reset-requests", format!("{:.3}s", (BURST - left) / RATE)));
        }
        if !there {
            if headers {
                response.insert_header(("retry-after-ms", ((1.0 - left) / RATE * 1e3).ceil().to_string()));
            }
            return response.body(r#"{"error":{"message":"too many requests per minute"}}"#);
        }
    }
    if lab.fails() {
        return HttpResponse::ServiceUnavailable().body(r#"{"error":{"message":"the service is unavailable"}}"#);
    }
    if lab.busy.fetch_add(1, Ordering::SeqCst) >= lab.cap() {
        drop(Slot(lab.clone()));
        lab.refused.fetch_add(1, Ordering::SeqCst);
        return HttpResponse::TooManyRequests().body(r#"{"error":{"message":"too many concurrent requests"}}"#);
    }
    let slot = Slot(lab.clone());
    let server = if lab.kind == Kind::Queue { Some(lab.servers.acquire().await.unwrap()) } else { None };
    let (a, b) = (rand::rng().random::<f64>(), rand::rng().random::<f64>());
    let normal = (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    let service = Duration::from_secs_f64(MEDIAN * (SIGMA * normal).exp());
    tokio::time::sleep(service).await;
    drop((server, slot));
    lab.work.fetch_add(service.as_micros().try_into().unwrap(), Ordering::SeqCst);
    lab.served.fetch_add(1, Ordering::SeqCst);
    response.content_type("application/json").body(
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    )
}

fn lab(kind: Kind, seconds: f64) -> (web::Data<Lab>, u16) {
    let began = Instant::now();
    let lab = web::Data::new(Lab {
        kind,
        began,
        seconds,
        busy: AtomicUsize::new(0),
        servers: Semaphore::new(16),
        bucket: Mutex::new((BURST, began)),
        served: AtomicU64::new(0),
        work: AtomicU64::new(0),
        refused: AtomicU64::new(0),
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let data = lab.clone();
    std::thread::spawn(move || {
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).route("/v1/chat/completions", web::post().to(complete))
        });
        let server = server.workers(1).disable_signals().listen(listener).unwrap();
        actix_web::rt::System::new().block_on(server.run())
    });
    (lab, port)
}

/// Goodput ÷ oracle and refusals per success in virtual time: the least and the most of five seeds; and the oracle's
/// successes.
fn simulated(provider: &str, seconds: f64) -> ((f64, f64), (f64, f64), f64) {
    let text = format!(
        "about = \"x\"\nseconds = {seconds}\n{provider}\n[service]\nmedian = {MEDIAN}\nsigma = {SIGMA}\n\
         [[load]]\nkind = \"closed\"\nclients = {CLIENTS}\n"
    );
    let scenario = Scenario::parse("real", &text).unwrap();
    let runs: Vec<_> = (1..=5).map(|seed| run(&scenario, Controller::Fairflow, seed)).collect();
    let oracle: Vec<_> = (1..=5).map(|seed| run(&scenario, Controller::Oracle, seed)).collect();
    let summary = summarize(&runs, &oracle);
    let spread = |measure| summary.get(measure).map_or((0.0, 0.0), |spread| (spread.least, spread.most));
    let successes = oracle.iter().map(|run| run.successes as f64).sum::<f64>() / 5.0;
    (spread(fairflow::sim::Measure::Goodput), spread(fairflow::sim::Measure::Refusals), successes)
}

/// Returns how many calls were answered, and how many of them with an error.
async fn drive(url: &str, seconds: f64) -> (u64, u64) {
    let http = client();
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let clients = (0..CLIENTS).map(|n| {
        let request = http
            .post(format!("{url}/v1/chat/completions"))
            .header("x-fairflow-tenant", format!("t{}", n % 20))
            .body(r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hello"}]}"#);
        let counts = counts.clone();
        tokio::spawn(async move {
            while Instant::now() < end {
                let good = request.try_clone().unwrap().send().await.is_ok_and(|answer| answer.status().is_success());
                counts[0].fetch_add(1, Ordering::SeqCst);
                counts[1].fetch_add(u64::from(!good), Ordering::SeqCst);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    tokio::time::sleep_until(end).await;
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    (counts[0].load(Ordering::SeqCst), counts[1].load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a campaign of minutes; see the head of the file"]
async fn the_wire_is_within_two_hundredths_of_the_simulator() {
    let seconds = std::env::var("FAIRFLOW_REAL_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60.0);
    let rate =
        |headers: bool| format!("[provider.rate]\nper_minute = {}\nburst = {BURST}\nheaders = {headers}", RATE * 60.0);
    let (third, two) = (seconds / 3.0, seconds * 2.0 / 3.0);
    let cases = [
        ("cap 24", Kind::Cap, "[provider]\ncap = 24".to_owned()),
        ("silent queue, 16", Kind::Queue, "[provider]\nservers = 16".to_owned()),
        ("rate with headers", Kind::Rate { headers: true }, rate(true)),
        ("rate, bare 429", Kind::Rate { headers: false }, rate(false)),
        ("cap 24, 8, 48", Kind::Steps, format!("[provider]\ncap = [[0, 24], [{third}, 8], [{two}, 48]]")),
        ("weather, 1 % of 503", Kind::Weather(0.01), "[provider]\ncap = 24\nfailures = 0.01".to_owned()),
        ("weather, 5 % of 503", Kind::Weather(0.05), "[provider]\ncap = 24\nfailures = 0.05".to_owned()),
        ("503 in the first 0.8 s", Kind::Down(0.0, 0.8), "[provider]\ncap = 24\noutages = [[0, 0.8]]".to_owned()),
        (
            "503 for a fifth",
            Kind::Down(third, third + seconds / 5.0),
            format!("[provider]\ncap = 24\noutages = [[{third}, {}]]", third + seconds / 5.0),
        ),
        (
            "429 for a quarter",
            Kind::Full(third, third + seconds / 4.0),
            format!("[provider]\ncap = [[0, 24], [{third}, 0], [{}, 24]]", third + seconds / 4.0),
        ),
    ];
    println!(
        "| {seconds} s each | goodput ÷ oracle, HTTP | simulated | refusals per success, HTTP | simulated | calls that failed |"
    );
    println!("|---|---|---|---|---|---|");
    let mut far = Vec::new();
    let only = std::env::var("FAIRFLOW_REAL_ONLY").unwrap_or_default();
    for (name, kind, provider) in cases.into_iter().filter(|(name, ..)| name.contains(&only)) {
        let (goodput, refusals, oracle) = simulated(&provider, seconds);
        let (lab, port) = lab(kind, seconds);
        let rest = format!(
            "[providers.lab]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             [models.m]\nroutes = [{{ provider = \"lab\" }}]\n"
        );
        let gateway = Gateway::start("", &rest);
        let (calls, failed) = drive(&gateway.public, seconds).await;
        let served = lab.served.load(Ordering::SeqCst) as f64;
        // Where slots are the limit, the oracle delivers service at that rate, however long the requests turn out.
        let mean = MEDIAN * (SIGMA * SIGMA / 2.0).exp();
        let work = if matches!(kind, Kind::Rate { .. }) {
            served
        } else {
            lab.work.load(Ordering::SeqCst) as f64 / 1e6 / mean
        };
        let seen = (work / oracle, lab.refused.load(Ordering::SeqCst) as f64 / served.max(1.0));
        println!(
            "| {name} | {:.3} | {:.3}–{:.3} | {:.4} | {:.4}–{:.4} | {failed} of {calls} |",
            seen.0, goodput.0, goodput.1, seen.1, refusals.0, refusals.1
        );
        let near = |value: f64, (least, most): (f64, f64)| value >= least - 0.02 && value <= most + 0.02;
        if !near(seen.0, goodput) || !near(seen.1, refusals) {
            far.push(name);
        }
    }
    assert!(far.is_empty(), "further than 0.02 from the simulator: {far:?}");
}
