//! Figures as people read them: numbers with units, and the tables of the terminal and of Markdown.

use super::summary::{Quantiles, Summary};

/// The longest name that a table shows, in characters.
const NAME: usize = 28;

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

/// Aligns cells under a header row; the first column to the left, the others to the right.
fn markdown(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.first().map_or(0, Vec::len);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(2)).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text += &if column == 0 { format!("| {cell:<width$} ") } else { format!("| {cell:>width$} ") };
        }
        text += "|\n";
        if index == 0 {
            for (column, width) in widths.iter().enumerate() {
                let line = "-".repeat(width + 1);
                text += &if column == 0 { format!("|{line}-") } else { format!("|{line}:") };
            }
            text += "|\n";
        }
    }
    text
}

/// A cell that can do no harm to a terminal or to Markdown, and is not too long.
fn plain(cell: &str) -> String {
    short(cell).replace('|', "\\|")
}

/// Text of a trace without control characters, cut to a readable length.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 2 * NAME;
    let mut cut: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        cut.push('…');
    }
    cut
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

/// `0.123` as `12.3%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// A count with separators: `15,630`.
pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three or so significant digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Milliseconds in the unit that suits them.
pub(super) fn milliseconds(value: f64) -> String {
    if value < 1000.0 { format!("{value:.0} ms") } else { seconds(value / 1000.0) }
}

/// Seconds in the unit that suits them.
pub(super) fn seconds(value: f64) -> String {
    match value {
        value if value < 100.0 => format!("{} s", number(value)),
        value if value < 6000.0 => format!("{} min", number(value / 60.0)),
        value => format!("{} h", number(value / 3600.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(15_630.0), "15,630");
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(-123_456.0), "-123,456");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!([number(0.5), number(12.34), number(123.4), number(12345.6)], ["0.50", "12.3", "123", "12,346"]);
        assert_eq!([milliseconds(999.0), milliseconds(1500.0)], ["999 ms", "1.50 s"]);
        assert_eq!([seconds(99.0), seconds(150.0), seconds(7200.0)], ["99.0 s", "2.50 min", "2.00 h"]);
        assert_eq!(percent(0.1234), "12.3%");
    }

    #[test]
    fn columns_line_up_and_hostile_cells_stay_cells() {
        let rows = [["name", "n"], ["a|b\u{1b}[31m", "12,345"], ["größer", "1"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        let text = markdown(&rows);
        let wanted =
            "| name      |      n |\n|-----------|-------:|\n| a\\|b\u{fffd}[31m | 12,345 |\n| größer    |      1 |\n";
        assert_eq!(text, wanted);
        assert_eq!(short(&"x".repeat(99)).chars().count(), 57);
    }
}
