//! The RateLimit fields of draft-ietf-httpapi-ratelimit-headers: structured fields (RFC 9651), read as far as needed.

use std::time::Duration;

use reqwest::header::HeaderMap;

use super::read::narrowest;
use super::span::span;
use crate::core::pacer::{LONG, RateHint};

/// A member of a list: its name, and its parameters as they are written.
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

/// Reads `RateLimit` with what `RateLimit-Policy` says of the same name; of several the one nearest to its end, of those
/// with a short window and of those with a long one.
pub(super) fn hints(headers: &HeaderMap) -> (Option<RateHint>, Option<RateHint>) {
    let policies = items(headers, "ratelimit-policy");
    let limits = items(headers, "ratelimit");
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
    by_length(named.chain(dictionary(headers, &limits)))
}

/// Splits hints into those of short windows and those of long ones, and returns the narrowest of each.
pub(super) fn by_length(hints: impl IntoIterator<Item = RateHint>) -> (Option<RateHint>, Option<RateHint>) {
    let is_long = |hint: &Option<RateHint>| hint.and_then(|hint| hint.window).is_some_and(|window| window > LONG);
    let (long, short): (Vec<_>, Vec<_>) = hints.into_iter().map(Some).partition(is_long);
    (narrowest(short), narrowest(long))
}

/// Returns the window in which `limit` may be used, as the forms of the drafts before 08 state it beside the limit
/// ("100;w=60") or as a policy; where a single one is stated, that one.
pub(super) fn window(headers: &HeaderMap, limit: Option<f64>) -> Option<Duration> {
    let mut items = items(headers, "ratelimit-policy");
    items.extend(["ratelimit-limit", "x-ratelimit-limit"].into_iter().flat_map(|name| self::items(headers, name)));
    let stated: Vec<_> = items.iter().filter_map(|item| Some((item, item.number("w").and_then(seconds)?))).collect();
    let is_it = |item: &Item<'_>| item.number("q").or_else(|| item.name.parse().ok()) == limit;
    let named = stated.iter().find(|(item, _)| limit.is_some() && is_it(item));
    named.or(stated.first().filter(|_| stated.len() == 1)).map(|(_, window)| *window)
}

/// Reads the form of draft 07: `limit=100, remaining=50, reset=50`.
fn dictionary(headers: &HeaderMap, items: &[Item<'_>]) -> Option<RateHint> {
    let value = |key: &str| items.iter().find_map(|item| item.name.split_once('=').filter(|(name, _)| *name == key));
    let number = |key: &str| {
        let number = value(key)?.1.parse().ok();
        number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
    };
    let (limit, remaining) = (number("limit"), number("remaining")?);
    let reset = value("reset").and_then(|(_, text)| span(text));
    Some(RateHint { limit, remaining, reset, window: window(headers, limit), at_once: true })
}

fn seconds(seconds: f64) -> Option<Duration> {
    span(&seconds.to_string())
}
