//! Scenarios of fairness: each figure beside what is expected of it.

use super::super::format::markdown;
use crate::sim::Spread;
use crate::sim::fairness::{self, Report, Scenario};

/// A scenario of fairness with what came of it.
pub(super) struct Shown {
    pub(super) text: String,
    /// Whether a figure is not as expected.
    pub(super) missed: bool,
}

/// Plays a scenario; figures are lower medians over the seeds.
pub(super) fn play(scenario: &Scenario, first_seed: u64, seeds: u64) -> Shown {
    let reports: Vec<Report> = (0..seeds).map(|n| fairness::play(scenario, first_seed.wrapping_add(n))).collect();
    let mut rows = vec![["figure", "of", "expected", "median", "", "others"].map(str::to_owned).to_vec()];
    let mut missed = false;
    for expect in &scenario.expect {
        let spread = Spread::of(reports.iter().map(|report| report.figure(expect)).collect());
        let figure = spread.map_or(f64::NAN, |spread| spread.median);
        let is_met = expect.is_met(figure);
        missed |= !is_met;
        let bound = |bound: Option<f64>| bound.map_or("any".to_owned(), |bound| bound.to_string());
        rows.push(vec![
            expect.measure.as_str().to_owned(),
            expect.of.join(", "),
            format!("{} to {}", bound(expect.min), bound(expect.max)),
            format!("{figure:.3}"),
            if is_met { "met" } else { "missed" }.to_owned(),
            expect.published.clone(),
        ]);
    }
    Shown { text: format!("{}\n{}", scenario.name, markdown(&rows)), missed }
}
