//! The page of metrics says what `/metrics` does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::operate::busy_page;
use crate::support::prometheus;

/// A metric: its kind, its labels and what it means.
#[derive(Debug, PartialEq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
    /// Labels that some series have.
    rare: BTreeSet<String>,
    meaning: String,
}

/// Reads the rows `| name | kind | labels | meaning |` of the page; labels in parentheses are those of some series.
fn documented() -> BTreeMap<String, Metric> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let mut metrics = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning] = cells[..] else { panic!("four cells: {line}") };
        let (rare, labels) = labels
            .split(", ")
            .filter(|label| !label.is_empty())
            .map(|label| label.replace('`', ""))
            .partition::<BTreeSet<_>, _>(|label| label.starts_with('('));
        let rare = rare.iter().map(|label| label.trim_matches(['(', ')']).to_owned()).collect();
        let metric = Metric { kind: kind.to_owned(), labels, rare, meaning: meaning.to_owned() };
        assert!(metrics.insert(name.replace('`', ""), metric).is_none(), "twice: {line}");
    }
    metrics
}

#[tokio::test]
async fn the_page_of_metrics_is_true() {
    let page = busy_page().await;
    let help: BTreeMap<&str, &str> =
        page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')).collect();
    let (families, mut documented) = (prometheus::parse(&page), documented());
    for (name, family) in &families {
        let metric = documented.remove(name).unwrap_or_else(|| panic!("{name} is not in docs/metrics.md"));
        assert_eq!((&*metric.kind, &*metric.meaning), (&*family.kind, help[&**name]), "{name}");
        assert!(!family.samples.is_empty(), "{name} shows nothing, so its labels are not known");
        for sample in &family.samples {
            let mut labels: BTreeSet<String> = sample.labels.keys().cloned().collect();
            labels.retain(|label| label != "le" && !metric.rare.contains(label));
            assert_eq!(labels, metric.labels, "{name}");
        }
    }
    assert!(documented.is_empty(), "in docs/metrics.md, and not served: {:?}", documented.keys());
}
