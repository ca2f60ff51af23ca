//! Arguments of `fairflow simulate`, and what it leaves behind.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::page;
use super::super::plots::PlotError;
use super::{fairness, play, plots, report, table, trace};
use crate::sim::{self, Controller, Scenario, ScenarioError, ScenarioFile, library};

/// The most seeds of one command.
const MOST_SEEDS: u64 = 1000;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Names of built-in scenarios, or paths of TOML files; all built-in ones when left out
    scenarios: Vec<String>,
    /// Plays the rivals as well
    #[arg(long, env = "FAIRFLOW_COMPARE")]
    compare: bool,
    /// The first seed
    #[arg(long, default_value_t = 1, env = "FAIRFLOW_SEED")]
    seed: u64,
    /// How many seeds: figures are medians over them
    #[arg(long, default_value_t = 5, env = "FAIRFLOW_SEEDS")]
    seeds: u64,
    /// Plays the arrivals of this trace instead of each scenario's own load
    #[arg(long, env = "FAIRFLOW_TRACE")]
    trace: Option<PathBuf>,
    /// With --trace: how many times its capacity the provider is asked for on average
    #[arg(long, default_value_t = 1.2, env = "FAIRFLOW_LOAD")]
    load: f64,
    /// Folder for report.html
    #[arg(long, default_value = "fairflow-simulate", env = "FAIRFLOW_OUT")]
    out: PathBuf,
    /// Writes the plots of the windows as files beside the report, too
    #[arg(long, env = "FAIRFLOW_SVG")]
    svg: bool,
    /// Fails when a scenario does not reach what it expects
    #[arg(long, env = "FAIRFLOW_CHECK")]
    check: bool,
    /// Lists the built-in scenarios
    #[arg(long)]
    list: bool,
}

pub(in crate::cli) fn main(options: &Options) -> ExitCode {
    if options.list {
        return list();
    }
    if !(1..=MOST_SEEDS).contains(&options.seeds) {
        eprintln!("--seeds {} is out of range; give a number from 1 to {MOST_SEEDS}", options.seeds);
        return ExitCode::from(2);
    }
    if !(0.01..=100.0).contains(&options.load) {
        eprintln!("--load {} is out of range; give a number from 0.01 to 100", options.load);
        return ExitCode::from(2);
    }
    let (asked, path) = match asked(options).and_then(|read| Ok((read, page::report_in(&options.out)?))) {
        Ok(prepared) => prepared,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match run(options, &asked, &path) {
        Ok(missed) => ExitCode::from(u8::from(options.check && missed)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}

fn list() -> ExitCode {
    match library::all() {
        Ok(scenarios) => {
            for scenario in scenarios {
                say!("{:16} {}", scenario.name, scenario.about);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}

/// The scenarios that were asked for.
#[derive(Default)]
struct Asked {
    controller: Vec<Scenario>,
    fairness: Vec<sim::fairness::Scenario>,
}

/// Reads what was asked for; whatever looks like a path is one.
fn asked(options: &Options) -> Result<Asked, Box<dyn Error>> {
    let mut asked = Asked::default();
    if options.scenarios.is_empty() {
        asked.controller = library::all()?;
    }
    for name in &options.scenarios {
        match scenario(name)? {
            ScenarioFile::Fairness(scenario) => asked.fairness.push(*scenario),
            ScenarioFile::Controller(scenario) => asked.controller.push(*scenario),
        }
    }
    if let Some(path) = &options.trace {
        trace::apply(&mut asked.controller, path, options.load, options.seed)?;
    }
    Ok(asked)
}

fn scenario(name: &str) -> Result<ScenarioFile, ScenarioError> {
    let path = Path::new(name);
    if path.extension().is_none_or(|ending| ending != "toml") && !name.contains(std::path::MAIN_SEPARATOR) {
        return library::find(name).map(|scenario| ScenarioFile::Controller(Box::new(scenario)));
    }
    ScenarioFile::open(path)
}

/// Plays, prints, writes. Says whether a scenario missed what it expects.
fn run(options: &Options, asked: &Asked, path: &Path) -> Result<bool, PlotError> {
    let mut missed = false;
    for scenario in &asked.fairness {
        let played = fairness::play(scenario, options.seed, options.seeds);
        say!("{}", played.text);
        missed |= played.missed;
    }
    if asked.controller.is_empty() {
        return Ok(missed);
    }
    let controllers = if options.compare { Controller::ALL } else { &[Controller::Fairflow] };
    let results = play::play(&asked.controller, controllers, options.seed, options.seeds);
    for result in &results {
        say!("{}", table::text(result));
    }
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    std::fs::write(path, report::html(&results, &format!("fairflow {command}"), options.seed, options.seeds)?)?;
    say!("report: {}", path.display());
    if options.svg {
        for result in &results {
            for (name, svg) in plots::files(result)? {
                std::fs::write(options.out.join(name), svg)?;
            }
        }
    }
    Ok(missed || results.iter().any(|result| !result.misses().is_empty()))
}
