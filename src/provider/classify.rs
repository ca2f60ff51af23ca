//! The verdict on an answer that is no success: the tables say what its words mean to the controllers.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::de::IgnoredAny;

use super::headers::{hints, stated_wait};
use super::verdicts::{self, message, words};
use super::{Failure, Upstream};
use crate::core::verdict::{Matter, Scope, Verdict};

/// Says what a status, its headers and its body mean.
///
/// A 429 that names no reason is read as concurrency, and suspected: a wrong guess that way costs throughput for a while,
/// the other way round it would never find the cap.
pub(super) fn classify(status: u16, headers: &HeaderMap, body: Bytes) -> Failure {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let is_json = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
    let said = words::read(status, content_type, &body);
    let (stated, hints) = (stated_wait(headers, &body), hints(headers));
    let rule = verdicts::built_in(&said);
    let limited = status == 429 && hints.used_up().next().is_some();
    let verdict = rule.map_or_else(
        || if limited { Verdict::new(Scope::Model, Matter::Rate) } else { Verdict::of_status(status) },
        |rule| rule.verdict,
    );
    // A redirect, "not modified" or a number of the provider's own would mislead a caller's client.
    let told = if (400..600).contains(&status) { status } else { 502 };
    // What is no JSON is a page for people, or a proxy's few words: told, but not passed on as the provider's answer.
    let upstream = if is_json {
        Upstream { status: told, content_type: content_type.to_owned(), body }
    } else {
        Upstream { status: told, content_type: "text/plain; charset=utf-8".into(), body: said.message.clone().into() }
    };
    Failure {
        retry_after: stated.or(rule.and_then(|rule| rule.hold)),
        spent: may_be_taken(status, !is_json),
        hints: Box::new(hints),
        // Our own credentials are not the caller's matter, and a provider's words about them are not for the caller.
        upstream: (!verdict.scope.is_account() || verdict.suspects_account()).then_some(upstream),
        message: message(verdict, &said),
        words: Some(Box::new(said)),
        ..Failure::judged(verdict, "")
    }
}

/// Says whether the provider may have taken the work all the same. What it says itself about its failure is taken at its
/// word; a proxy in front of it knows only that it lost sight of it.
const fn may_be_taken(status: u16, proxy: bool) -> bool {
    matches!(status, 408 | 504 | 520 | 524 | 598 | 599) || proxy && matches!(status, 500 | 502)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::outcome::Outcome;
    use crate::core::verdict::Again;

    fn read(status: u16, pairs: &[(&'static str, &str)], body: &str) -> Failure {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value"))).collect();
        classify(status, &headers, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_status_that_is_no_refusal_is_told_as_a_bad_gateway() {
        for status in [304, 307, 999] {
            let failure = read(status, &[], "{}");
            assert_eq!(failure.upstream.map(|upstream| upstream.status), Some(502), "{status}");
        }
    }

    #[test]
    fn limits_are_told_apart() {
        let left = ("x-ratelimit-remaining-requests", "12");
        let none_left = ("x-ratelimit-remaining-requests", "0");
        let openai = r#"{"error":{"message":"Rate limit reached for m in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. You can increase your rate limit by adding a payment method to your account at https://platform.openai.com/account/billing.","type":"requests","code":"rate_limit_exceeded"}}"#;
        let azure = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 6 seconds."}}"#;
        let replicate = r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#;
        let overloaded = r#"{"error":{"message":"The engine is currently overloaded, please try again later"}}"#;
        for (pairs, body, outcome, verdict, wait) in [
            (&[][..], "", Outcome::Throttled, "model capacity", None),
            (&[left], "rate limit", Outcome::Throttled, "model capacity", None),
            (&[("retry-after", "7")], "", Outcome::Throttled, "model capacity", Some(7.0)),
            (&[none_left], "", Outcome::RateLimited, "model rate", None),
            (
                &[none_left, ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-reset-requests", "60s")],
                "",
                Outcome::RateLimited,
                "model rate",
                Some(1.0),
            ),
            (&[none_left, ("retry-after-ms", "40")], "", Outcome::RateLimited, "model rate", Some(0.04)),
            (&[none_left], "too many concurrent requests", Outcome::Throttled, "model capacity", None),
            (&[], r#"{"detail":"Active task limit exceeded"}"#, Outcome::Throttled, "account capacity", None),
            (&[], "Limit 3 requests per min (RPM)", Outcome::RateLimited, "model rate", None),
            // OpenAI advertises billing in a mere rate limit.
            (&[], openai, Outcome::RateLimited, "model rate", Some(20.0)),
            (&[], azure, Outcome::RateLimited, "model rate", Some(6.0)),
            (&[], replicate, Outcome::RateLimited, "account rate", Some(30.0)),
            (&[], overloaded, Outcome::Overloaded, "route outage", None),
        ] {
            let failure = read(429, pairs, body);
            let told = failure.retry_after.map(|wait| wait.as_secs_f64());
            let verdict_of = failure.verdict.to_string();
            assert_eq!((failure.outcome, verdict_of.as_str(), told), (outcome, verdict, wait), "{pairs:?} {body}");
            let unnamed = failure.verdict.is_unnamed();
            assert_eq!(
                unnamed,
                outcome == Outcome::Throttled && !body.contains("concurrent") && !body.contains("task")
            );
            assert!(!failure.message.contains("org-x"), "whose account it is, is not for callers: {failure}");
        }
    }

    #[test]
    fn an_account_without_money_or_key_is_held_however_it_is_said() {
        for (status, body, verdict) in [
            (401, r#"{"error":{"message":"Incorrect API key provided: sk-1","code":"invalid_api_key"}}"#, "key key"),
            (401, "", "key key"),
            (401, r#"{"error":{"message":"bad key"}}"#, "key key"),
            (
                401,
                r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
                "key key",
            ),
            (403, r#"{"detail":"Not authenticated"}"#, "key key"),
            (
                400,
                r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]"#,
                "key key",
            ),
            (402, "", "account money"),
            (402, r#"{"title":"Insufficient credit","status":402}"#, "account money"),
            (402, r#"{"detail":"You have insufficient credit to run this model. Go to billing."}"#, "account money"),
            (402, r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#, "account money"),
            (402, r#"{"error":{"message":"Insufficient Balance"}}"#, "account money"),
            (
                403,
                r#"{"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai."}"#,
                "account money",
            ),
            (
                403,
                r#"{"error":{"code":"AccountOverdueError","message":"Your account has an overdue balance.","type":"Forbidden"}}"#,
                "account money",
            ),
            (
                403,
                r#"{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 5 days."}"#,
                "account quota",
            ),
            (
                403,
                r#"{"error":"Your team x has either used all available credits or reached its monthly spending limit."}"#,
                "account money",
            ),
            (
                403,
                r#"{"error":{"message":"Your account is not active, organization exceeded current quota, please check your plan","type":"exceeded_current_quota_error"}}"#,
                "account money",
            ),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                "account money",
            ),
            (429, r#"{"error":{"message":"余额不足或无可用资源包,请充值。","code":"1113"}}"#, "account money"),
            (
                429,
                r#"{"error":{"message":"Your account is not active, please check your billing details.","code":"billing_not_active"}}"#,
                "account money",
            ),
            (
                429,
                r#"[{"error":{"message":"Your project has exceeded its monthly spending cap.","status":"RESOURCE_EXHAUSTED"}}]"#,
                "account money",
            ),
            (
                429,
                "Your team x has either used all available credits or reached its monthly spending limit.",
                "account money",
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
                "account money",
            ),
            (
                400,
                r#"{"error":{"message":"You have reached your specified API usage limits. You will regain access on 2026-12-01.","type":"invalid_request_error"}}"#,
                "account money",
            ),
        ] {
            let failure = read(status, &[], body);
            assert_eq!(
                (failure.verdict.to_string().as_str(), failure.outcome),
                (verdict, Outcome::RateLimited),
                "{body}"
            );
            assert!(failure.retry_after.is_some() && failure.upstream.is_none(), "{body}: {failure:?}");
            assert!(!format!("{failure:?} {failure}").contains("sk-1"), "our key is never repeated");
        }
    }

    #[test]
    fn what_is_one_requests_own_matter_holds_nobody() {
        for (status, body, again) in [
            (
                429,
                r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 61337. The input or output tokens must be reduced in order to run successfully.","type":"tokens","code":"rate_limit_exceeded"}}"#,
                Again::Elsewhere,
            ),
            (
                413,
                r#"{"error":{"message":"Request too large for model `m` on tokens per minute (TPM): Limit 6000, please reduce your message size.","code":"rate_limit_exceeded"}}"#,
                Again::Elsewhere,
            ),
            (
                402,
                r#"{"error":{"message":"This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 20000.","code":402}}"#,
                Again::Elsewhere,
            ),
            (
                401,
                r#"{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.model.images.request.","code":"missing_scope"}}"#,
                Again::Elsewhere,
            ),
            (401, r#"{"message":"This key may not be used for model m"}"#, Again::Elsewhere),
            (
                403,
                r#"{"error":{"message":"Project does not have access to model m","code":"model_not_found"}}"#,
                Again::Elsewhere,
            ),
            (
                403,
                r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported"}}"#,
                Again::Elsewhere,
            ),
            (
                403,
                r#"{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission"}}"#,
                Again::Elsewhere,
            ),
            (404, r#"{"error":{"message":"The model does not exist","code":"model_not_found"}}"#, Again::Elsewhere),
            (404, "", Again::Elsewhere),
            (
                400,
                r#"{"error":{"message":"bad value 'insufficient_quota': your credit balance is too low"}}"#,
                Again::Never,
            ),
            (
                400,
                r#"{"error":{"message":"Invalid prompt: your credit balance is too low, api key not valid"}}"#,
                Again::Never,
            ),
            (400, "bad prompt", Again::Never),
            (400, r#"{"error":{"message":"rejected by our safety system","code":"moderation_blocked"}}"#, Again::Never),
            (422, r#"{"detail":[{"loc":["body"],"msg":"must be divisible by 8","type":"value_error"}]}"#, Again::Never),
        ] {
            let failure = read(status, &[], body);
            assert_eq!(failure.verdict.again, again, "{status} {body}");
            assert!(
                !failure.verdict.scope.is_account() && failure.retry_after.is_none(),
                "{status} {body}: {failure:?}"
            );
            assert_eq!(failure.upstream.map(|upstream| upstream.status), Some(status), "{body}");
        }
    }

    #[test]
    fn a_model_of_gemini_is_held_alone_as_long_as_it_says() {
        let minute = r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"You exceeded your current quota, please check your plan and billing details. Please retry in 3.2s.","details":[{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}]}}]"#;
        let failure = read(429, &[], minute);
        assert_eq!((failure.verdict.to_string().as_str(), failure.outcome), ("model rate", Outcome::RateLimited));
        assert_eq!(failure.retry_after, Some(Duration::from_secs_f64(3.2)));
    }

    #[test]
    fn what_stands_in_front_is_read_by_its_status_and_never_passed_on() {
        let page = "<html><head><title>524: A timeout occurred</title></head><body>Cloudflare</body></html>";
        for (status, spent) in
            [(500, true), (502, true), (520, true), (521, false), (522, false), (524, true), (530, false)]
        {
            let failure = read(status, &[("content-type", "text/html")], page);
            let overloaded = if status == 502 { Outcome::Overloaded } else { Outcome::Failed };
            assert_eq!((failure.outcome, failure.spent), (overloaded, spent), "{status}");
            let upstream = failure.upstream.expect("its status");
            assert_eq!((upstream.status, &*upstream.body), (status, &b"524: A timeout occurred"[..]));
        }
        assert!(
            !read(500, &[], r#"{"error":{"message":"it failed"}}"#).spent,
            "the provider says itself that it failed"
        );
        assert_eq!(read(307, &[("location", "https://x")], "").outcome, Outcome::Failed);
    }

    #[test]
    fn a_cold_model_says_when_it_is_there() {
        let failure = read(503, &[], r#"{"error":"Model m is currently loading","estimated_time":3.0}"#);
        assert_eq!((failure.outcome, failure.retry_after), (Outcome::Overloaded, Some(Duration::from_secs(3))));
        for nonsense in ["-1", "1e300", "null", "\"soon\""] {
            assert_eq!(read(503, &[], &format!("{{\"estimated_time\":{nonsense}}}")).retry_after, None);
        }
    }
}
