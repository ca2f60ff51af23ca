//! A gateway process, and a client that speaks to it, for the tests that look at fairflow from outside.
#![allow(dead_code, unused_imports, reason = "each test uses a part")]

mod eventually;
mod log;
pub mod prometheus;

pub use eventually::{eventually, found};
pub use log::Log;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

static GATEWAYS: AtomicU64 = AtomicU64::new(0);

/// A gateway process on ports of its own, ended with the test.
pub struct Gateway {
    child: Child,
    /// `http://HOST:PORT` of the public and of the admin port.
    pub public: String,
    pub admin: String,
    config: PathBuf,
}

/// A file beside the configurations, gone with the test.
pub struct Beside(pub PathBuf);

impl Beside {
    /// Names a file that is not there yet.
    pub fn new(name: &str) -> Self {
        let number = GATEWAYS.fetch_add(1, Ordering::SeqCst);
        let beside = std::env::temp_dir().join(format!("fairflow-{}-{number}-{name}", std::process::id()));
        Self(beside)
    }

    /// Writes it, whole or not at all.
    pub fn write(&self, text: &str) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &self.0).unwrap();
    }

    /// Returns its name, as a configuration gives it.
    pub fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait(), std::fs::remove_file(&self.config));
    }
}

impl Gateway {
    /// Starts a gateway; `server` goes into `[server]`, `rest` behind it.
    pub fn start(server: &str, rest: &str) -> Self {
        Self::start_with(server, rest, |_| {})
    }

    /// As [`start`](Self::start), with more arguments or another environment.
    pub fn start_with(server: &str, rest: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let number = GATEWAYS.fetch_add(1, Ordering::SeqCst);
        let name = format!("fairflow-{}-{number}.toml", std::process::id());
        let config = std::env::temp_dir().join(name);
        let listen = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"";
        std::fs::write(&config, format!("[server]\n{listen}\n{server}\n{rest}")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairflow"));
        command.args(["serve", "--config"]).arg(&config).env("RUST_LOG", "warn").stdout(Stdio::piped());
        adjust(&mut command);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = || {
            let line = lines.next().expect("the gateway prints its addresses; did it start?").unwrap();
            let url: reqwest::Url = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            format!("http://{}:{}", url.host_str().unwrap(), url.port().unwrap())
        };
        let (public, admin) = (address(), address());
        // Read on, or what it prints next would find a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, public, admin, config }
    }

    /// Returns the id of the process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM, which begins a drain.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Writes another configuration behind the same `[server]`, which must have been started without more in it.
    pub fn rewrite(&self, rest: &str) {
        let listen = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"";
        std::fs::write(&self.config, format!("[server]\n{listen}\n\n{rest}")).unwrap();
    }

    /// Returns how much memory the process has resident, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Waits until the process has ended and says whether it ended well.
    pub async fn ended(&mut self) -> bool {
        let child = &mut self.child;
        found("the gateway ends", async || child.try_wait().unwrap()).await.success()
    }

    /// Waits until nothing of a model waits or is in flight.
    pub async fn at_rest(&self, model: &str) {
        let http = client();
        eventually(&format!("nothing of {model} waits or is in flight"), async || {
            let now = json(http.get(format!("{}/v1/capacity/{model}", self.public)).send().await.unwrap()).await;
            now["models"][0]["queueDepth"] == 0 && now["models"][0]["inFlight"] == 0
        })
        .await;
    }
}

/// An HTTP client without proxy and TLS.
pub fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let builder = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls);
    builder.timeout(Duration::from_secs(60)).build().unwrap()
}

/// Reads a response as JSON.
pub async fn json(response: reqwest::Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}
