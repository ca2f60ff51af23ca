//! `fairflow serve`: the gateway, until a signal drains it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{AuthMode, Config};
use crate::gateway;
use crate::telemetry::log;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The TOML file; without one, a simulated provider with a model of each kind of task
    #[arg(long, env = "FAIRFLOW_CONFIG")]
    config: Option<PathBuf>,
    /// Public address, instead of the config's
    #[arg(long, env = "FAIRFLOW_LISTEN")]
    listen: Option<SocketAddr>,
    /// Admin address, instead of the config's
    #[arg(long, env = "FAIRFLOW_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
    /// How log lines are written; RUST_LOG says which
    #[arg(long, env = "FAIRFLOW_LOG_FORMAT", value_enum, default_value_t)]
    log_format: log::Format,
    /// Log a line per generation and per request that is refused
    #[arg(long, env = "FAIRFLOW_ACCESS_LOG")]
    access_log: bool,
}

pub(super) fn main(options: &Options) -> ExitCode {
    log::init(options.log_format, options.access_log);
    let config = match options.config.as_ref().map_or_else(|| Ok(Config::demo()), Config::from_path) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut config = config;
    config.server.listen = options.listen.unwrap_or(config.server.listen);
    config.server.admin_listen = options.admin_listen.unwrap_or(config.server.admin_listen);
    let first = config.models.keys().next().cloned().unwrap_or_else(|| "MODEL".to_owned());
    let model = if config.models.contains_key("sim-text") { "sim-text".to_owned() } else { first };
    let key = match config.server.auth {
        AuthMode::Open => "",
        AuthMode::Keys => " -H \"authorization: Bearer $KEY\"",
    };
    let outcome =
        actix_web::rt::System::new().block_on(gateway::serve(config, options.config.clone(), |public, admin| {
            say!("gateway   http://{public}/v1");
            say!("dashboard http://{admin}/");
            say!("try       curl http://{public}/v1/chat/completions -H 'content-type: application/json'{key} \\");
            say!(
                "            -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'"
            );
        }));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(gateway::ServeError::Start(error)) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}
