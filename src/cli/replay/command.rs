//! Arguments of `fairflow replay`, and what it leaves behind.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use secrecy::SecretString;

use super::super::page;
use super::ask::{self, Ask};
use super::record::Replay;
use super::target::{Embedded, Gateway, Target};
use super::{drive, report, summary, trace};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// A trace of arrivals; its format is recognised
    trace: PathBuf,
    /// A gateway to send it through, like http://127.0.0.1:8080 [default: a scheduler in this process, on `sim`]
    #[arg(long, env = "FAIRFLOW_TARGET")]
    target: Option<String>,
    /// Key for the gateway; one with open auth takes the trace's tenants without
    #[arg(long, env = "FAIRFLOW_API_KEY", hide_env_values = true, requires = "target")]
    api_key: Option<SecretString>,
    #[command(flatten)]
    ask: ask::Options,
    /// How many times faster than it was
    #[arg(long, default_value_t = 1.0, env = "FAIRFLOW_SPEED")]
    speed: f64,
    /// Spreads or folds the arrivals over that many tenants
    #[arg(long, env = "FAIRFLOW_TENANTS")]
    tenants: Option<usize>,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 1, env = "FAIRFLOW_SEED")]
    seed: u64,
    /// Replays at most that many arrivals
    #[arg(long, env = "FAIRFLOW_LIMIT")]
    limit: Option<usize>,
    /// Begins that far into the trace, like "90m"
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration, env = "FAIRFLOW_START")]
    start: Duration,
    /// Takes that much of the trace, like "1h"
    #[arg(long, value_parser = humantime::parse_duration, env = "FAIRFLOW_DURATION")]
    duration: Option<Duration>,
    /// Folder for report.html
    #[arg(long, default_value = "fairflow-replay", env = "FAIRFLOW_OUT")]
    out: PathBuf,
}

pub(in crate::cli) fn main(options: &Options) -> ExitCode {
    // The lower end keeps the longest trace within what a time can hold.
    if !(0.001..=1e6).contains(&options.speed) {
        eprintln!("--speed {} is out of range; give a number from 0.001 to 1000000", options.speed);
        return ExitCode::from(2);
    }
    let spread = trace::Options {
        tenants: options.tenants,
        seed: options.seed,
        limit: options.limit,
        start: options.start,
        duration: options.duration,
    };
    let prepare = || -> Result<_, Box<dyn std::error::Error>> {
        let trace = trace::load(&options.trace, &spread)?;
        let ask = Ask::new(&options.ask, &trace)?;
        Ok((trace, ask, page::report_in(&options.out)?))
    };
    let (trace, ask, path) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match run(options, &trace, &ask, &path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}

fn run(options: &Options, trace: &trace::Trace, ask: &Ask, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (records, samples) = runtime.block_on(async {
        let target = match &options.target {
            Some(url) => Target::Gateway(Gateway::connect(url, options.api_key.as_ref(), &ask.model).await?),
            None => Target::Embedded(Embedded::start(options.seed, &ask.model).await?),
        };
        Ok::<_, Box<dyn std::error::Error>>(drive::drive(&target, ask, trace, options.speed).await)
    })?;
    let replay = Replay {
        title: trace.name.clone(),
        command: command_line(),
        note: format!("{} {}", trace.note, ask.note()),
        speed: options.speed,
        records,
        samples,
    };
    say!("{}", summary::text_table(&summary::summarize(&replay)));
    std::fs::write(path, report::html(&replay)?)?;
    say!("report: {}", path.display());
    Ok(())
}

/// Returns what was typed, for the report; a key stays out of it.
fn command_line() -> String {
    let mut words = vec!["fairflow".to_owned()];
    let mut hide = false;
    for word in std::env::args().skip(1) {
        words.push(match word.split_once('=') {
            _ if std::mem::take(&mut hide) => "…".to_owned(),
            Some(("--api-key", _)) => "--api-key=…".to_owned(),
            _ => word.clone(),
        });
        hide = word == "--api-key";
    }
    words.join(" ")
}
