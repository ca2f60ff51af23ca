//! What Runware's errors mean: their code says more than the status.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use crate::provider::http::classify;
use crate::provider::{Failure, Outcome, Upstream};

/// The code of a task that was sent before under the same `taskUUID`.
pub(super) const CONFLICT: &str = "conflictTaskUUID";

/// Reads the error object of a failure's body: its code says more than the status.
pub(super) fn reread(failure: Failure) -> Failure {
    let Some(upstream) = &failure.upstream else { return failure };
    let answer: Option<Map<String, Value>> = serde_json::from_slice(&upstream.body).ok();
    let coded = answer.and_then(|answer| coded(&answer, upstream.status, &HeaderMap::new()));
    match coded {
        Some(coded) if coded.outcome != Outcome::Rejected => {
            // What the headers said was read before, and holds.
            let retry_after = failure.retry_after.max(coded.retry_after);
            Failure { hints: failure.hints, retry_after, ..coded }
        }
        _ => failure,
    }
}

/// Returns the failure that a 200 reports in its `errors`.
pub(super) fn error_in(answer: &Map<String, Value>, headers: &HeaderMap) -> Option<Failure> {
    coded(answer, 400, headers)
}

/// Reads the first error of an answer.
pub(super) fn coded(answer: &Map<String, Value>, status: u16, headers: &HeaderMap) -> Option<Failure> {
    let error = first(answer)?;
    let code = code(answer);
    let status = match code {
        "rateLimitExceeded" | "concurrencyLimit" => 429,
        "serviceUnavailable" => 503,
        code if code.contains("Timeout") => 504,
        code if ["Credits", "Quota", "Balance"].iter().any(|word| code.contains(word)) => 402,
        "invalidApiKey" => 401,
        _ => status,
    };
    let body = bytes::Bytes::from(Value::Object(answer.clone()).to_string());
    let mut failure = classify(status, headers, body);
    if let Some(Upstream { content_type, .. }) = &mut failure.upstream {
        *content_type = "application/json".into();
    }
    if let Some(message) = error.get("message").and_then(Value::as_str).filter(|_| failure.outcome == Outcome::Rejected)
    {
        failure.message = message.to_owned();
    }
    Some(failure)
}

fn first(answer: &Map<String, Value>) -> Option<&Value> {
    answer.get("errors").and_then(Value::as_array).and_then(|errors| errors.first())
}

/// Returns the code of an answer's first error; empty where there is none.
pub(super) fn code(answer: &Map<String, Value>) -> &str {
    first(answer).and_then(|error| error.get("code")).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_code_in_a_4xx_keeps_what_its_headers_say() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("retry-after", "7"), ("x-ratelimit-remaining-requests", "0")] {
            headers.insert(name, value.parse().expect("a header"));
        }
        let read = |body: &'static [u8]| reread(classify(400, &headers, bytes::Bytes::from_static(body)));
        let failure = read(br#"{"errors":[{"code":"rateLimitExceeded"}]}"#);
        assert!(failure.outcome.is_retryable(), "{failure:?}");
        assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(failure.hints.requests.map(|hint| hint.remaining), Some(0.0));
        assert_eq!(read(br#"{"errors":[{"code":"invalidPrompt"}]}"#).outcome, Outcome::Rejected);
    }
}
