//! The report of a simulation: one HTML file that needs nothing beside it.

use super::super::page::{self, rows, section};
use super::super::plots::PlotError;
use super::play::Played;
use super::{plots, table};

/// Renders the report.
pub(super) fn html(results: &[Played<'_>], command: &str, first_seed: u64, seeds: u64) -> Result<String, PlotError> {
    let title = match results {
        [one] => one.scenario.name.clone(),
        all => format!("{} scenarios", all.len()),
    };
    let note =
        format!("Figures are medians over {seeds} seeds from {first_seed} on, with their range; plots show the first.");
    let mut page = page::head("fairflow simulate", &title, command, &note);
    page += &rows("What was expected", &table::expectations(results));
    for played in results {
        page += &page::heading(&played.scenario.name, &played.scenario.about);
        page += &rows("Figures", &table::rows(played));
        for plot in plots::plots(played)? {
            page += &section(&plot);
        }
    }
    Ok(page + &page::foot("Time is virtual. The oracle knows at each instant what the provider could serve."))
}
