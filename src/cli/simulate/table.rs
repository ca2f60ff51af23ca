//! The figures of a scenario as a table.

use super::super::format::markdown;
use super::play::Played;
use crate::sim::{Controller, Measure, Spread};

/// The scenario's text for the terminal.
pub(super) fn text(played: &Played<'_>) -> String {
    let mut text = format!("{}: {}\n{}", played.scenario.name, played.scenario.about, markdown(&rows(played)));
    for (measure, value, (least, most)) in played.misses() {
        text += &format!("missed: {} is {}, expected {least} to {most}\n", measure.name(), number(measure, value));
    }
    text
}

/// Makes a row for each controller, with a column for each measure that applies.
pub(super) fn rows(played: &Played<'_>) -> Vec<Vec<String>> {
    let applies = |measure: &Measure| played.rows.iter().any(|(_, summary, _)| summary.get(*measure).is_some());
    let said = |measure: &Measure| match measure {
        // Nothing to say where it never happens.
        Measure::InsideRetryAfter | Measure::Lost => {
            played.rows.iter().any(|(_, summary, _)| summary.get(*measure).is_some_and(|spread| spread.most > 0.0))
                || played.scenario.expect.contains_key(measure)
        }
        _ => true,
    };
    let measures: Vec<Measure> = Measure::ALL.iter().copied().filter(applies).filter(said).collect();
    let mut rows =
        vec![std::iter::once("controller".to_owned()).chain(measures.iter().map(|m| m.name().to_owned())).collect()];
    for (controller, summary, _) in &played.rows {
        let cells =
            measures.iter().map(|measure| summary.get(*measure).map_or("–".to_owned(), |s| spread(*measure, s)));
        rows.push(std::iter::once(controller.to_string()).chain(cells).collect());
    }
    rows
}

/// Every scenario's expectations of fairflow beside what came.
pub(super) fn expectations(results: &[Played<'_>]) -> Vec<Vec<String>> {
    let mut rows =
        vec![["scenario", "measure", "expected", "fairflow, median (range)", ""].map(str::to_owned).to_vec()];
    for played in results {
        let ours = played.rows.iter().find(|(controller, ..)| *controller == Controller::Fairflow);
        for (measure, (least, most)) in &played.scenario.expect {
            let seen = ours.and_then(|(_, summary, _)| summary.get(*measure));
            let met = seen.is_some_and(|spread| (*least..=*most).contains(&spread.median));
            rows.push(vec![
                played.scenario.name.clone(),
                measure.name().to_owned(),
                format!("{least} to {most}"),
                seen.map_or("–".to_owned(), |s| spread(*measure, s)),
                if met { "met" } else { "missed" }.to_owned(),
            ]);
        }
    }
    rows
}

fn number(measure: Measure, value: f64) -> String {
    format!("{value:.*}", measure.decimals())
}

fn spread(measure: Measure, Spread { median, least, most }: Spread) -> String {
    let (middle, low, high) = (number(measure, median), number(measure, least), number(measure, most));
    if low == high { middle } else { format!("{middle} ({low}–{high})") }
}
