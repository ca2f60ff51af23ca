//! Log lines, to standard error.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::access;
use super::request::InRequest;

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line, for machines.
    Json,
}

/// Begins to write log lines; `RUST_LOG` says which, `info` by default. `access` adds a line per generation.
pub(crate) fn init(format: Format, access: bool) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    if access && let Ok(directive) = format!("{}=debug", access::TARGET).parse::<Directive>() {
        filter = filter.add_directive(directive);
    }
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    // A log that nobody reads any more (a closed pipe) must not end what it tells of.
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(coloured).log_internal_errors(false);
    let log = registry().with(filter);
    match format {
        Format::Pretty => log.with(InRequest(lines)).init(),
        Format::Json => log.with(InRequest(lines.json().flatten_event(true).with_span_list(false))).init(),
    }
}
