//! Documented examples, and headers that nobody should send.

use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::span::span;
use super::told::retry_after_at;
use super::words::wait_in;
use super::*;
use crate::core::pacer::RateHint;

/// 2024-05-01T12:00:00Z.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_714_564_800)
}

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
        (&[("retry-after-ms", "soon"), ("retry-after", "1")], 1_000),
        (&[("x-ms-retry-after-ms", "40")], 40),
        (&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], 0),
        (&[("retry-after", "Wed, 01 May 2024 12:00:10 GMT")], 10_000),
        (&[("retry-after", "1714564815")], 15_000),
        (&[("retry-after", "2600000")], 2_600_000_000),
    ] {
        assert_eq!(retry_after_at(&headers(pairs), noon()), Some(Duration::from_millis(millis)), "{pairs:?}");
    }
    for bad in
        ["soon", "-5", "NaN", "inf", "", "1x", "m", "1m-2s", "999999999", "1e400", "Fri, 31 Dec 9999 23:59:59 GMT"]
    {
        assert_eq!(retry_after_at(&headers(&[("retry-after", bad)]), noon()), None, "{bad}");
    }
}

#[test]
fn durations_as_go_prints_them() {
    for (text, seconds) in
        [("6m0s", 360.0), ("20ms", 0.02), ("1h2m3.5s", 3_723.5), ("7.66s", 7.66), ("2m59.56s", 179.56), ("1s", 1.0)]
    {
        let read = span(text).map(|span| span.as_secs_f64());
        assert!(read.is_some_and(|read| (read - seconds).abs() < 1e-6), "{text}: {read:?}");
    }
}

#[test]
fn waits_are_found_in_messages() {
    for (message, millis) in [
        ("rate limit reached … tokens per min. limit: 30000. please try again in 6m0s. visit", Some(360_000)),
        ("please try again in 20ms.", Some(20)),
        ("please retry after 6 seconds. please go here", Some(6_000)),
        ("request was throttled. your rate limit resets in ~30s.", Some(30_000)),
        ("try again in a moment", None),
        ("try again in ", None),
        ("retry after 5", None),
        ("request reached organization max rpm: 3, please try again after 4 seconds", Some(4_000)),
        (
            "rate limit of 10 per 60s exceeded for userbymodelbyminute. please wait 4 seconds before retrying.",
            Some(4_000),
        ),
        ("try again in 1h2m3s", Some(3_723_000)),
        ("please retry your request after 1 hour and 5 minutes", Some(3_900_000)),
        ("the model will be available in about 2 min", Some(120_000)),
        ("limit resets at 2024-05-01t12:00:30z.", Some(30_000)),
        ("you will regain access on 2024-05-02 at 00:00 utc.", Some(43_200_000)),
        ("out of call volume quota. quota will be replenished in 5.00:00:00.", Some(432_000_000)),
        ("you've hit it; it's full. wait for 3s, or retry in 20 minutes", Some(1_200_000)),
        ("retry in 99999999 hours", None),
        ("try again in 0 seconds", Some(0)),
        ("retry after -5 seconds", None),
        ("retry after nan seconds", None),
        ("retry 3 times in 60s", None),
        ("awaiting 4 seconds", None),
        // What is quoted may be the caller's.
        ("no such model 'please wait 30 days', try again in 4s", Some(4_000)),
        ("bad value \"x\" please wait 30 days \"y\"", None),
        ("bad value `retry in 9 hours", None),
    ] {
        assert_eq!(wait_in(message, noon()), millis.map(Duration::from_millis), "{message}");
    }
}

/// limit, remaining, reset in seconds, window in seconds, at once.
type Row = (Option<f64>, f64, Option<f64>, Option<f64>, bool);

fn row(hint: Option<RateHint>) -> Option<Row> {
    let seconds = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
    hint.map(|hint| (hint.limit, hint.remaining, seconds(hint.reset), seconds(hint.window), hint.at_once))
}

#[test]
fn every_family_is_read() {
    for (pairs, requests, tokens, images) in [
        // OpenAI.
        (
            &[
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-limit-tokens", "150000"),
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-remaining-tokens", "149984"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ][..],
            Some((Some(60.0), 59.0, Some(1.0), None, false)),
            Some((Some(150_000.0), 149_984.0, Some(360.0), None, false)),
            None,
        ),
        (
            &[
                ("x-ratelimit-limit-tokens", "1000"),
                ("x-ratelimit-remaining-tokens", "900"),
                ("x-ratelimit-limit-project-tokens", "500"),
                ("x-ratelimit-remaining-project-tokens", "5"),
                ("x-ratelimit-reset-project-tokens", "20ms"),
                ("x-ratelimit-remaining-images", "4"),
            ],
            None,
            Some((Some(500.0), 5.0, Some(0.02), None, false)),
            Some((None, 4.0, None, None, false)),
        ),
        // Anthropic.
        (
            &[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2024-05-01T12:00:02Z"),
                ("anthropic-ratelimit-input-tokens-limit", "40000"),
                ("anthropic-ratelimit-input-tokens-remaining", "39000"),
                ("anthropic-ratelimit-output-tokens-limit", "8000"),
                ("anthropic-ratelimit-output-tokens-remaining", "1000"),
                ("anthropic-ratelimit-output-tokens-reset", "2024-05-01T12:00:53+00:00"),
            ],
            Some((Some(50.0), 49.0, Some(2.0), None, false)),
            Some((Some(8_000.0), 1_000.0, Some(53.0), None, false)),
            None,
        ),
        // Azure OpenAI.
        (
            &[
                ("x-ratelimit-remaining-requests", "19"),
                ("x-ratelimit-remaining-tokens", "19913"),
                ("x-ratelimit-reset-requests", "10"),
            ],
            Some((None, 19.0, Some(10.0), None, false)),
            Some((None, 19_913.0, None, None, false)),
            None,
        ),
        // Mistral.
        (
            &[
                ("x-ratelimit-limit-tokens-minute", "5000000"),
                ("x-ratelimit-remaining-tokens-minute", "4999911"),
                ("x-ratelimit-limit-req-minute", "720"),
                ("x-ratelimit-remaining-req-minute", "717"),
            ],
            Some((Some(720.0), 717.0, None, Some(60.0), false)),
            Some((Some(5e6), 4_999_911.0, None, Some(60.0), false)),
            None,
        ),
        // The IETF draft, 08 and later.
        (
            &[("ratelimit-policy", r#""default";q=100;w=10"#), ("ratelimit", r#""default";r=50;t=30"#)],
            Some((Some(100.0), 50.0, Some(30.0), Some(10.0), true)),
            None,
            None,
        ),
        (
            &[
                ("ratelimit-policy", r#""burst";q=100;w=60,"daily";q=1000;w=86400,"bytes";q=9;qu="content-bytes""#),
                ("ratelimit", r#""burst";r=90;t=3, "daily";r=10;t=5000, "bytes";r=0;t=1"#),
            ],
            Some((Some(100.0), 90.0, Some(3.0), Some(60.0), true)),
            None,
            None,
        ),
        // Draft 07, and 06 and before.
        (
            &[("ratelimit", "limit=100, remaining=50, reset=50")],
            Some((Some(100.0), 50.0, Some(50.0), None, true)),
            None,
            None,
        ),
        (
            &[("ratelimit-limit", "100, 100;w=60"), ("ratelimit-remaining", "0"), ("ratelimit-reset", "53")],
            Some((Some(100.0), 0.0, Some(53.0), Some(60.0), true)),
            None,
            None,
        ),
        // Generic: a Unix time as GitHub has it, in milliseconds, or seconds from now.
        (
            &[("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "4999"), ("x-ratelimit-reset", "1714564860")],
            Some((Some(5_000.0), 4_999.0, Some(60.0), None, true)),
            None,
            None,
        ),
        (
            &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "1714564801500")],
            Some((None, 1.0, Some(1.5), None, true)),
            None,
            None,
        ),
        (
            &[("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "30")],
            Some((None, 1.0, Some(30.0), None, true)),
            None,
            None,
        ),
        // Nothing that can be used.
        (&[("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-limit-tokens", "7")], None, None, None),
        (&[("ratelimit", "???;;,=,\";"), ("ratelimit-policy", "=")], None, None, None),
    ] {
        let hints = hints_at(&headers(pairs), noon());
        assert_eq!(
            (row(hints.requests), row(hints.tokens), row(hints.images)),
            (requests, tokens, images),
            "{pairs:?}"
        );
    }
}

#[test]
fn long_windows_are_kept_apart_from_short_ones() {
    for (pairs, requests, long_requests, long_tokens) in [
        (
            &[
                ("ratelimit-policy", r#""burst";q=100;w=60,"daily";q=1000;w=86400"#),
                ("ratelimit", r#""burst";r=90;t=3, "daily";r=10;t=5000"#),
            ][..],
            Some((Some(100.0), 90.0, Some(3.0), Some(60.0), true)),
            Some((Some(1_000.0), 10.0, Some(5_000.0), Some(86_400.0), true)),
            None,
        ),
        // Draft 07, and before.
        (
            &[("ratelimit-policy", "10;w=1, 200;w=86400"), ("ratelimit", "limit=200, remaining=198, reset=50000")],
            None,
            Some((Some(200.0), 198.0, Some(50_000.0), Some(86_400.0), true)),
            None,
        ),
        (
            &[
                ("ratelimit-limit", "200"),
                ("ratelimit-remaining", "198"),
                ("ratelimit-reset", "50000"),
                ("ratelimit-policy", "200;w=86400"),
            ],
            None,
            Some((Some(200.0), 198.0, Some(50_000.0), Some(86_400.0), true)),
            None,
        ),
        // Cerebras.
        (
            &[
                ("x-ratelimit-limit-requests-day", "14400"),
                ("x-ratelimit-remaining-requests-day", "14399"),
                ("x-ratelimit-reset-requests-day", "33011.5"),
                ("x-ratelimit-limit-requests-hour", "900"),
                ("x-ratelimit-remaining-requests-hour", "3"),
                ("x-ratelimit-reset-requests-hour", "60"),
                ("x-ratelimit-limit-tokens-day", "1000000"),
                ("x-ratelimit-remaining-tokens-day", "0"),
                ("x-ratelimit-limit-requests-minute", "30"),
                ("x-ratelimit-remaining-requests-minute", "29"),
            ],
            Some((Some(30.0), 29.0, None, Some(60.0), false)),
            Some((Some(900.0), 3.0, Some(60.0), Some(3_600.0), true)),
            Some((Some(1e6), 0.0, None, Some(86_400.0), false)),
        ),
    ] {
        let hints = hints_at(&headers(pairs), noon());
        let read = (row(hints.requests), row(hints.long_requests), row(hints.long_tokens));
        assert_eq!(read, (requests, long_requests, long_tokens), "{pairs:?}");
    }
}

#[test]
fn limits_of_what_a_request_does_not_use_are_not_its_own() {
    let pairs = [
        ("x-ratelimit-remaining-requests", "5"),
        ("x-ratelimit-remaining-images", "0"),
        ("x-ratelimit-limit-images", "5"),
        ("x-ratelimit-remaining-tokens", "7"),
        ("anthropic-ratelimit-output-tokens-remaining", "3"),
        ("x-ratelimit-remaining-tokens-day", "0"),
    ];
    for (unit, tokens, images) in
        [(Unit::Tokens, Some(7.0), None), (Unit::Images, None, Some(0.0)), (Unit::Other, None, None)]
    {
        let mut stripped = headers(&pairs);
        unit.strip(&mut stripped);
        let all = hints_at(&headers(&pairs), noon());
        assert_eq!(unit.of(all), hints_at(&stripped, noon()), "{unit:?}");
        let left = |hint: Option<RateHint>| hint.map(|hint| hint.remaining);
        let read = unit.of(all);
        assert_eq!(
            (left(read.requests), left(read.tokens), left(read.images)),
            (Some(5.0), tokens, images),
            "{unit:?}"
        );
        assert_eq!(read.used_up().count(), usize::from(unit != Unit::Other), "{unit:?}");
    }
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(value in "[ -~]{0,40}", number in any::<f64>(), name in 0usize..12) {
        let name = ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-remaining-tokens",
            "x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-reset", "ratelimit", "ratelimit-policy",
            "ratelimit-limit", "x-ratelimit-reset", "x-ratelimit-remaining", "x-ratelimit-reset-tokens"][name];
        let number = number.to_string();
        for value in [&value, &number] {
            let headers = headers(&[(name, value), ("x-ratelimit-remaining-requests", "3"), ("ratelimit-remaining", "1")]);
            let hints = hints_at(&headers, noon());
            prop_assert!(hints.requests.is_some_and(|hint| hint.remaining >= 0.0));
            prop_assert!(retry_after_at(&headers, noon()).is_none_or(|wait| wait <= Duration::from_secs(31 * 86_400)));
        }
    }

    #[test]
    fn no_message_makes_it_panic(message in "(try again in |retry after )?[ -~µ]{0,40}") {
        prop_assert!(wait_in(&message, noon()).is_none_or(|wait| wait <= Duration::from_secs(31 * 86_400)));
    }
}
