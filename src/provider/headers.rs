//! What response headers say about rates: what is left of each limit, and how long to stay away.
//!
//! | family | headers | reset |
//! |---|---|---|
//! | OpenAI, Groq and kin | `x-ratelimit-{limit,remaining,reset}-{requests,tokens,project-tokens,images}` | until full: `6m0s`, `20ms`, seconds |
//! | Anthropic | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}` | RFC 3339, when full |
//! | Azure OpenAI | `x-ratelimit-remaining-*`, `x-ratelimit-reset-*`, `retry-after-ms`, `x-ms-retry-after-ms` | seconds |
//! | Mistral, Cerebras | `x-ratelimit-{limit,remaining,reset}-{req,requests,tokens}-{second,minute,hour,day,week,month}` | end of the window that the name says |
//! | draft-ietf-httpapi-ratelimit-headers-08 on | `RateLimit: "p";r=50;t=30`, `RateLimit-Policy: "p";q=100;w=60` | seconds, end of a window |
//! | the same up to -07 | `RateLimit-{Limit,Remaining,Reset}`, `RateLimit: limit=…, remaining=…, reset=…` | seconds, end of a window |
//! | generic | `x-ratelimit-{limit,remaining,reset}`, `x-rate-limit-…` | end of a window: seconds, Unix seconds or milliseconds, a date |
//!
//! Short windows and long ones are kept apart: a day of which much is left says nothing of a minute. Where a response
//! speaks of one dimension and length several times, the one nearest to its end counts.

mod policy;
mod span;
mod told;
mod words;

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use self::span::wait;
pub(crate) use self::told::stated_wait;
use crate::core::pacer::{RateHint, RateHints};
use crate::task::Work;

/// The unit that a request uses beside requests: a limit on anything else is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Text and embeddings.
    Tokens,
    /// Images.
    Images,
    /// Something that no header counts.
    Other,
}

impl From<&Work> for Unit {
    fn from(work: &Work) -> Self {
        match work {
            Work::Text(_) | Work::Embedding(_) => Self::Tokens,
            Work::Image(_) | Work::Upscale(_) => Self::Images,
            Work::Video(_) | Work::Audio(_) | Work::Raw(_) => Self::Other,
        }
    }
}

impl Unit {
    /// Returns of the hints those that concern a request of this unit.
    pub(super) fn of(self, hints: RateHints) -> RateHints {
        let (tokens, images) = (self == Self::Tokens, self == Self::Images);
        RateHints {
            tokens: hints.tokens.filter(|_| tokens),
            long_tokens: hints.long_tokens.filter(|_| tokens),
            images: hints.images.filter(|_| images),
            ..hints
        }
    }

    /// Removes the headers of limits that do not concern a request of this unit.
    pub(super) fn strip(self, headers: &mut HeaderMap) {
        let foreign = |name: &str| {
            let (tokens, images) = (name.contains("token"), name.contains("image"));
            name.contains("ratelimit") && (tokens && self != Self::Tokens || images && self != Self::Images)
        };
        let names: Vec<_> = headers.keys().filter(|name| foreign(name.as_str())).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

/// Reads how long the provider said to stay away: `retry-after` and its kin, whatever the status.
#[cfg_attr(not(any(feature = "runware", feature = "task")), allow(dead_code))]
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    told::retry_after_at(headers, SystemTime::now())
}

/// Reads what is left of each limit.
pub(super) fn hints(headers: &HeaderMap) -> RateHints {
    hints_at(headers, SystemTime::now())
}

fn hints_at(headers: &HeaderMap, now: SystemTime) -> RateHints {
    // All families have it in their names, and most answers have none: that is said without asking for each.
    if !headers.keys().any(|name| name.as_str().contains("ratelimit") || name.as_str().contains("rate-limit")) {
        return RateHints::default();
    }
    let reader = Reader { headers, now };
    let (policy, long_policy) = policy::hints(headers);
    let (plain, long_plain) = policy::by_length(reader.plain());
    let openai = |dimension: &str| reader.openai(dimension);
    // A request is charged with the sum of its tokens, so the narrowest of the kinds stands for all.
    let tokens = [
        openai("tokens"),
        openai("project-tokens"),
        reader.anthropic("tokens"),
        reader.anthropic("input-tokens"),
        reader.anthropic("output-tokens"),
    ];
    RateHints {
        requests: openai("requests")
            .or_else(|| reader.anthropic("requests"))
            .or_else(|| reader.named(["req", "requests"], &SHORT_WINDOWS))
            .or(policy)
            .or(plain),
        tokens: narrowest(tokens.into_iter().chain([reader.named(["tokens", "project-tokens"], &SHORT_WINDOWS)])),
        images: openai("images").or_else(|| reader.named(["images", "image"], &SHORT_WINDOWS)),
        long_requests: narrowest([reader.named(["req", "requests"], &LONG_WINDOWS), long_policy, long_plain]),
        long_tokens: reader.named(["tokens", "project-tokens"], &LONG_WINDOWS),
    }
}

/// Windows that stand in a header's name, in seconds.
const SHORT_WINDOWS: [(&str, u64); 2] = [("second", 1), ("minute", 60)];
const LONG_WINDOWS: [(&str, u64); 4] = [("hour", 3_600), ("day", 86_400), ("week", 604_800), ("month", 30 * 86_400)];

struct Reader<'a> {
    headers: &'a HeaderMap,
    now: SystemTime,
}

impl Reader<'_> {
    fn read(&self, limit: &str, remaining: &str, reset: &str) -> Option<RateHint> {
        let remaining = amount(self.headers, remaining)?;
        let reset = text(self.headers, reset).and_then(|text| wait(text, self.now));
        Some(RateHint { limit: amount(self.headers, limit), remaining, reset, ..RateHint::default() })
    }

    fn openai(&self, dimension: &str) -> Option<RateHint> {
        let name = |what: &str| format!("x-ratelimit-{what}-{dimension}");
        self.read(&name("limit"), &name("remaining"), &name("reset"))
    }

    fn anthropic(&self, dimension: &str) -> Option<RateHint> {
        let name = |what: &str| format!("anthropic-ratelimit-{dimension}-{what}");
        self.read(&name("limit"), &name("remaining"), &name("reset"))
    }

    /// Reads limits whose window is in their name.
    fn named(&self, dimensions: [&str; 2], windows: &[(&str, u64)]) -> Option<RateHint> {
        let hints = windows.iter().flat_map(|(window, seconds)| {
            dimensions.into_iter().filter_map(move |dimension| {
                let hint = self.openai(&format!("{dimension}-{window}"))?;
                let at_once = hint.reset.is_some();
                Some(RateHint { window: Some(Duration::from_secs(*seconds)), at_once, ..hint })
            })
        });
        narrowest(hints.map(Some))
    }

    /// Reads limits without a dimension in their names: of requests.
    fn plain(&self) -> Option<RateHint> {
        let families = ["ratelimit", "x-ratelimit", "x-rate-limit"];
        let hint = families.into_iter().find_map(|family| {
            let name = |what: &str| format!("{family}-{what}");
            self.read(&name("limit"), &name("remaining"), &name("reset"))
        });
        hint.map(|hint| RateHint { at_once: true, window: policy::window(self.headers, hint.limit), ..hint })
    }
}

/// Returns the hint of which the least is left, as a share of its limit where that is stated.
fn narrowest(hints: impl IntoIterator<Item = Option<RateHint>>) -> Option<RateHint> {
    let share = |hint: &RateHint| hint.remaining / hint.limit.unwrap_or(hint.remaining).max(1.0);
    hints.into_iter().flatten().min_by(|a, b| share(a).total_cmp(&share(b)))
}

/// The values of a header that are text, without blanks around them.
fn texts<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok().map(str::trim))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    texts(headers, name).next()
}

/// Reads an amount; of a list ("100, 100;w=60") the first.
fn amount(headers: &HeaderMap, name: &str) -> Option<f64> {
    let first = text(headers, name)?.split([',', ';']).next()?.trim();
    first.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount >= 0.0)
}

#[cfg(test)]
mod tests;
