//! What a provider's refusal means to the controllers.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

use super::headers::{hints, stated_wait};
use super::{Cause, Failure, Outcome, Upstream};

/// How long a route rests whose key or quota the provider refuses, where it does not say.
const SUSPENSION: Duration = Duration::from_secs(30);
/// Most of an error's body that is read for words.
const MOST_WORDS: usize = 4_096;

/// Said by a 429 whose account has no quota or credit left (OpenAI, Azure, Runware, Replicate, DeepSeek). A mere rate
/// limit may advertise billing and payment, so only whole phrases count.
const EXHAUSTED: [&str; 8] = [
    "insufficient_quota",
    "insufficientcredits",
    "exceeded your current quota",
    "billing_error",
    "billing_hard_limit_reached",
    "credit balance is too low",
    "insufficient credit",
    "insufficient balance",
];
/// The same as codes of a 400 or 403, where words may be the caller's own.
const EXHAUSTED_CODES: [&str; 3] = ["insufficient_quota", "billing_error", "billing_hard_limit_reached"];
/// How messages of a 400 or 403 begin that say the same (Anthropic, Azure).
const EXHAUSTED_MESSAGES: [&str; 2] = ["your credit balance is too low", "out of call volume quota"];
const CONCURRENCY: [&str; 4] = ["concurren", "active task", "simultaneous", "parallel request"];
const RATE: [&str; 13] = [
    "per min",
    "per second",
    "per day",
    "per hour",
    "per 10 seconds",
    "rpm",
    "tpm",
    "tokens per",
    "requests per",
    "call rate limit",
    "token rate limit",
    "request rate",
    "rate limit resets",
];
const ACCOUNT: [&str; 5] = [
    "across all models",
    "account-wide",
    "account rate limit",
    "rate limit for your account",
    "rate limit for creating predictions",
];

/// Says what a status, its headers and its body mean.
///
/// A 429 that names no reason is read as concurrency, and marked: a wrong guess that way costs throughput for a while,
/// the other way round it would never find the cap.
pub(super) fn classify(status: u16, headers: &HeaderMap, body: Bytes) -> Failure {
    let text = String::from_utf8_lossy(&body[..body.len().min(MOST_WORDS)]).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let stated = stated_wait(headers, &body);
    let hints = hints(headers);
    let suspension = Some(stated.unwrap_or(SUSPENSION));
    let (outcome, cause, retry_after) = match status {
        401 => (Outcome::RateLimited, Cause::Key, suspension),
        402 => (Outcome::RateLimited, Cause::Exhausted, suspension),
        429 if says(&EXHAUSTED) => (Outcome::RateLimited, Cause::Exhausted, suspension),
        400 | 403 if is_exhausted(&text) => (Outcome::RateLimited, Cause::Exhausted, suspension),
        429 if says(&["currently overloaded", "overloaded_error"]) => (Outcome::Overloaded, Cause::Plain, stated),
        429 if says(&CONCURRENCY) => (Outcome::Throttled, Cause::Plain, stated),
        429 if hints.used_up().next().is_some() || says(&RATE) => (Outcome::RateLimited, Cause::Plain, stated),
        429 => (Outcome::Throttled, Cause::Unnamed, stated),
        408 | 502 | 503 | 504 | 529 => (Outcome::Overloaded, Cause::Plain, stated),
        _ => (Outcome::Rejected, Cause::Plain, stated),
    };
    let ours = matches!(cause, Cause::Key | Cause::Exhausted);
    let account_wide = ours || status == 429 && says(&ACCOUNT);
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    // Our own credentials are not the caller's fault, and a provider's words about them are not for the caller.
    let upstream = (outcome == Outcome::Rejected).then(|| Upstream {
        status,
        content_type: content_type.to_owned(),
        body: body.clone(),
    });
    let message = match cause {
        Cause::Key => format!("the provider refused the configured account (status {status})"),
        Cause::Exhausted => format!("the account's quota or credit at the provider is used up (status {status})"),
        _ => format!("the provider answered {status}"),
    };
    Failure { cause, retry_after, account_wide, hints: Box::new(hints), upstream, ..Failure::new(outcome, message) }
}

/// Says whether an error object, in lower case, is about the account's quota or credit.
fn is_exhausted(text: &str) -> bool {
    let Ok(Value::Object(answer)) = serde_json::from_str(text) else { return false };
    let error = answer.get("error").and_then(Value::as_object).unwrap_or(&answer);
    let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    EXHAUSTED_CODES.iter().any(|code| field("code") == *code || field("type") == *code)
        || EXHAUSTED_MESSAGES.iter().any(|message| field("message").starts_with(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
        let failure = |status, pairs: &[(&'static str, &str)], body: &'static str| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")))
                .collect();
            classify(status, &headers, Bytes::from_static(body.as_bytes()))
        };
        let unnamed = (Outcome::Throttled, Cause::Unnamed, false, None);
        let throttled = (Outcome::Throttled, Cause::Plain, false, None);
        let limited = |seconds| (Outcome::RateLimited, Cause::Plain, false, seconds);
        let exhausted = (Outcome::RateLimited, Cause::Exhausted, true, Some(30.0));
        let overloaded = (Outcome::Overloaded, Cause::Plain, false, None);
        let rejected = (Outcome::Rejected, Cause::Plain, false, None);
        let left = ("x-ratelimit-remaining-requests", "12");
        let none_left = ("x-ratelimit-remaining-requests", "0");
        for (status, pairs, body, expected) in [
            (429, &[][..], "", unnamed),
            (429, &[], r#"{"error":{"type":"rate_limit_error","code":"rate_limit_exceeded"}}"#, unnamed),
            (429, &[left], "rate limit", unnamed),
            (429, &[("retry-after", "7")], "", (Outcome::Throttled, Cause::Unnamed, false, Some(7.0))),
            (429, &[none_left], "", limited(None)),
            (
                429,
                &[none_left, ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-reset-requests", "60s")],
                "",
                limited(Some(1.0)),
            ),
            (429, &[none_left, ("retry-after-ms", "40")], "Please try again in 2s", limited(Some(2.0))),
            (429, &[none_left], "too many concurrent requests", throttled),
            (429, &[], r#"{"detail":"Active task limit exceeded"}"#, throttled),
            (429, &[], "Limit 3 requests per min (RPM)", limited(None)),
            // OpenAI advertises billing in a mere rate limit.
            (
                429,
                &[],
                r#"{"error":{"message":"Rate limit reached for m in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.","type":"requests","code":"rate_limit_exceeded"}}"#,
                limited(Some(20.0)),
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                exhausted,
            ),
            (
                429,
                &[],
                r#"{"error":{"message":"The engine is currently overloaded, please try again later"}}"#,
                overloaded,
            ),
            // Azure.
            (
                429,
                &[],
                r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds."}}"#,
                limited(Some(6.0)),
            ),
            (
                403,
                &[],
                r#"{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 5.00:00:00."}"#,
                (Outcome::RateLimited, Cause::Exhausted, true, Some(432_000.0)),
            ),
            // Replicate.
            (429, &[], r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#, limited(Some(30.0))),
            (402, &[], r#"{"title":"Insufficient credit","status":402}"#, exhausted),
            // Anthropic.
            (402, &[], r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#, exhausted),
            (
                400,
                &[],
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
                exhausted,
            ),
            (529, &[], r#"{"type":"error","error":{"type":"overloaded_error"}}"#, overloaded),
            (503, &[], "", overloaded),
            // A caller's own words suspend nobody.
            (
                400,
                &[],
                r#"{"error":{"message":"bad value 'insufficient_quota': credit balance is too low"}}"#,
                rejected,
            ),
            (400, &[], "bad prompt", rejected),
            (403, &[], r#"{"error":{"code":"model_not_allowed"}}"#, rejected),
            (500, &[], "", rejected),
        ] {
            let failure = failure(status, pairs, body);
            let wait = failure.retry_after.map(|wait| wait.as_secs_f64());
            assert_eq!(
                (failure.outcome, failure.cause, failure.account_wide, wait),
                expected,
                "{status} {pairs:?} {body}"
            );
            assert_eq!(failure.upstream.is_some(), failure.outcome == Outcome::Rejected);
        }
        let account = failure(
            429,
            &[],
            r#"{"detail":"Your rate limit for creating predictions is reduced to 6 requests per minute."}"#,
        );
        assert!(account.account_wide && account.cause == Cause::Plain);
        let key = failure(401, &[], "incorrect key sk-123");
        assert_eq!((key.cause, key.account_wide), (Cause::Key, true));
        assert!(!format!("{key:?} {key}").contains("sk-123"), "our key is never repeated");
    }
}
