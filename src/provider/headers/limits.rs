//! Limits as the families of headers state them, put together into one set of hints.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use super::policy;
use super::read::{amount, narrowest, text};
use super::span::wait;
use crate::core::pacer::{RateHint, RateHints};

/// Windows of seconds and minutes that stand in a header's name, in seconds.
const SHORT_WINDOWS: [(&str, u64); 2] = [("second", 1), ("minute", 60)];
/// Windows of hours and longer that stand in a header's name, in seconds.
const LONG_WINDOWS: [(&str, u64); 4] = [("hour", 3_600), ("day", 86_400), ("week", 604_800), ("month", 30 * 86_400)];

/// Reads what is left of each limit, as of `now`.
pub(super) fn hints_at(headers: &HeaderMap, now: SystemTime) -> RateHints {
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

/// Reads limits out of one response's headers.
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
