//! Figures as people read them: numbers with units, and aligned tables.

/// The longest name that a table shows, in characters.
const NAME: usize = 28;

/// Aligns cells under a header row; the first column to the left, the others to the right.
pub(crate) fn markdown(rows: &[Vec<String>]) -> String {
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
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 2 * NAME;
    let mut cut: String = text.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        cut.push('…');
    }
    cut
}

/// `0.123` as `12.3%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// A count with separators: `15,630`.
pub(crate) fn thousands(value: f64) -> String {
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
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => thousands(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Milliseconds in the unit that suits them.
pub(crate) fn milliseconds(value: f64) -> String {
    if value < 1000.0 { format!("{value:.0} ms") } else { seconds(value / 1000.0) }
}

/// Seconds in the unit that suits them.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        value if value < 100.0 => format!("{} s", number(value)),
        value if value < 6000.0 => format!("{} min", number(value / 60.0)),
        value => format!("{} h", number(value / 3600.0)),
    }
}

/// A measurement that statistics can take: what is not finite, or negative, counts as 0.
pub(crate) fn finite(value: f64) -> f64 {
    if value.is_finite() { value.max(0.0) } else { 0.0 }
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
