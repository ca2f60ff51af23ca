//! Events of a provider's stream, whatever its dialect: each says an error, something new, or nothing.

use memchr::memmem;
use serde_json::Value;

use super::malformed::Malformed;

/// Events that only say that the connection is up, or that a response has begun.
const SIGNS_OF_LIFE: [&str; 6] =
    ["ping", "keepalive", "keep-alive", "response.created", "response.queued", "response.in_progress"];

/// Returns the error that an event is; `"error": null` is none.
#[must_use]
pub fn error_in(data: impl AsRef<[u8]>) -> Option<Value> {
    // Most events are none, and are not parsed.
    memmem::find(data.as_ref(), b"error")?;
    error_of(&serde_json::from_slice(data.as_ref()).ok()?).cloned()
}

/// As [`error_in`], of an event or a whole answer that is parsed already.
#[must_use]
pub fn error_of(event: &Value) -> Option<&Value> {
    if let Some(error) = event.get("error").filter(|error| !error.is_boolean() && says(error)) {
        return Some(error);
    }
    if let Some(error) = event.get("errors").and_then(Value::as_array).and_then(|errors| errors.first()) {
        return Some(error);
    }
    let is = |name: &str, value: &str| event.get(name).is_some_and(|found| found == value);
    if is("type", "response.failed") {
        return event.pointer("/response/error").filter(|error| says(error)).or(Some(event));
    }
    (is("type", "error") || is("object", "error")).then_some(event)
}

/// Reads the payload of an event of a streamed text; `None` for `[DONE]`.
///
/// # Errors
///
/// [`Malformed`] carries the provider's message where the event is an error.
pub(super) fn piece_in(data: &str) -> Result<Option<Value>, Malformed> {
    if data.trim() == "[DONE]" {
        return Ok(None);
    }
    let event: Value =
        serde_json::from_str(data).map_err(|error| Malformed::new("event", format!("is not JSON: {error}")))?;
    if let Some(error) = error_of(&event) {
        let message = error.as_str().or_else(|| error.get("message")?.as_str()).unwrap_or("the provider broke off");
        return Err(Malformed::new("stream", message));
    }
    Ok(Some(event))
}

/// Says whether an event brings its generation forward. Comments, pings and pieces without content do not: a provider
/// that is stuck can send them for ever.
#[must_use]
pub fn moves(data: impl AsRef<[u8]>) -> bool {
    let data = data.as_ref();
    let Ok(event) = serde_json::from_slice::<Value>(data) else { return !data.trim_ascii().is_empty() };
    if event.get("type").and_then(Value::as_str).is_some_and(|kind| SIGNS_OF_LIFE.contains(&kind)) {
        return false;
    }
    let ends =
        |part: &Value| ["finish_reason", "finishReason", "usage"].iter().any(|name| part.get(name).is_some_and(says));
    if let Some(choices) = event.get("choices").and_then(Value::as_array) {
        let said = |choice: &Value| ["delta", "message", "text"].iter().any(|name| choice.get(name).is_some_and(news));
        return ends(&event) || choices.iter().any(|choice| ends(choice) || said(choice));
    }
    match event.get("delta") {
        Some(delta) => ends(&event) || news(delta),
        None => says(&event),
    }
}

/// Says whether a piece holds more than the role of who speaks.
fn news(piece: &Value) -> bool {
    match piece {
        Value::Object(fields) => fields.iter().any(|(name, value)| name != "role" && says(value)),
        other => says(other),
    }
}

/// Says whether a value is more than an empty one.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_what_only_has_their_name() {
        for (data, expected) in [
            (r#"{"error":{"message":"no"}}"#, Some("no")),
            (
                r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"message":"no","code":502}}"#,
                Some("no"),
            ),
            (r#"{"errors":[{"code":"x","message":"no"}]}"#, Some("no")),
            (r#"{"type":"error","code":"server_error","message":"no","sequence_number":3}"#, Some("no")),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#, Some("no")),
            (r#"{"object":"error","message":"no","code":400}"#, Some("no")),
            (r#"{"type":"response.failed","response":{"error":{"message":"no"}}}"#, Some("no")),
            (r#"{"error":null,"choices":[{"delta":{"content":"a"}}]}"#, None),
            (r#"{"error":"","choices":[]}"#, None),
            (r#"{"error":{},"errors":[]}"#, None),
            (r#"{"error":false}"#, None),
            (r#"{"choices":[{"delta":{"content":"an \"error\": {}"}}]}"#, None),
            (r#"{"type":"response.created","response":{"error":null}}"#, None),
            ("[DONE]", None),
            ("error", None),
        ] {
            let found = error_in(data);
            let message = found.as_ref().map(|error| error["message"].as_str().unwrap_or_default());
            assert_eq!(message, expected, "{data}");
        }
        assert_eq!(error_in(r#"{"error":"no"}"#), Some("no".into()));
    }

    #[test]
    fn what_says_nothing_new_is_no_progress() {
        for data in [
            "",
            " ",
            "{}",
            r#"{"choices":[]}"#,
            r#"{"choices":[{"delta":{}}]}"#,
            r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
            r#"{"choices":[{"delta":{"content":null,"tool_calls":[]}}]}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"response.in_progress","response":{"id":"r"}}"#,
            r#"{"type":"response.output_text.delta","delta":""}"#,
            r#"{"taskType":"textInference","delta":{"text":""}}"#,
        ] {
            assert!(!moves(data), "{data}");
        }
        for data in [
            "[DONE]",
            r#"{"choices":[{"delta":{"content":" "}}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[{"text":"a"}]}"#,
            r#"{"type":"response.output_text.delta","delta":"a"}"#,
            r#"{"type":"response.output_item.added","item":{}}"#,
            r#"{"taskType":"textInference","delta":{"text":""},"finishReason":"stop"}"#,
            r#"{"type":"image_generation.partial_image","b64_json":"AA=="}"#,
        ] {
            assert!(moves(data), "{data}");
        }
    }
}
