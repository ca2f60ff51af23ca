//! Whole answers that claim success and are none: an error object, a page for people, nothing at all.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::streamed::refused;
use super::verdicts::words;
use super::{Failure, Outcome};

/// What tells an answer from an error: an error object without any of what answers hold.
#[derive(Deserialize)]
struct Claim {
    error: Option<Value>,
    choices: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
    output: Option<IgnoredAny>,
}

/// Checks a body of JSON that came with a status of success.
///
/// # Errors
///
/// A failure of the provider where it holds no answer; where its own error says more, what that means. An error object
/// says that nothing was made, the others leave it open: `spent`.
pub(super) fn checked(content_type: &str, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Failure> {
    let none = |what: &str| {
        let message = format!("the provider's answer is none: {what}");
        Err(Failure { spent: true, ..Failure::new(Outcome::Failed, message) })
    };
    if body.trim_ascii().is_empty() {
        return none("it is empty");
    }
    if words::is_page(content_type, &body) {
        return none("it is a page of HTML");
    }
    let claim = match serde_json::from_slice::<Claim>(&body) {
        Ok(claim) => claim,
        Err(error) if error.is_eof() => return none("it breaks off"),
        // A list of answers, and what else cannot be looked into so, is for its reader to judge.
        Err(_) => return Ok(body),
    };
    let Claim { error, choices: None, data: None, output: None } = claim else { return Ok(body) };
    let Some(error) = error.filter(|error| !matches!(error, Value::Null | Value::Bool(_))) else { return Ok(body) };
    Err(Failure { spent: false, ..refused(&error, headers) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::verdict::Again;

    fn read(content_type: &str, body: &'static str) -> Result<Bytes, Failure> {
        checked(content_type, &HeaderMap::new(), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn what_claims_success_and_is_none_is_a_failure() {
        for (content_type, body, outcome, spent) in [
            ("application/json", "", Outcome::Failed, true),
            ("application/json", " \n", Outcome::Failed, true),
            ("text/html; charset=utf-8", "<h1>Welcome</h1>", Outcome::Failed, true),
            ("application/json", "<!doctype html><p>x", Outcome::Failed, true),
            ("application/json", r#"{"choices":[{"index":0,"mess"#, Outcome::Failed, true),
            ("application/json", r#"{"choices"#, Outcome::Failed, true),
            ("application/json", r#"{"error":{"message":"it broke"}}"#, Outcome::Failed, false),
            ("application/json", r#"{"error":"it broke"}"#, Outcome::Failed, false),
            ("application/json", r#"{"error":{"message":"busy","code":503}}"#, Outcome::Overloaded, false),
            (
                "application/json",
                r#"{"error":{"message":"Insufficient credits","code":402}}"#,
                Outcome::RateLimited,
                false,
            ),
            ("application/json", r#"{"error":{"message":"bad","code":"400"}}"#, Outcome::Rejected, false),
        ] {
            let failure = read(content_type, body).expect_err(body);
            assert_eq!((failure.outcome, failure.spent), (outcome, spent), "{body}");
        }
        assert_eq!(
            read("", r#"{"error":{"message":"x","code":400}}"#).map_err(|failure| failure.verdict.again),
            Err(Again::Never)
        );
    }

    #[test]
    fn an_answer_is_left_as_it_is() {
        for body in [
            r#"{"choices":[],"error":null}"#,
            r#"{"id":"r","object":"response","output":[],"error":{"code":"server_error"}}"#,
            r#"{"data":[],"error":{"message":"one of them"}}"#,
            r#"{"text":"x","error":null}"#,
            "[1]",
            "plain words",
        ] {
            assert_eq!(read("application/json", body).expect(body), body);
        }
    }
}
