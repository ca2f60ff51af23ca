//! Keeps the page of verdicts in `docs` in step with the tables.

use std::fmt::Write;

use super::{FAMILIES, Table};
use crate::config::{Texts, VerdictRule};
use crate::core::verdict::{Basis, Verdict};

/// Between these the page is made of the tables.
const MARKS: [&str; 2] = ["<!-- made from src/provider/verdicts: begin -->", "<!-- end -->"];
/// Statuses whose meaning without words is shown.
const SHOWN: [u16; 22] =
    [200, 307, 400, 401, 402, 403, 404, 408, 410, 413, 422, 423, 429, 500, 501, 502, 503, 504, 520, 524, 529, 530];

fn listed(texts: &Texts) -> String {
    let quoted = texts.0.iter().map(|text| format!("`{}`", text.replace('|', "\\|")));
    quoted.collect::<Vec<_>>().join(", ")
}

/// Writes the tables for people.
fn page() -> String {
    let mut page = String::new();
    for (family, text) in FAMILIES {
        let table: Table = toml::from_str(text).expect("another test says why not");
        writeln!(
            page,
            "\n### {family}\n\n| status | code | the message | means | again | for |\n|---|---|---|---|---|---|"
        )
        .expect("memory");
        for raw in table.rule {
            let rule = VerdictRule::read(&raw, Basis::Stated).expect("another test says why not");
            let message: Vec<String> = [("begins ", &raw.begins), ("says ", &raw.contains)]
                .into_iter()
                .filter(|(_, texts)| !texts.is_empty())
                .map(|(how, texts)| how.to_owned() + &listed(texts))
                .collect();
            let status = raw.status.0.join(", ");
            let hold = rule.hold.map(|hold| humantime::format_duration(hold).to_string()).unwrap_or_default();
            let (verdict, again) = (rule.verdict, rule.verdict.again.as_str());
            let row = [status, listed(&raw.code), message.join("; "), verdict.to_string(), again.into(), hold];
            writeln!(page, "| {} |", row.join(" | ")).expect("memory");
        }
    }
    page.push_str("\n### A status without words\n\n| status | means | again | |\n|---|---|---|---|\n");
    for status in SHOWN {
        let verdict = Verdict::of_status(status);
        let basis = if verdict.basis == Basis::Suspected { "suspected" } else { "" };
        writeln!(page, "| {status} | {verdict} | {} | {basis} |", verdict.again.as_str()).expect("memory");
    }
    page
}

#[test]
fn the_page_is_in_step_with_the_tables() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verdicts.md");
    let there = std::fs::read_to_string(&path).expect("docs/verdicts.md");
    let (head, rest) = there.split_once(MARKS[0]).expect("the first mark");
    let (made, tail) = rest.split_once(MARKS[1]).expect("the second mark");
    let fresh = format!("{}\n", page());
    if made == fresh {
        return;
    }
    if std::env::var_os("FAIRFLOW_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{}{fresh}{}{tail}", MARKS[0], MARKS[1])).expect("written");
        return;
    }
    panic!("docs/verdicts.md is stale; write it anew with FAIRFLOW_WRITE_DOCS=1 cargo test --lib the_page_is_in_step");
}
