//! The RateLimit fields of draft-ietf-httpapi-ratelimit-headers: structured fields (RFC 9651), read as far as needed.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::span::span;
use crate::core::pacer::RateHint;

/// One member of a list: its name, and its parameters as they are written.
struct Item<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl Item<'_> {
    fn number(&self, key: &str) -> Option<f64> {
        let (_, value) = self.parameters.iter().find(|(name, _)| *name == key)?;
        value.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
    }

    /// Whether it counts requests: the unit is `requests` unless another is named.
    fn counts_requests(&self) -> bool {
        let unit = self.parameters.iter().find(|(name, _)| *name == "qu");
        unit.is_none_or(|(_, unit)| unit.trim_matches('"') == "requests")
    }
}

/// Splits at `separator` outside of quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |c: char| {
        let was_escaped = escaped;
        escaped = quoted && c == '\\' && !was_escaped;
        quoted ^= c == '"' && !was_escaped;
        c == separator && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn items<'a>(headers: &'a HeaderMap, name: &str) -> Vec<Item<'a>> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',')).map(item).collect()
}

fn item(text: &str) -> Item<'_> {
    let mut parts = split(text, ';').into_iter();
    let name = parts.next().unwrap_or_default();
    let parameters = parts.filter_map(|part| part.split_once('=')).map(|(key, value)| (key.trim(), value.trim()));
    Item { name, parameters: parameters.collect() }
}

/// Reads `RateLimit` with what `RateLimit-Policy` says of the same name; of several the one nearest to its end.
pub(super) fn hint(headers: &HeaderMap) -> Option<RateHint> {
    let policies = items(headers, "ratelimit-policy");
    let limits = items(headers, "ratelimit");
    let share = |hint: &RateHint| hint.remaining / hint.limit.unwrap_or(hint.remaining).max(1.0);
    let named = limits.iter().filter_map(|item| {
        let policy = policies.iter().find(|policy| policy.name == item.name);
        let counts = item.counts_requests() && policy.is_none_or(Item::counts_requests);
        let remaining = item.number("r").filter(|_| counts)?;
        Some(RateHint {
            limit: policy.and_then(|policy| policy.number("q")),
            remaining,
            reset: item.number("t").and_then(seconds),
            window: policy.and_then(|policy| policy.number("w")).and_then(seconds),
            at_once: item.number("t").is_some(),
        })
    });
    named.min_by(|a, b| share(a).total_cmp(&share(b))).or_else(|| dictionary(&limits))
}

/// Reads the form of draft 07: `limit=100, remaining=50, reset=50`.
fn dictionary(items: &[Item<'_>]) -> Option<RateHint> {
    let value = |key: &str| items.iter().find_map(|item| item.name.split_once('=').filter(|(name, _)| *name == key));
    let number = |key: &str| {
        let number = value(key)?.1.parse().ok();
        number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
    };
    let reset = value("reset").and_then(|(_, text)| span(text));
    Some(RateHint { limit: number("limit"), remaining: number("remaining")?, reset, window: None, at_once: true })
}

fn seconds(seconds: f64) -> Option<Duration> {
    span(&seconds.to_string())
}
