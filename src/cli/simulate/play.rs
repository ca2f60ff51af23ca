//! Plays scenarios × controllers × seeds on all cores.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::sim::{Controller, Measure, Run, Scenario, Summary, run, summarize};

/// A scenario with the figures and runs that came of it.
#[derive(Debug)]
pub(super) struct Played<'a> {
    pub(super) scenario: &'a Scenario,
    /// Each controller with its figures and its run of the first seed.
    pub(super) rows: Vec<(Controller, Summary, Run)>,
    pub(super) oracle: Run,
}

impl Played<'_> {
    /// Returns the measures that the scenario expects of fairflow and did not get.
    pub(super) fn misses(&self) -> Vec<(Measure, f64, (f64, f64))> {
        let ours = self.rows.iter().find(|(controller, ..)| *controller == Controller::Fairflow);
        ours.map_or(Vec::new(), |(_, summary, _)| summary.misses(self.scenario))
    }
}

/// Plays everything; the results are in the order asked for, whatever finishes first.
pub(super) fn play<'a>(
    scenarios: &'a [Scenario],
    controllers: &[Controller],
    first_seed: u64,
    seeds: u64,
) -> Vec<Played<'a>> {
    let all: Vec<Controller> = [Controller::Oracle].into_iter().chain(controllers.iter().copied()).collect();
    let mut tasks = Vec::new();
    for scenario in scenarios {
        for &controller in &all {
            tasks.extend((0..seeds).map(|n| (scenario, controller, first_seed.wrapping_add(n))));
        }
    }
    let bar = ProgressBar::new(tasks.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {elapsed} {msg}") {
        bar.set_style(style);
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Run)>> = Mutex::new(Vec::with_capacity(tasks.len()));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(tasks.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, (scenario, controller, seed))) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    tasks.get(index).map(|task| (index, *task))
                } {
                    let mut played = run(scenario, controller, seed);
                    if seed != first_seed {
                        // Only the first is drawn.
                        played.samples = Vec::new();
                        played.changes = Vec::new();
                    }
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, played));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    let mut runs = done.into_iter().map(|(_, run)| run);
    let mut of_one = || runs.by_ref().take(seeds as usize).collect::<Vec<Run>>();
    let mut results = Vec::new();
    for scenario in scenarios {
        let oracle = of_one();
        let rows = controllers.iter().filter_map(|&controller| {
            let runs = of_one();
            let summary = summarize(&runs, &oracle);
            Some((controller, summary, runs.into_iter().next()?))
        });
        let rows = rows.collect();
        if let Some(oracle) = oracle.into_iter().next() {
            results.push(Played { scenario, rows, oracle });
        }
    }
    results
}
