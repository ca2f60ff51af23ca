//! Waits where providers tell them, and where only a caller does.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

/// 2024-05-01T12:00:00Z.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_714_564_800)
}

fn told(pairs: &[(&'static str, &str)], body: &str) -> Option<f64> {
    let headers: HeaderMap = pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), value.parse::<HeaderValue>().expect("a value")))
        .collect();
    stated_wait_at(&headers, body.as_bytes(), noon()).map(|wait| wait.as_secs_f64())
}

#[test]
fn headers_tell_it_in_many_ways_and_the_longest_counts() {
    for (pairs, seconds) in [
        (&[("retry-after", "4, 4")][..], Some(4.0)),
        (&[("retry-after", "1"), ("retry-after", "4")], Some(4.0)),
        (&[("retry-after", "Wed, 01 May 2024 12:00:10 GMT, 4")], Some(10.0)),
        (&[("retry-after-ms", "250"), ("retry-after", "1")], Some(0.25)),
        (&[("retry-after-ms", "250"), ("retry-after", "30")], Some(30.0)),
        (&[("retry-after-ms", "900, 1500")], Some(1.5)),
        (&[("retry-after", "9999-01-01T00:00:00Z")], None),
        (&[("retry-after", "NaN"), ("retry-after", "-4"), ("retry-after", "2001-01-01T00:00:00Z")], Some(0.0)),
        (
            &[
                ("x-ratelimit-limit-requests-day", "1000"),
                ("x-ratelimit-remaining-requests-day", "0"),
                ("x-ratelimit-reset-requests-day", "4.5"),
                ("retry-after", "2"),
            ],
            Some(4.5),
        ),
        (&[("ratelimit-policy", r#""day";q=9;w=86400"#), ("ratelimit", r#""day";r=0;t=3600"#)], Some(3_600.0)),
        (
            &[
                ("anthropic-ratelimit-unified-status", "rejected"),
                ("anthropic-ratelimit-unified-reset", "1714568400"),
                ("anthropic-ratelimit-unified-5h-status", "allowed"),
                ("anthropic-ratelimit-unified-5h-reset", "1714580000"),
            ],
            Some(3_600.0),
        ),
        (
            &[("anthropic-ratelimit-unified-status", "allowed"), ("anthropic-ratelimit-unified-reset", "1714568400")],
            None,
        ),
        (
            &[
                ("anthropic-ratelimit-output-tokens-limit", "8000"),
                ("anthropic-ratelimit-output-tokens-remaining", "0"),
                ("anthropic-ratelimit-output-tokens-reset", "2024-05-01T12:01:00Z"),
                ("retry-after", "37"),
            ],
            Some(37.0),
        ),
    ] {
        assert_eq!(told(pairs, ""), seconds, "{pairs:?}");
    }
}

#[test]
fn bodies_tell_it_in_many_ways() {
    for (body, seconds) in [
        (
            r#"{"error":{"message":"x","metadata":{"headers":{"X-RateLimit-Limit":"20","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1714564804500"}}}}"#,
            Some(4.5),
        ),
        (
            r#"{"error":{"message":"x","metadata":{"raw":"{\"error\":{\"message\":\"please try again in 7s\"}}"}}}"#,
            Some(7.0),
        ),
        (
            r#"[{"error":{"code":429,"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"4s"}]}}]"#,
            Some(4.0),
        ),
        (r#"{"error":{"details":[{"retryDelay":{"seconds":3,"nanos":500000000}},{"retryDelay":"1.5s"}]}}"#, Some(3.5)),
        (r#"{"error":"Model x is currently loading","estimated_time":20.5}"#, Some(20.5)),
        (r#"{"errors":[{"code":"rateLimitExceeded","retryAfter":9}]}"#, Some(9.0)),
        (r#"{"retry_after":"2, 6"}"#, Some(6.0)),
        (r#"{"error":{"resets_at":1714564860,"resets_in_seconds":59}}"#, Some(60.0)),
        (r#"{"error":{"retry_after_ms":1500}}"#, Some(1.5)),
        (r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#, Some(30.0)),
        (r#"{"message":"Rate limit is exceeded. Try again in 45 seconds."}"#, Some(45.0)),
        ("Too many requests, retry in 12 seconds", Some(12.0)),
        (r#"{"error":{"retry_after":1e300}}"#, None),
        (r#"{"error":{"retry_after":1e8}}"#, None),
        (r#"{"error":{"retry_after":-3,"estimated_time":null,"retry_delay":[4]}}"#, None),
        // The caller's own words, and a page for people.
        (r#"{"error":{"message":"no"},"prompt":"try again in 9 days","input":{"retry_after":99}}"#, None),
        (r#"{"error":{"message":"no","input":"wait 9 days"},"messages":[{"message":"retry in 9 days"}]}"#, None),
        ("<html><body>Please wait 30 seconds</body></html>", None),
        ("", None),
    ] {
        assert_eq!(told(&[], body), seconds, "{body}");
    }
    assert_eq!(told(&[("retry-after", "5")], r#"{"error":{"message":"try again in 6ms"}}"#), Some(5.0));
}

proptest! {
    #[test]
    fn no_body_makes_it_panic_or_wait_for_ever(
        field in "(retry_after|retryDelay|estimated_time|resets_at|retry-after-ms|message)",
        value in prop_oneof![any::<f64>().prop_map(|n| n.to_string()), "\"[ -!#-Z^-~]{0,30}\"", "[ -~]{0,30}"],
    ) {
        for body in [format!(r#"{{"error":{{"{field}":{value}}}}}"#), format!("[[{{\"{field}\": {value}}}]]"), value] {
            let wait = stated_wait_at(&HeaderMap::new(), body.as_bytes(), noon());
            prop_assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(31 * 86_400)), "{body}: {wait:?}");
        }
    }

    #[test]
    fn nested_bodies_have_an_end(depth in 1usize..200) {
        let body = format!("{}{}{}", r#"{"error":"#.repeat(depth), r#"{"retry_after":4}"#, "}".repeat(depth));
        let wait = stated_wait_at(&HeaderMap::new(), body.as_bytes(), noon());
        prop_assert!(wait.is_none_or(|wait| wait == Duration::from_secs(4)));
    }
}
