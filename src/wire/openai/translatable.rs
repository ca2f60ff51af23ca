//! Parts of a chat that no other dialect carries: the request is refused and they are named, never dropped.

use serde_json::{Map, Value};
use thiserror::Error;

use super::endpoint::Endpoint;
use crate::wire::malformed::Malformed;

/// A part of a request that its provider's dialect has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(transparent)]
pub struct Untranslatable(#[from] pub Malformed);

const REMEDY: &str =
    "cannot be translated for this model's provider, which speaks another API; leave it out, or ask for another model";

/// The error of a request that no provider of another dialect can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Untranslated {
    /// A part would be lost.
    #[error(transparent)]
    Lost(#[from] Untranslatable),
    /// A field cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Checks that nothing of a body is lost when a provider of another dialect serves it: such a one answers in one text.
pub(super) fn check(endpoint: Endpoint, body: &Map<String, Value>) -> Result<(), Untranslatable> {
    let messages = match endpoint {
        Endpoint::Chat => "messages",
        Endpoint::Responses => "input",
        Endpoint::Embeddings | Endpoint::Images | Endpoint::Edits => return Ok(()),
    };
    let field = of_the_body(body).or_else(|| {
        let items = body.get(messages).and_then(Value::as_array)?;
        items.iter().enumerate().find_map(|(index, item)| Some(format!("{messages}[{index}]{}", of_a_message(item)?)))
    });
    field.map_or(Ok(()), |field| Err(Malformed::new(field, REMEDY).into()))
}

/// Finds what asks for more than one text.
fn of_the_body(body: &Map<String, Value>) -> Option<String> {
    let filled = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let asks = |name: &str| body.get(name).is_some_and(filled);
    let whole = ["tools", "functions", "audio", "logprobs", "top_logprobs", "logit_bias", "prediction"];
    if let Some(name) = whole.into_iter().find(|name| asks(name)) {
        return Some(name.to_owned());
    }
    let is_plain = |format: &Value| format.get("type").is_none_or(|kind| kind == "text");
    if body.get("response_format").is_some_and(|format| filled(format) && !is_plain(format)) {
        return Some("response_format".to_owned());
    }
    if body.get("text").and_then(|text| text.get("format")).is_some_and(|format| !is_plain(format)) {
        return Some("text.format".to_owned());
    }
    let modalities = body.get("modalities").and_then(Value::as_array);
    if modalities.is_some_and(|modes| modes.iter().any(|mode| mode != "text")) {
        return Some("modalities".to_owned());
    }
    body.get("n").and_then(Value::as_f64).is_some_and(|n| n > 1.0).then(|| "n".to_owned())
}

/// Finds what is neither text nor an image in a message.
fn of_a_message(message: &Value) -> Option<String> {
    let filled = |name: &str| message.get(name).is_some_and(|value| !value.is_null() && value != &Value::Array(vec![]));
    if let Some(name) = ["tool_calls", "function_call", "audio"].into_iter().find(|name| filled(name)) {
        return Some(format!(".{name}"));
    }
    if let Some("tool" | "function") = message.get("role").and_then(Value::as_str) {
        return Some(".role".to_owned());
    }
    if message.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "message") {
        return Some(".type".to_owned());
    }
    let parts = message.get("content").and_then(Value::as_array)?;
    let known = ["text", "image_url", "input_text", "output_text", "input_image", "refusal"];
    let foreign = |part: &Value| part.get("type").and_then(Value::as_str).is_some_and(|kind| !known.contains(&kind));
    parts.iter().position(foreign).map(|index| format!(".content[{index}].type"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(endpoint: Endpoint, more: Value) -> Option<String> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "input": "x"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        check(endpoint, body.as_object().expect("an object")).err().map(|Untranslatable(malformed)| malformed.field)
    }

    #[test]
    fn what_would_be_lost_is_named() {
        let message = |message: Value| json!({"messages": [{"role": "user", "content": "x"}, message]});
        for (more, field) in [
            (json!({"tools": [{"type": "function"}], "tool_choice": "auto"}), "tools"),
            (json!({"functions": [{}]}), "functions"),
            (json!({"response_format": {"type": "json_object"}}), "response_format"),
            (json!({"modalities": ["text", "audio"]}), "modalities"),
            (json!({"n": 2}), "n"),
            (json!({"logprobs": true}), "logprobs"),
            (message(json!({"role": "assistant", "content": null, "tool_calls": [{}]})), "messages[1].tool_calls"),
            (message(json!({"role": "tool", "tool_call_id": "c", "content": "1"})), "messages[1].role"),
            (message(json!({"role": "user", "content": [{"type": "input_audio"}]})), "messages[1].content[0].type"),
        ] {
            assert_eq!(named(Endpoint::Chat, more.clone()).as_deref(), Some(field), "{more}");
        }
        assert_eq!(named(Endpoint::Responses, json!({"tools": [{"type": "web_search"}]})).as_deref(), Some("tools"));
        let calls = json!({"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]});
        assert_eq!(named(Endpoint::Responses, calls).as_deref(), Some("input[0].type"));
        let schema = json!({"text": {"format": {"type": "json_schema"}}});
        assert_eq!(named(Endpoint::Responses, schema).as_deref(), Some("text.format"));
    }

    #[test]
    fn what_says_nothing_is_no_harm() {
        for more in [
            json!({}),
            json!({"tools": [], "tool_choice": "none", "n": 1, "logprobs": false, "response_format": {"type": "text"}}),
            json!({"tools": null, "functions": null, "response_format": null, "n": null, "modalities": ["text"]}),
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]}]}),
            json!({"messages": [{"role": "assistant", "content": "x", "tool_calls": null}]}),
        ] {
            assert_eq!(named(Endpoint::Chat, more.clone()), None, "{more}");
        }
        assert_eq!(named(Endpoint::Embeddings, json!({"tools": [{}]})), None);
    }
}
