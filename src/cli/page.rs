//! Pages that need nothing beside them: no scripts, nothing loaded, light and dark.

use std::path::{Path, PathBuf};

use plotters::style::RGBColor;

use super::format::short;
use super::plots::Plot;

const STYLE: &str = include_str!("page.css");

/// Returns where the report goes, and makes its folder: before the work, so that a long run is not lost for it.
///
/// # Errors
///
/// In words, where it is none and cannot be made one, or nothing can be written there.
pub(super) fn report_in(out: &Path) -> Result<PathBuf, String> {
    let cannot = |error: std::io::Error| {
        format!("--out {}: no report can be written there ({error}); name another folder", out.display())
    };
    std::fs::create_dir_all(out).map_err(cannot)?;
    let path = out.join("report.html");
    std::fs::OpenOptions::new().append(true).create(true).open(&path).map_err(cannot)?;
    Ok(path)
}

/// The head of a page: its title, what made it, and a note, all of it escaped here.
pub(super) fn head(brand: &str, title: &str, command: &str, note: &str) -> String {
    let (title, command, note) = (escape(title), escape(command), escape(note));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} – fairflow</title><style>\n{STYLE}</style></head><body><main>\n\
         <header><p class=\"brand\">{brand}</p><h1>{title}</h1>"
    );
    if !command.is_empty() {
        page += &format!("<code>{command}</code>");
    }
    page + &format!("<p class=\"note\">{note}</p></header>\n")
}

/// The foot of a page.
pub(super) fn foot(note: &str) -> String {
    format!("<footer>Made by fairflow. {}</footer></main></body></html>\n", escape(note))
}

/// Text as HTML shows it: markup in it has no effect.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// A heading over several sections, and what it is about.
pub(super) fn heading(title: &str, about: &str) -> String {
    format!("<h1 class=\"part\">{}</h1><p class=\"note\">{}</p>\n", escape(title), escape(about))
}

/// A figure: its name, its value as markup, and more about it.
pub(super) fn figure(name: &str, value: &str, more: &str) -> String {
    format!(
        "<div class=\"figure\"><div class=\"name\">{}</div><div class=\"value\">{value}</div>\
         <div class=\"more\">{}</div></div>",
        escape(name),
        escape(more)
    )
}

/// A value and its unit, the unit set smaller.
pub(super) fn unit(value: &str, unit: &str) -> String {
    format!("{} <small>{}</small>", escape(value), escape(unit))
}

/// A plot under its heading.
pub(super) fn section(plot: &Plot) -> String {
    let mut page =
        format!("<section><h2>{}</h2><p class=\"caption\">{}</p>", escape(&plot.title), escape(&plot.caption));
    page += "<div class=\"legend\">";
    for (RGBColor(red, green, blue), name) in &plot.legend {
        page += &format!("<span><i style=\"background:#{red:02x}{green:02x}{blue:02x}\"></i>{}</span>", escape(name));
    }
    page += "</div><div class=\"scroll\">";
    for svg in &plot.svg {
        page += svg;
    }
    page + "</div></section>\n"
}

/// A table under a heading; its first row is the header.
pub(super) fn rows(title: &str, rows: &[Vec<String>]) -> String {
    let [header, body @ ..] = rows else { return String::new() };
    let cells = |row: &[String], tag: &str| {
        row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(&short(cell)))).collect::<String>()
    };
    let mut page = format!(
        "<section><h2>{}</h2><div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>",
        escape(title),
        cells(header, "th")
    );
    for row in body {
        page += &format!("<tr>{}</tr>", cells(row, "td"));
    }
    page + "</tbody></table></div></section>\n"
}
