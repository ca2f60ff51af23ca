//! A survey of the window over capacities and service times for which its constants were not chosen, in virtual time.
//!
//!     cargo run --release --example window_survey
#![allow(clippy::print_stdout, reason = "an example")]

use fairflow::sim::{Controller, Discipline, Measure, Scenario, ScenarioError, Service, Steps, run, summarize};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// A thousand closed-loop clients before a provider without limits.
fn scenario(median: f64, sigma: f64) -> Result<Scenario, ScenarioError> {
    let text = "about = \"\"\n[window]\nmax = 512\n[[load]]\nkind = \"closed\"\nclients = 1000";
    let mut scenario = Scenario::parse("survey", text)?;
    scenario.seconds = 8_000.0 * median;
    scenario.service = Service { median, sigma, ..Service::default() };
    Ok(scenario)
}

fn main() -> Result<(), ScenarioError> {
    println!(
        "{:8} {:>8} {:>6} {:>5} {:>8} {:>9} {:>9}",
        "provider", "capacity", "median", "σ", "goodput", "refusals", "in flight"
    );
    for (median, sigma) in [(0.05, 0.3), (1.0, 0.8), (5.0, 0.5), (30.0, 1.0)] {
        for capacity in [1.0, 3.0, 8.0, 13.0, 40.0, 100.0] {
            for kind in ["cap", "queue", "sharing"] {
                let mut scenario = scenario(median, sigma)?;
                let provider = &mut scenario.provider;
                match kind {
                    "cap" => provider.cap = Steps::always(capacity),
                    _ => provider.servers = Steps::always(capacity),
                }
                if kind == "sharing" {
                    provider.discipline = Discipline::Sharing;
                }
                let of = |controller| SEEDS.map(|seed| run(&scenario, controller, seed)).collect::<Vec<_>>();
                let summary = summarize(&of(Controller::Fairflow), &of(Controller::Oracle));
                let [goodput, refusals, in_flight] = [Measure::Goodput, Measure::Refusals, Measure::InFlight]
                    .map(|measure| summary.get(measure).map_or(f64::NAN, |spread| spread.median));
                println!(
                    "{kind:8} {capacity:>8} {median:>6} {sigma:>5} {goodput:>8.3} {refusals:>9.4} {in_flight:>9.1}"
                );
            }
        }
    }
    Ok(())
}
