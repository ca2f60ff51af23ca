//! A provider's refusal in its caller's dialect: its words, with codes and names of fields that the caller's SDK knows.

use serde_json::Value;

use crate::Reason;
use crate::core::verdict::Matter;
use crate::provider::{Failure, Upstream};
use crate::wire::Malformed;
use crate::wire::openai::translatable::Untranslatable;
use crate::wire::said::Said;

/// Names of the same field: those that a provider may use, OpenAI's, and Runware's.
const FIELDS: [(&[&str], &str, &str); 6] = [
    (&["prompt", "positivePrompt"], "prompt", "positivePrompt"),
    (&["n", "count", "numberResults", "num_images", "num_outputs"], "n", "numberResults"),
    (&["size", "width", "image_size"], "size", "width"),
    (&["height"], "size", "height"),
    (&["image", "seedImage", "input_image", "image_url"], "image", "seedImage"),
    (&["mask", "maskImage", "mask_url"], "mask", "maskImage"),
];

/// Codes of what is moderated.
const MODERATED: (&str, &str) = ("content_policy_violation", "invalidProviderContent");
/// Codes by how a provider's own code begins, in lower case and without what divides its words.
const CODES: [(&str, &str, &str); 4] = [
    ("missing", "missing_required_parameter", "missingParameter"),
    ("modelnotfound", "model_not_found", "invalidModel"),
    ("unsupported", "unsupported_value", "unsupportedParameter"),
    ("contextlength", "context_length_exceeded", "invalidRequest"),
];
/// Codes of any other refusal that names a field.
const OF_A_FIELD: (&str, &str) = ("invalid_value", "invalidParameter");

/// Returns the codes of a reason, for a refusal that no closer code fits.
fn codes_of(reason: Reason) -> (&'static str, &'static str) {
    (reason.openai_code(), reason.runware_code())
}

/// The words of a provider, or of its adapter before anything was sent, about a request that it refuses.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Words {
    pub(in crate::gateway) message: String,
    pub(in crate::gateway) param: Option<String>,
    /// For OpenAI's callers and for Runware's.
    codes: (&'static str, &'static str),
}

impl Words {
    /// Reads a refusal; `told` is what the scheduler says of it.
    pub(in crate::gateway) fn of(failure: &Failure, told: String) -> Self {
        let moderated = (failure.verdict.matter == Matter::Moderation).then_some(MODERATED);
        let Some(upstream) = &failure.upstream else {
            let source = failure.source.as_ref().map(|source| source.get());
            let lost = source.and_then(|source| source.downcast_ref::<Untranslatable>());
            let malformed = source.and_then(|source| source.downcast_ref::<Malformed>()).or(lost.map(|lost| &lost.0));
            let param = malformed.map(|malformed| malformed.field.clone());
            let usual = if param.is_some() { OF_A_FIELD } else { codes_of(Reason::Rejected) };
            let codes = moderated.or(lost.map(|_| codes_of(Reason::Untranslatable))).unwrap_or(usual);
            return Self { message: told, param, codes };
        };
        match Said::read(&upstream.body) {
            Some(said) => {
                Self { codes: moderated.unwrap_or_else(|| codes(&said)), message: said.message, param: said.param }
            }
            None => Self {
                message: format!("the provider refused the request and did not say why (status {})", upstream.status),
                param: None,
                codes: moderated.unwrap_or(codes_of(Reason::Rejected)),
            },
        }
    }

    pub(in crate::gateway) fn openai_code(&self) -> &'static str {
        self.codes.0
    }

    pub(in crate::gateway) fn runware_code(&self) -> &'static str {
        self.codes.1
    }

    pub(in crate::gateway) fn openai_param(&self) -> Option<&str> {
        self.param.as_deref().map(|param| field(param).map_or(param, |(_, openai, _)| *openai))
    }

    pub(in crate::gateway) fn runware_param(&self) -> Option<&str> {
        self.param.as_deref().map(|param| field(param).map_or(param, |(_, _, runware)| *runware))
    }
}

fn field(name: &str) -> Option<&'static (&'static [&'static str], &'static str, &'static str)> {
    FIELDS.iter().find(|(names, _, _)| names.contains(&name))
}

fn codes(said: &Said) -> (&'static str, &'static str) {
    if said.moderated {
        return MODERATED;
    }
    let code = said.code.as_deref().unwrap_or_default().chars();
    let code: String = code.filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    match CODES.iter().find(|(begin, _, _)| code.starts_with(begin)) {
        Some((_, openai, runware)) => (openai, runware),
        None if said.param.is_some() => OF_A_FIELD,
        None => codes_of(Reason::Rejected),
    }
}

/// Says whether a provider's answer is an error as OpenAI's SDKs read one, and nothing else.
pub(in crate::gateway) fn is_openai(upstream: &Upstream) -> bool {
    let Ok(Value::Object(answer)) = serde_json::from_slice(&upstream.body) else { return false };
    let of_a_generation = answer.contains_key("status") || answer.contains_key("errors");
    !of_a_generation && answer.get("error").and_then(|error| error.get("message")).is_some_and(Value::is_string)
}

/// Returns the error object of a provider's answer that is in OpenAI's shape.
pub(in crate::gateway) fn openai_error(upstream: &Upstream) -> Option<Value> {
    let mut answer: Value = serde_json::from_slice(&upstream.body).ok().filter(|_| is_openai(upstream))?;
    answer.get_mut("error").map(Value::take)
}

/// Returns the error object of a provider's answer that is in Runware's shape.
pub(in crate::gateway) fn runware_error(upstream: &Upstream) -> Option<Value> {
    let answer: Value = serde_json::from_slice(&upstream.body).ok()?;
    let is_whole = |own: &&Value| ["code", "message"].iter().all(|name| own.get(name).is_some_and(Value::is_string));
    answer.pointer("/errors/0").filter(is_whole).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::Outcome;

    fn words(status: u16, body: &Value) -> Words {
        let body = body.to_string().into();
        let upstream = Upstream { status, content_type: "application/json".into(), body };
        Words::of(&Failure { upstream: Some(upstream), ..Failure::new(Outcome::Rejected, "x") }, String::new())
    }

    #[test]
    fn every_refusal_has_codes_and_fields_that_its_callers_know() {
        for (body, openai, runware) in [
            (
                json!({"detail": [{"loc": ["body", "height"], "msg": "x", "type": "multiple_of"}]}),
                ("invalid_value", Some("size")),
                ("invalidParameter", Some("height")),
            ),
            (
                json!({"error": {"message": "x", "param": "prompt", "code": "missing_required_parameter"}}),
                ("missing_required_parameter", Some("prompt")),
                ("missingParameter", Some("positivePrompt")),
            ),
            (
                json!({"errors": [{"code": "unsupportedModelArchitecture", "message": "x", "parameter": "lora"}]}),
                ("unsupported_value", Some("lora")),
                ("unsupportedParameter", Some("lora")),
            ),
            (
                json!({"status": "Content Moderated"}),
                ("content_policy_violation", None),
                ("invalidProviderContent", None),
            ),
            (json!({"error": "no"}), ("rejected", None), ("invalidRequest", None)),
            (json!(7), ("rejected", None), ("invalidRequest", None)),
        ] {
            let words = words(422, &body);
            assert_eq!((words.openai_code(), words.openai_param()), openai, "{body}");
            assert_eq!((words.runware_code(), words.runware_param()), runware, "{body}");
            assert!(!words.message.is_empty(), "{body}");
        }
    }

    #[test]
    fn only_an_error_of_the_callers_own_shape_is_passed_on_as_it_is() {
        let body = |body: &Value| {
            let body = body.to_string().into();
            Upstream { status: 400, content_type: "application/json".into(), body }
        };
        assert!(is_openai(&body(&json!({"error": {"message": "no", "odd": 1}, "request_id": "r"}))));
        for foreign in [
            json!({"error": "no"}),
            json!({"detail": "no"}),
            json!({"id": "t", "status": "failed", "error": {"message": "no"}}),
            json!({"errors": [{"message": "no"}], "error": {"message": "no"}}),
        ] {
            assert!(!is_openai(&body(&foreign)), "{foreign}");
        }
        assert!(runware_error(&body(&json!({"errors": [{"code": "x", "message": "no"}]}))).is_some());
        assert!(runware_error(&body(&json!({"errors": [{"message": "another's"}]}))).is_none());
        assert!(runware_error(&body(&json!({"errors": ["no"]}))).is_none());
    }
}
