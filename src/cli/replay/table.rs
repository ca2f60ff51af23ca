//! The tables of a replay, for the terminal and for Markdown.

use super::super::format::{markdown, milliseconds, number, percent, seconds, thousands};
use super::summary::{Quantiles, Summary};

/// Renders the figures as Markdown whose columns are aligned, for the terminal as for documents.
pub fn text_table(summary: &Summary) -> String {
    let mut text = String::new();
    for rows in [figures(summary), outcome_rows(summary), tenant_rows(summary)] {
        // Without requests some have nothing under their header.
        if rows.len() > 1 {
            text += &markdown(&rows);
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The figures of the replay as a whole.
pub(super) fn figures(summary: &Summary) -> Vec<Vec<String>> {
    let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
    let quantiles =
        |q: Option<Quantiles>| q.map_or("–".to_owned(), |q| [q.p50, q.p90, q.p99].map(milliseconds).join(" / "));
    let part = |count| format!("{} ({})", thousands(count as f64), percent(ratio(count, summary.requests)));
    vec![
        row(["figure", "value"]),
        row(["requests", &thousands(summary.requests as f64)]),
        row(["succeeded", &part(summary.succeeded)]),
        row(["refused", &part(summary.refused)]),
        row(["failed", &part(summary.failed)]),
        row(["span", &seconds(summary.span)]),
        row(["goodput", &format!("{} requests/s, {} cost/s", number(summary.goodput), number(summary.goodput_cost))]),
        row(["latency P50 / P90 / P99", &quantiles(summary.total)]),
        row(["queue wait P50 / P90 / P99", &quantiles(summary.wait)]),
        row(["attempts per success", &number(summary.attempts_per_success)]),
        row(["fairness (Jain)", &fairness(summary)]),
        row(["tenants", &thousands(summary.tenant_count as f64)]),
    ]
}

/// Jain's index with what it was measured over.
pub(super) fn fairness(summary: &Summary) -> String {
    match summary.fairness.jain {
        Some(jain) => format!(
            "{jain:.3} over {} tenants in {} of contention",
            thousands(summary.fairness.tenants as f64),
            seconds(summary.fairness.contended)
        ),
        None => "– (no contention)".to_owned(),
    }
}

/// How requests ended.
pub(super) fn outcome_rows(summary: &Summary) -> Vec<Vec<String>> {
    let mut rows = vec![["outcome", "requests", "part"].map(str::to_owned).to_vec()];
    rows.extend(summary.outcomes.iter().map(|outcome| {
        let status = if outcome.status == 0 { "no answer".to_owned() } else { outcome.status.to_string() };
        let name = format!("{status} {}", outcome.reason);
        let part = percent(ratio(outcome.count, summary.requests));
        vec![name.trim_end().to_owned(), thousands(outcome.count as f64), part]
    }));
    rows
}

/// The tenants' lines.
pub(super) fn tenant_rows(summary: &Summary) -> Vec<Vec<String>> {
    let header = ["tenant", "requests", "succeeded", "refused", "asked for", "served", "wait P50", "wait P99"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(summary.tenants.iter().map(|tenant| {
        let wait = |of: fn(&Quantiles) -> f64| tenant.wait.as_ref().map_or("–".to_owned(), |q| milliseconds(of(q)));
        vec![
            tenant.tenant.clone(),
            thousands(tenant.requests as f64),
            thousands(tenant.succeeded as f64),
            thousands(tenant.refused as f64),
            percent(tenant.demand_share),
            percent(tenant.served_share),
            wait(|q| q.p50),
            wait(|q| q.p99),
        ]
    }));
    rows
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}
