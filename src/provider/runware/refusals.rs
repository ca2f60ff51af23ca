//! Errors of Runware and their meaning: their code says more than the status.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use super::common::Object;
use super::told::{Fault, text};
use crate::core::verdict::Matter;
use crate::provider::http::classify;
use crate::provider::{Failure, Upstream};

/// The code of a task that was sent before under the same `taskUUID`.
const CONFLICT: &str = "conflictTaskUUID";

/// Says whether a `taskUUID` was used before.
pub(super) fn is_conflict(fault: &Fault) -> bool {
    fault.text("code") == CONFLICT
}

/// Says whether the service knows nothing of the task that was asked for; a model that is not found is another matter.
pub(super) fn is_not_found(fault: &Fault) -> bool {
    let code = fault.text("code").to_lowercase();
    code.contains("notfound") && ["notfound", "task", "response", "result"].iter().any(|start| code.starts_with(start))
}

/// Reads errors, of which the first says what they mean and all are passed on; `status` is what holds where no table
/// knows its code.
pub(super) fn failure(errors: &[Object], status: u16, headers: &HeaderMap) -> Failure {
    let list = errors.iter().cloned().map(Value::Object).collect();
    let body = Value::Object(Map::from_iter([("errors".to_owned(), Value::Array(list))])).to_string();
    let mut failure = classify(status, headers, body.into());
    if let Some(Upstream { content_type, .. }) = &mut failure.upstream {
        *content_type = "application/json".into();
    }
    let none = Map::new();
    let first = errors.first().unwrap_or(&none);
    let words = text(first, "message");
    match failure.verdict.matter {
        _ if words.is_empty() || failure.verdict.scope.is_account() => {}
        // The status is ours where the answer had none.
        Matter::Outage | Matter::Fault => {
            failure.message = format!("the provider reports {:?}: {words}", text(first, "code"));
            failure.upstream = None;
        }
        _ => words.clone_into(&mut failure.message),
    }
    // Its UUID makes it harmless to send a task again.
    Failure { spent: false, ..failure }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provider::Outcome;

    fn read(code: &str, headers: &HeaderMap) -> Failure {
        let error = serde_json::json!({"code": code, "message": "words"});
        failure(&[error.as_object().expect("an object").clone()], 400, headers)
    }

    #[test]
    fn a_code_says_more_than_the_status() {
        for (code, outcome) in [
            ("rateLimitExceeded", Outcome::RateLimited),
            ("providerRateLimitExceeded", Outcome::RateLimited),
            ("concurrencyLimit", Outcome::Throttled),
            ("timeoutProvider", Outcome::Overloaded),
            ("queueTimeout", Outcome::Overloaded),
            ("serviceUnavailable", Outcome::Overloaded),
            ("insufficientCredits", Outcome::RateLimited),
            ("invalidApiKey", Outcome::RateLimited),
            ("internalServerError", Outcome::Failed),
            ("inferenceError", Outcome::Failed),
            ("invalidTimeout", Outcome::Rejected),
            ("unsupportedQuotaField", Outcome::Rejected),
            ("conflictTaskUUID", Outcome::Rejected),
            ("invalidProviderContent", Outcome::Rejected),
            ("somethingNew", Outcome::Rejected),
            ("", Outcome::Rejected),
        ] {
            let failure = read(code, &HeaderMap::new());
            assert_eq!(failure.outcome, outcome, "{code}");
            let told = matches!(outcome, Outcome::Rejected | Outcome::Overloaded | Outcome::Failed);
            assert_eq!(failure.message.contains("words"), told, "{code}: {failure}");
            assert_eq!(failure.upstream.is_some(), outcome == Outcome::Rejected, "{code}");
        }
    }

    #[test]
    fn a_code_in_a_4xx_keeps_what_its_headers_say() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("retry-after", "7"), ("x-ratelimit-remaining-requests", "0")] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let failure = read("rateLimitExceeded", &headers);
        assert!(failure.outcome.is_retryable(), "{failure:?}");
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(failure.hints.requests.map(|hint| hint.remaining), Some(0.0));
        assert_eq!(read("invalidPrompt", &headers).outcome, Outcome::Rejected);
    }
}
