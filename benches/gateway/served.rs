//! Processes that serve, each ended with its handle.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::process::{Usage, usage};
use crate::rig::until;
use crate::{ROLE, UPSTREAM};

/// A process that serves.
pub struct Served {
    pub name: &'static str,
    child: Child,
    pub address: SocketAddr,
    /// Its folder, removed with it.
    folder: Option<PathBuf>,
}

impl Served {
    /// Starts a process that says its address in its first line.
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut said, mut line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        said.read_line(&mut line).unwrap();
        // A process may end that cannot say what it has to.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        let (_, rest) = line.split_once("http://").expect("an address");
        let address = rest.trim_end().trim_end_matches("/v1").parse().unwrap();
        Self { name, child, address, folder: None }
    }

    /// Starts this program again, as `role`.
    pub fn role(role: &'static str, upstream: Option<SocketAddr>) -> Self {
        let upstream = upstream.map_or_else(String::new, |address| format!("http://{address}/v1"));
        Self::start(role, Command::new(std::env::current_exe().unwrap()).env(ROLE, role).env(UPSTREAM, upstream))
    }

    /// Starts a program that is told its port, and waits until it listens.
    pub fn foreign(name: &'static str, folder: PathBuf, address: SocketAddr, command: &mut Command) -> Self {
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let served = Self { name, child: command.spawn().unwrap(), address, folder: Some(folder) };
        until(name, || TcpStream::connect(address).is_ok());
        served
    }

    /// Starts the gateway with `config`.
    pub fn gateway(name: &'static str, config: &str) -> Self {
        Self::build_of_gateway(name, Path::new(env!("CARGO_BIN_EXE_fairflow")), config)
    }

    /// Starts a build of the gateway with `config`.
    pub fn build_of_gateway(name: &'static str, binary: &Path, config: &str) -> Self {
        let folder = folder(name);
        let path = folder.join("fairflow.toml");
        std::fs::write(&path, format!("[server]\nauth = \"open\"\nclient_keep_alive = \"10m\"\n{config}")).unwrap();
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let mut command = Command::new(binary);
        let mut served =
            Self::start(name, command.arg("serve").arg("--config").arg(path).args(listen).env("RUST_LOG", "error"));
        served.folder = Some(folder);
        served
    }

    pub fn usage(&self) -> Usage {
        usage(self.child.id())
    }

    /// Returns the resident memory once it stands still.
    pub fn resident(&self) -> f64 {
        let (mut last, begun) = (0.0, Instant::now());
        loop {
            let now = self.usage().resident;
            if (now - last).abs() < 256.0 * 1_024.0 || begun.elapsed() > Duration::from_secs(20) {
                return now;
            }
            last = now;
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // By its id, and gently: nginx ends its workers itself.
        Command::new("kill").arg(self.child.id().to_string()).status().ok();
        let begun = Instant::now();
        while self.child.try_wait().ok().flatten().is_none() && begun.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().ok();
        self.child.wait().ok();
        self.folder.take().map(std::fs::remove_dir_all);
    }
}

/// Makes a folder of its own.
pub fn folder(name: &str) -> PathBuf {
    static MADE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = MADE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("fairflow-bench-{}-{name}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns a port of loopback that is free now.
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
