//! Arguments of `fairflow replay`, and what it leaves behind.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::record::Replay;
use super::{drive, report, summary, trace};
use crate::{Config, Fairflow};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// A trace of arrivals; its format is recognised
    trace: PathBuf,
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
    let trace = match trace::load(&options.trace, &spread) {
        Ok(trace) => trace,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match run(options, &trace) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}

fn run(options: &Options, trace: &trace::Trace) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (records, samples) = runtime.block_on(async {
        let fairflow = Fairflow::builder(Config::demo()).seed(options.seed).start().await?;
        Ok::<_, crate::StartError>(drive::drive(&fairflow, trace, options.speed).await)
    })?;
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let replay = Replay {
        title: trace.name.clone(),
        command: format!("fairflow {command}"),
        note: trace.note.clone(),
        speed: options.speed,
        records,
        samples,
    };
    println!("{}", summary::text_table(&summary::summarize(&replay)));
    std::fs::create_dir_all(&options.out)?;
    let path = options.out.join("report.html");
    std::fs::write(&path, report::html(&replay)?)?;
    println!("report: {}", path.display());
    Ok(())
}
