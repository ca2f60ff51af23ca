//! A strict reader of Prometheus' text form: it panics at whatever `promtool check metrics` would refuse, and at some more.

use std::collections::{BTreeMap, BTreeSet};

/// One sample.
#[derive(Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A metric with its samples.
#[derive(Debug)]
pub struct Family {
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// Reads a whole page.
pub fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line ends");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut series = BTreeSet::new();
    let (mut helped, mut current): (Option<String>, Option<String>) = (None, None);
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
            assert!(is_name(name) && !words.trim().is_empty(), "{line}");
            assert!(helped.replace(name.to_owned()).is_none(), "help without type: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert_eq!(helped.take().as_deref(), Some(name), "the help comes before: {line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "a counter ends in _total: {line}");
            let family = Family { kind: kind.to_owned(), samples: Vec::new() };
            assert!(families.insert(name.to_owned(), family).is_none(), "a family comes twice: {line}");
            current = Some(name.to_owned());
        } else {
            assert!(!line.starts_with('#') && helped.is_none(), "{line}");
            let sample = sample(line);
            let name = current.as_deref().unwrap_or_else(|| panic!("before any family: {line}"));
            let family = families.get_mut(name).expect("current");
            let ending = sample.name.strip_prefix(name).unwrap_or_else(|| panic!("among {name}: {line}"));
            let endings: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(endings.contains(&ending), "{line}");
            assert!(sample.value.is_finite() && (family.kind == "gauge" || sample.value >= 0.0), "{line}");
            assert!(series.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
            family.samples.push(sample);
        }
    }
    for (name, family) in families.iter().filter(|(_, family)| family.kind == "histogram") {
        histogram(name, family);
    }
    families
}

/// Checks that each series of a histogram is whole: buckets that only grow, up to +Inf, then sum and count.
fn histogram(name: &str, family: &Family) {
    let mut open: Option<(BTreeMap<String, String>, f64, f64, bool)> = None;
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let at = format!("{name}{labels:?}");
        if let Some(bound) = labels.remove("le") {
            let bound: f64 = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound") };
            let (series, last, total, _) = open.get_or_insert((labels.clone(), f64::NEG_INFINITY, 0.0, false));
            assert_eq!(*series, labels, "buckets of one series stand together: {at}");
            assert!(bound > *last && sample.value >= *total, "{at}");
            (*last, *total) = (bound, sample.value);
        } else if sample.name.ends_with("_sum") {
            let (series, last, _, summed) = open.as_mut().unwrap_or_else(|| panic!("a sum before its buckets: {at}"));
            assert!(*series == labels && *last == f64::INFINITY && !*summed, "{at}");
            *summed = true;
        } else {
            let (series, _, total, summed) = open.take().unwrap_or_else(|| panic!("a count before its buckets: {at}"));
            assert!(series == labels && summed && (sample.value - total).abs() < 0.5, "{at}");
        }
    }
    assert!(open.is_none(), "{name} has a series without an end");
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no sample: {line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (value, after) = value(after).unwrap_or_else(|| panic!("no value of {label}: {line}"));
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
            rest = after.strip_prefix(',').unwrap_or(after);
            assert!(rest.len() < after.len() || rest.starts_with('}'), "{line}");
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("one blank: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    Sample { name: name.to_owned(), labels, value }
}

/// Reads a quoted value up to its closing quote; only `\\`, `\"` and `\n` may be escaped.
fn value(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                '\\' => '\\',
                '"' => '"',
                'n' => '\n',
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}
