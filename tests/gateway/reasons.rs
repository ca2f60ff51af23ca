//! The guide has a row for every reason.

use fairflow::Reason;

#[test]
fn the_guide_says_what_to_do_for_every_reason() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/GUIDE.md")).unwrap();
    let (_, refusals) = guide.split_once("### Refusals").unwrap();
    let (refusals, _) = refusals.split_once("\n### ").unwrap();
    let rows: Vec<&str> = refusals.lines().filter(|line| line.starts_with("| `")).collect();
    for reason in Reason::ALL {
        let name = format!("`{reason}`");
        let row = rows.iter().find(|row| row.split('|').nth(1).is_some_and(|names| names.contains(&name)));
        let row = row.unwrap_or_else(|| panic!("{name} has no row"));
        let is_the_providers = *reason == Reason::Rejected;
        assert!(is_the_providers || row.contains(&format!(" {}", reason.status())), "{row}");
    }
}
