//! What response headers say about rates: retry-after in its several spellings, and what is left of each limit.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;

use crate::core::pacer::{RateHint, RateHints};

/// Longest wait believed, one day: beyond that a header is taken for a mistake.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Reads how long the provider said to stay away.
///
/// Milliseconds (`retry-after-ms`, `x-ms-retry-after-ms`) go before `retry-after` in seconds or as an HTTP date, as the
/// official SDKs have it.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = ["retry-after-ms", "x-ms-retry-after-ms"].into_iter().find_map(|name| text(name)?.parse::<f64>().ok());
    let wait = match millis {
        Some(millis) => seconds(millis / 1_000.0),
        None => text("retry-after").and_then(|text| {
            duration(text).or_else(|| {
                let date = httpdate::parse_http_date(text).ok()?;
                Some(date.duration_since(SystemTime::now()).unwrap_or_default())
            })
        }),
    };
    wait.map(|wait| wait.min(LONGEST))
}

fn seconds(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// Reads "12", "1.5", "6m0s", "20ms" or "1.5s".
fn duration(text: &str) -> Option<Duration> {
    let plain = text.parse().ok().and_then(seconds);
    plain
        .or_else(|| humantime::parse_duration(text).ok())
        .or_else(|| text.strip_suffix('s')?.parse().ok().and_then(seconds))
}

/// Reads what is left of each limit, in OpenAI's and Anthropic's spelling.
pub(super) fn hints(headers: &HeaderMap) -> RateHints {
    let hint = |dimension: &str| {
        ["x-ratelimit", "anthropic-ratelimit"].into_iter().find_map(|family| {
            let text = |what: &str| {
                let name = match family {
                    "x-ratelimit" => format!("{family}-{what}-{dimension}"),
                    _ => format!("{family}-{dimension}-{what}"),
                };
                headers.get(name).and_then(|value| value.to_str().ok()).map(|text| text.trim().to_owned())
            };
            let remaining = text("remaining")?.parse::<f64>().ok().filter(|left| left.is_finite() && *left >= 0.0)?;
            let reset = text("reset").and_then(|text| {
                duration(&text).or_else(|| {
                    let at = humantime::parse_rfc3339_weak(&text).ok()?;
                    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
                })
            });
            let limit = text("limit").and_then(|text| text.parse::<f64>().ok()).filter(|limit| limit.is_finite());
            Some(RateHint { limit, remaining, reset: reset.map(|reset| reset.min(LONGEST)), ..RateHint::default() })
        })
    };
    RateHints { requests: hint("requests"), tokens: hint("tokens"), images: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value"))).collect()
    }

    #[test]
    fn every_spelling_of_retry_after_is_read() {
        for (pairs, millis) in [
            (&[("retry-after", "2")][..], 2_000),
            (&[("retry-after", "1.5")], 1_500),
            (&[("retry-after", "1m30s")], 90_000),
            (&[("retry-after-ms", "250"), ("retry-after", "1")], 250),
            (&[("x-ms-retry-after-ms", "40")], 40),
            (&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], 0),
        ] {
            assert_eq!(retry_after(&headers(pairs)), Some(Duration::from_millis(millis)), "{pairs:?}");
        }
        for bad in ["soon", "-5", "NaN", "inf", ""] {
            assert_eq!(retry_after(&headers(&[("retry-after", bad)])), None, "{bad}");
        }
        assert_eq!(retry_after(&headers(&[("retry-after", "99999999999")])), Some(LONGEST));
    }

    #[test]
    fn what_is_left_is_read_in_both_families() {
        let openai = hints(&headers(&[
            ("x-ratelimit-limit-requests", "600"),
            ("x-ratelimit-remaining-requests", "599"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "0"),
        ]));
        let requests = openai.requests.expect("present");
        assert_eq!((requests.limit, requests.remaining), (Some(600.0), 599.0));
        assert_eq!(requests.reset, Some(Duration::from_secs(360)));
        assert_eq!(openai.tokens.map(|hint| hint.remaining), Some(0.0));
        let anthropic = hints(&headers(&[("anthropic-ratelimit-requests-remaining", "7")]));
        assert_eq!(anthropic.requests.map(|hint| hint.remaining), Some(7.0));
        assert_eq!(hints(&HeaderMap::new()), RateHints::default());
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "[ -~]{0,40}", name in 0usize..6) {
            let names = ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens",
                "x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-reset"];
            let headers = headers(&[(names[name], &value), ("x-ratelimit-remaining-requests", "3")]);
            let _ = (retry_after(&headers), hints(&headers));
        }
    }
}
