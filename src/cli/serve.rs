//! `fairflow serve`: the gateway, until a signal drains it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Config;
use crate::gateway;

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
}

pub(super) fn main(options: &Options) -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // A log that nobody reads any more (a closed pipe) must not end what it tells of.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.log_internal_errors(false).init();
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
    let outcome =
        actix_web::rt::System::new().block_on(gateway::serve(config, options.config.clone(), |public, admin| {
            println!("gateway   http://{public}/v1");
            println!("dashboard http://{admin}/");
            println!("try       curl http://{public}/v1/chat/completions -H 'content-type: application/json' \\");
            println!(
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
