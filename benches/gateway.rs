//! What the gateway costs over HTTP: the same small chats sent to a provider directly, through a bare actix-web + reqwest
//! forwarder, and through `fairflow serve`, in turn, in one run. `cargo bench --bench gateway`
//!
//! Each is a process of its own. `FAIRFLOW_BENCH_BEFORE=PATH` adds another build of `fairflow` to compare with,
//! `FAIRFLOW_BENCH_SECONDS` (2) and `FAIRFLOW_BENCH_ROUNDS` (5) say how long. Figures are medians of the rounds, and so
//! are the ratios, each of one round: a machine that others use moves all that run within seconds of each other.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::web::{Bytes, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: [usize; 3] = [1, 32, 256];
const PATH: &str = "/v1/chat/completions";
const QUESTION: &str = r#"{"model":"gpt-test","messages":[{"role":"system","content":"You answer briefly."},{"role":"user","content":"Why is the sky blue? One sentence, please."}],"max_tokens":64,"temperature":0.2}"#;
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-test","choices":[{"index":0,"message":{"role":"assistant","content":"Air scatters short waves more than long ones, so blue light reaches us from everywhere."},"finish_reason":"stop"}],"usage":{"prompt_tokens":31,"completion_tokens":19,"total_tokens":50}}"#;
const ROLE: &str = "FAIRFLOW_BENCH_ROLE";
const UPSTREAM: &str = "FAIRFLOW_BENCH_UPSTREAM";

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("provider") => provide(),
        Ok("forwarder") => forward(),
        _ => compare(),
    }
}

/// The provider: answers at once.
fn provide() {
    // It reads the question: actix-web closes connections whose bodies nobody reads.
    let answer = |_: Bytes| async { HttpResponse::Ok().content_type("application/json").body(ANSWER) };
    serve(1, move |app| _ = app.route(PATH, web::post().to(answer)));
}

/// What forwarding costs by itself: the body goes on as it is, and so does the answer.
fn forward() {
    let url = format!("{}/chat/completions", std::env::var(UPSTREAM).unwrap());
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let client = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().unwrap();
    let answer = |body: Bytes, target: Data<(reqwest::Client, String)>| async move {
        let request = target.0.post(&target.1).header("content-type", "application/json").body(body);
        let body = request.send().await.unwrap().bytes().await.unwrap();
        HttpResponse::Ok().content_type("application/json").body(body)
    };
    let target = Data::new((client, url));
    let workers = std::thread::available_parallelism().unwrap().get();
    serve(workers, move |app| _ = app.app_data(target.clone()).route(PATH, web::post().to(answer)));
}

fn serve(workers: usize, routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}/v1", listener.local_addr().unwrap());
    // Connections that rest while the others have their turn are not closed.
    let server = HttpServer::new(move || App::new().configure(routes.clone())).keep_alive(Duration::from_secs(600));
    let server = server.workers(workers);
    actix_web::rt::System::new().block_on(server.listen(listener).unwrap().run()).unwrap();
}

/// A process that serves; ended with its handle.
struct Served {
    name: &'static str,
    child: Child,
    /// Kept open: a process may end that cannot say what it has to.
    _said: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Served {
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut said, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        said.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("http://").unwrap();
        Self { name, child, address: rest.trim_end().trim_end_matches("/v1").parse().unwrap(), _said: said }
    }

    fn role(role: &'static str, upstream: Option<SocketAddr>) -> Self {
        let upstream = upstream.map_or_else(String::new, |address| format!("http://{address}/v1"));
        Self::start(role, Command::new(std::env::current_exe().unwrap()).env(ROLE, role).env(UPSTREAM, upstream))
    }

    fn gateway(name: &'static str, binary: &Path, config: &Path) -> Self {
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut command = Command::new(binary);
        Self::start(name, command.arg("serve").arg("--config").arg(config).args(listen).env("RUST_LOG", "warn"))
    }

    /// Processor time used so far, in seconds.
    fn busy(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // User and system time, in hundredths of a second.
        fields
            .get(11..13)
            .map_or(0.0, |ticks| ticks.iter().map(|ticks| ticks.parse().unwrap_or(0.0)).sum::<f64>() / 100.0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What one load saw.
#[derive(Clone, Copy)]
struct Seen {
    per_second: f64,
    median: f64,
    p99: f64,
    /// Processor time of the process per request, in microseconds.
    busy: f64,
}

fn compare() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let span = Duration::from_secs(number("FAIRFLOW_BENCH_SECONDS", 2));
    let rounds = number("FAIRFLOW_BENCH_ROUNDS", 5);
    let provider = Served::role("provider", None);
    let forwarder = Served::role("forwarder", Some(provider.address));
    let config = std::env::temp_dir().join(format!("fairflow-bench-{}.toml", std::process::id()));
    std::fs::write(&config, settings(provider.address)).unwrap();
    let mut targets = vec![provider, forwarder];
    if let Some(before) = std::env::var_os("FAIRFLOW_BENCH_BEFORE").map(PathBuf::from) {
        targets.push(Served::gateway("before", &before, &config));
    }
    targets.push(Served::gateway("fairflow", Path::new(env!("CARGO_BIN_EXE_fairflow")), &config));
    println!(
        "| connections | through | req/s | of the forwarder's | median, µs | P99, µs | times the forwarder's median | processor, µs a request |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|");
    for connections in CONNECTIONS {
        let mut seen = vec![Vec::new(); targets.len()];
        for _ in 0..rounds {
            for (target, seen) in targets.iter().zip(&mut seen) {
                load(target, connections, Duration::from_millis(300));
                seen.push(load(target, connections, span));
            }
        }
        for (target, these) in targets.iter().zip(&seen) {
            let figure = |of: fn(&Seen) -> f64| median(these.iter().map(of));
            let ratio = |of: fn(&Seen) -> f64| median(these.iter().zip(&seen[1]).map(|(a, b)| of(a) / of(b)));
            println!(
                "| {connections} | {} | {:.0} | {:.2} | {:.0} | {:.0} | {:.2} | {:.1} |",
                target.name,
                figure(|seen| seen.per_second),
                ratio(|seen| seen.per_second),
                figure(|seen| seen.median),
                figure(|seen| seen.p99),
                ratio(|seen| seen.median),
                figure(|seen| seen.busy),
            );
        }
    }
    std::fs::remove_file(config).ok();
}

fn settings(provider: SocketAddr) -> String {
    format!(
        "[server]\nauth = \"open\"\n[providers.lab]\nkind = \"openai\"\nbase_url = \"http://{provider}/v1\"\n\
         [models.\"gpt-test\"]\nroutes = [{{ provider = \"lab\" }}]\nwindow = {{ initial = 512, min = 512, max = 512 }}\n"
    )
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Sends one chat after the other over each of `connections`.
fn load(target: &Served, connections: usize, span: Duration) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (begun, busy) = (Instant::now(), target.busy());
    let mut spans: Vec<f64> = runtime.block_on(async {
        let until = begun + span;
        let clients: Vec<_> = (0..connections).map(|_| tokio::spawn(client(target.address, until))).collect();
        let mut spans = Vec::new();
        for client in clients {
            spans.extend(client.await.unwrap());
        }
        spans
    });
    let requests = spans.len() as f64;
    let seconds = begun.elapsed().as_secs_f64();
    spans.sort_by(f64::total_cmp);
    let quantile = |q: f64| spans[((requests - 1.0) * q) as usize] * 1e6;
    let busy = (target.busy() - busy) / requests * 1e6;
    Seen { per_second: requests / seconds, median: quantile(0.5), p99: quantile(0.99), busy }
}

async fn client(address: SocketAddr, until: Instant) -> Vec<f64> {
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nauthorization: Bearer sk-bench\r\n\
         content-length: {}\r\n\r\n{QUESTION}",
        QUESTION.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut spans, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let sent = Instant::now();
        if sent >= until {
            return spans;
        }
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut filled = 0;
        while !is_whole(&buffer[..filled]) {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "hung up after {:?}", String::from_utf8_lossy(&buffer[..filled]));
            filled += read;
        }
        spans.push(sent.elapsed().as_secs_f64());
    }
}

fn is_whole(response: &[u8]) -> bool {
    let Some(head) = response.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let text = std::str::from_utf8(&response[..head]).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(response));
    let mut lengths = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = lengths.next().unwrap().1.parse().unwrap();
    response.len() >= head + 4 + length
}
