//! Headers as texts and amounts.

use reqwest::header::HeaderMap;

use crate::core::pacer::RateHint;

/// Returns the hint of which the least is left, as a share of its limit where that is stated.
pub(super) fn narrowest(hints: impl IntoIterator<Item = Option<RateHint>>) -> Option<RateHint> {
    let share = |hint: &RateHint| hint.remaining / hint.limit.unwrap_or(hint.remaining).max(1.0);
    hints.into_iter().flatten().min_by(|a, b| share(a).total_cmp(&share(b)))
}

/// Returns the values of a header that are text, without blanks around them.
pub(super) fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok().map(str::trim))
}

/// Returns the first value of a header that is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    texts(headers, name).next()
}

/// Reads an amount; of a list ("100, 100;w=60") the first.
pub(super) fn amount(headers: &HeaderMap, name: &str) -> Option<f64> {
    let first = text(headers, name)?.split([',', ';']).next()?.trim();
    first.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
}
