//! What response headers say about rates: retry-after in its several spellings, and what is left of each limit.
//!
//! | family | headers | reset |
//! |---|---|---|
//! | OpenAI, Groq and kin | `x-ratelimit-{limit,remaining,reset}-{requests,tokens,project-tokens,images}` | until full: `6m0s`, `20ms`, seconds |
//! | Anthropic | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` | RFC 3339, when full |
//! | Azure OpenAI | `x-ratelimit-remaining-*`, `x-ratelimit-reset-*`, `retry-after-ms`, `x-ms-retry-after-ms` | seconds |
//! | Mistral | `x-ratelimit-{limit,remaining}-{req,tokens}-minute` | none: the name says the window |
//! | draft-ietf-httpapi-ratelimit-headers-08 on | `RateLimit: "p";r=50;t=30`, `RateLimit-Policy: "p";q=100;w=60` | seconds, end of a window |
//! | the same up to -07 | `RateLimit-{Limit,Remaining,Reset}`, `RateLimit: limit=…, remaining=…, reset=…` | seconds, end of a window |
//! | generic | `x-ratelimit-{limit,remaining,reset}` | end of a window: seconds, Unix seconds or milliseconds, a date |
//!
//! Where a response speaks of one dimension several times, the one nearest to its end counts.

mod policy;
mod span;

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

pub(super) use self::span::wait_in;
use self::span::{instant, millis, span};
use crate::core::pacer::{RateHint, RateHints};

/// Reads how long the provider said to stay away.
///
/// Milliseconds (`retry-after-ms`, `x-ms-retry-after-ms`) go before `retry-after` in seconds, as a duration or as an
/// HTTP date, as the official SDKs have it.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after_at(headers, SystemTime::now())
}

/// Reads what is left of each limit.
pub(super) fn hints(headers: &HeaderMap) -> RateHints {
    hints_at(headers, SystemTime::now())
}

fn retry_after_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"].into_iter().find_map(|name| millis(text(headers, name)?));
    millis.or_else(|| {
        let text = text(headers, "retry-after")?;
        span(text).or_else(|| instant(text, now))
    })
}

fn hints_at(headers: &HeaderMap, now: SystemTime) -> RateHints {
    // All families have it in their names, and most answers have none: that is said without asking for each.
    if !headers.keys().any(|name| name.as_str().contains("ratelimit")) {
        return RateHints::default();
    }
    let read = |limit: &str, remaining: &str, reset: &str| {
        let remaining = amount(headers, remaining)?;
        let reset = text(headers, reset).and_then(|text| span(text).or_else(|| instant(text, now)));
        Some(RateHint { limit: amount(headers, limit), remaining, reset, ..RateHint::default() })
    };
    let openai = |dimension: &str| {
        let name = |what: &str| format!("x-ratelimit-{what}-{dimension}");
        read(&name("limit"), &name("remaining"), &name("reset"))
    };
    let anthropic = |dimension: &str| {
        let name = |what: &str| format!("anthropic-ratelimit-{dimension}-{what}");
        read(&name("limit"), &name("remaining"), &name("reset"))
    };
    let minute = |dimension: &str| {
        let hint = openai(&format!("{dimension}-minute"))?;
        Some(RateHint { window: Some(Duration::from_secs(60)), ..hint })
    };
    let plain = || {
        let old = read("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
            .or_else(|| read("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"));
        old.map(|hint| RateHint { at_once: true, ..hint })
    };
    RateHints {
        requests: openai("requests")
            .or_else(|| anthropic("requests"))
            .or_else(|| minute("req"))
            .or_else(|| policy::hint(headers))
            .or_else(plain),
        // A request is charged with the sum of its tokens, so the narrowest of the kinds stands for all.
        tokens: narrowest([
            openai("tokens"),
            openai("project-tokens"),
            anthropic("tokens"),
            anthropic("input-tokens"),
            anthropic("output-tokens"),
            minute("tokens"),
        ]),
        images: openai("images"),
    }
}

/// Returns the hint of which the least is left, as a share of its limit where that is stated.
fn narrowest<const N: usize>(hints: [Option<RateHint>; N]) -> Option<RateHint> {
    let share = |hint: &RateHint| hint.remaining / hint.limit.unwrap_or(hint.remaining).max(1.0);
    hints.into_iter().flatten().min_by(|a, b| share(a).total_cmp(&share(b)))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Reads an amount; of a list ("100, 100;w=60") the first.
fn amount(headers: &HeaderMap, name: &str) -> Option<f64> {
    let first = text(headers, name)?.split([',', ';']).next()?.trim();
    first.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
}

#[cfg(test)]
mod tests;
