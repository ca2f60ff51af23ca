//! Whole answers that claim success and are none: an error object, a page for people, nothing at all.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::streamed::refused;
use super::verdicts::words;
use super::{Failure, Outcome};
use crate::wire::openai::Endpoint;
use crate::wire::sse::{Begins, begins};

/// The fields by which an answer is told from an error.
#[derive(Deserialize)]
struct Claim {
    error: Option<Value>,
    choices: Option<Vec<IgnoredAny>>,
    data: Option<Vec<IgnoredAny>>,
    output: Option<Vec<IgnoredAny>>,
}

impl Claim {
    /// Names the field that holds an endpoint's results, and counts them where the field is there.
    fn results(&self, endpoint: Endpoint) -> (&'static str, Option<usize>) {
        let (name, results) = match endpoint {
            Endpoint::Chat => ("choices", &self.choices),
            Endpoint::Embeddings | Endpoint::Images | Endpoint::Edits => ("data", &self.data),
            Endpoint::Responses => ("output", &self.output),
        };
        (name, results.as_ref().map(Vec::len))
    }

    fn has_any(&self) -> bool {
        self.choices.is_some() || self.data.is_some() || self.output.is_some()
    }
}

/// Checks the body that an endpoint answered with a status of success.
///
/// # Errors
///
/// A failure of the provider where it holds no answer; where its own error says more, what that means. An error object
/// says that nothing was made, the others leave it open: `spent`.
pub(super) fn checked(endpoint: Endpoint, content_type: &str, body: Bytes) -> Result<Bytes, Failure> {
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
    // Servers that stream whatever is asked are their callers' to read.
    if matches!(begins(&body), Begins::Yes) {
        return Ok(body);
    }
    let claim = match serde_json::from_slice::<Claim>(&body) {
        Ok(claim) => claim,
        Err(error) if error.is_eof() => return none("it breaks off"),
        Err(_) => return none("it is no JSON object of the endpoint's form"),
    };
    // No input has no embedding, and a response in the background has no output yet.
    let may_be_empty = matches!(endpoint, Endpoint::Embeddings | Endpoint::Responses);
    match claim.results(endpoint) {
        (name, Some(0)) if !may_be_empty => none(&format!("`{name}` is empty")),
        (_, Some(_)) => Ok(body),
        (..) if claim.has_any() => Ok(body),
        (name, None) => match claim.error.filter(|error| !matches!(error, Value::Null | Value::Bool(_))) {
            Some(error) => Err(Failure { spent: false, ..refused(&error, &HeaderMap::new()) }),
            None if body.iter().filter(|byte| !byte.is_ascii_whitespace()).eq(b"{}") => {
                none(&format!("`{name}` is missing"))
            }
            // Other fields are for the caller to judge.
            None => Ok(body),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::verdict::Again;

    fn read(endpoint: Endpoint, content_type: &str, body: &'static str) -> Result<Bytes, Failure> {
        checked(endpoint, content_type, Bytes::from_static(body.as_bytes()))
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
            ("application/json", r#"{"choices":[],"error":null}"#, Outcome::Failed, true),
            ("application/json", r#"{"choices":"none"}"#, Outcome::Failed, true),
            ("application/json", "{}", Outcome::Failed, true),
            ("application/json", "[]", Outcome::Failed, true),
            ("application/json", "\"done\"", Outcome::Failed, true),
            ("application/json", "null", Outcome::Failed, true),
            ("text/plain", "plain words", Outcome::Failed, true),
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
            let failure = read(Endpoint::Chat, content_type, body).expect_err(body);
            assert_eq!((failure.outcome, failure.spent), (outcome, spent), "{body}");
        }
        assert_eq!(
            read(Endpoint::Chat, "", r#"{"error":{"message":"x","code":400}}"#)
                .map_err(|failure| failure.verdict.again),
            Err(Again::Never)
        );
    }

    #[test]
    fn an_answer_is_left_as_it_is() {
        for (endpoint, body) in [
            (Endpoint::Chat, r#"{"choices":[{}],"error":{"message":"one of them"}}"#),
            (Endpoint::Chat, r#"{"text":"x","error":null}"#),
            (Endpoint::Responses, r#"{"choices":[{}]}"#),
            (Endpoint::Chat, "data: {\"choices\":[]}\n\n"),
            (Endpoint::Embeddings, r#"{"data":[]}"#),
            (Endpoint::Images, r#"{"data":[{"url":"https://x"}],"error":{"message":"one of them"}}"#),
            (Endpoint::Responses, r#"{"id":"r","output":[],"error":{"code":"server_error"}}"#),
            (Endpoint::Responses, r#"{"id":"r","status":"queued"}"#),
        ] {
            assert_eq!(read(endpoint, "application/json", body).expect(body), body);
        }
        let empty = read(Endpoint::Images, "application/json", r#"{"data":[]}"#).expect_err("no image");
        assert_eq!((empty.outcome, empty.spent), (Outcome::Failed, true));
    }
}
