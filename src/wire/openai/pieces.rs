//! Answers piece by piece: streamed chunks as they are read, and whole answers told as events.

use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use crate::task::{TextDelta, Usage};
use crate::wire::event::piece_in;
use crate::wire::malformed::Malformed;

/// Reads one event of a streamed chat completion; `None` for `[DONE]`.
///
/// # Errors
///
/// [`Malformed`] carries the provider's message where the event is an error.
pub fn decode_delta(event: &str) -> Result<Option<TextDelta>, Malformed> {
    let Some(event) = piece_in(event)? else { return Ok(None) };
    let choice = event.pointer("/choices/0");
    let said = choice.and_then(|choice| ["delta", "message"].iter().find_map(|name| choice.get(name)));
    let text = said.and_then(|said| said.get("content")).map(text_of).unwrap_or_default();
    let finish_reason = choice.and_then(|c| c.get("finish_reason")).and_then(Value::as_str).map(str::to_owned);
    let usage = event.get("usage").and_then(Value::as_object).map(Usage::from_json);
    Ok(Some(TextDelta { text, finish_reason, usage }))
}

/// Returns the text of a message's content: a string, or parts of which some are text.
#[must_use]
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect(),
        Value::Object(part) => part.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Writes a whole chat completion as the chunks of a stream: what each choice says, then why it ended, and what was used
/// for those who want to know. `None` where it is no completion.
#[must_use]
pub fn chunks(answer: &Value, with_usage: bool) -> Option<Vec<Value>> {
    let choices = answer.get("choices")?.as_array()?;
    let mut base = answer.as_object()?.clone();
    base.insert("object".into(), "chat.completion.chunk".into());
    let usage = base.remove("usage");
    let chunk = |choices: Vec<Value>| {
        let mut chunk = base.clone();
        chunk.insert("choices".into(), choices.into());
        Value::Object(chunk)
    };
    let mut chunks = Vec::new();
    for (place, choice) in choices.iter().enumerate() {
        let index = choice.get("index").cloned().unwrap_or_else(|| place.into());
        let mut said = json!({"index": index, "delta": delta(choice.get("message")), "finish_reason": null});
        if let Some(logprobs) = choice.get("logprobs") {
            said["logprobs"] = logprobs.clone();
        }
        chunks.push(chunk(vec![said]));
        let reason = choice.get("finish_reason").filter(|reason| reason.is_string()).cloned();
        let reason = reason.unwrap_or_else(|| "stop".into());
        chunks.push(chunk(vec![json!({"index": index, "delta": {}, "finish_reason": reason})]));
    }
    if let Some(usage) = usage.filter(|usage| with_usage && usage.is_object()) {
        let mut last = chunk(Vec::new());
        last["usage"] = usage;
        chunks.push(last);
    }
    Some(chunks)
}

/// Writes a message as a piece of one: calls of tools are numbered there.
fn delta(message: Option<&Value>) -> Value {
    let mut said: Map<String, Value> = message.and_then(Value::as_object).cloned().unwrap_or_default();
    said.retain(|_, value| !value.is_null());
    if let Some(parts) = said.get("content").filter(|content| content.is_array()) {
        let text = text_of(parts);
        said.insert("content".into(), text.into());
    }
    for (index, call) in said.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
        if let Some(call) = call.as_object_mut() {
            call.insert("index".into(), index.into());
        }
    }
    Value::Object(said)
}

/// Writes a whole answer of images as the events that end a stream of them; `None` where it is none.
#[must_use]
pub fn image_events(answer: &Value, endpoint: Endpoint) -> Option<Vec<Value>> {
    let kind = if endpoint == Endpoint::Edits { "image_edit.completed" } else { "image_generation.completed" };
    let images = answer.get("data")?.as_array()?;
    let mut base = answer.as_object()?.clone();
    base.remove("data");
    let created = base.remove("created");
    base.insert("type".into(), kind.into());
    base.extend(created.map(|created| ("created_at".to_owned(), created)));
    let write = |image: &Value| {
        let mut event = base.clone();
        event.extend(image.as_object().cloned().unwrap_or_default());
        Value::Object(event)
    };
    Some(images.iter().map(write).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_read_whatever_their_form() {
        let text = |data: &str| decode_delta(data).expect("no error").expect("a piece").text;
        assert_eq!(text(r#"{"error":null,"choices":[{"delta":{"content":"a"}}]}"#), "a");
        let parts = r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[]},{"type":"text","text":"a"},{"type":"text","text":"b"},"c"]}}]}"#;
        assert_eq!(text(parts), "abc");
        assert_eq!(text(r#"{"choices":[{"message":{"content":"whole"}}]}"#), "whole");
        assert_eq!(text(r#"{"choices":[{"delta":{"content":null}}]}"#), "");
        for error in [r#"{"error":{"message":"no"}}"#, r#"{"error":"no"}"#, r#"{"object":"error","message":"no"}"#] {
            assert_eq!(decode_delta(error).expect_err("an error").problem, "no");
        }
    }

    #[test]
    fn a_whole_completion_is_told_in_chunks() {
        let answer = json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "f",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": null}, "finish_reason": "length"},
                {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "tool_calls"},
            ],
            "usage": {"prompt_tokens": 1},
        });
        let told = chunks(&answer, true).expect("a completion");
        let choices: Vec<&Value> = told.iter().map(|chunk| &chunk["choices"]).collect();
        assert_eq!(
            choices,
            [
                &json!([{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": null}]),
                &json!([{"index": 0, "delta": {}, "finish_reason": "length"}]),
                &json!([{"index": 1, "delta": {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0}]}, "finish_reason": null}]),
                &json!([{"index": 1, "delta": {}, "finish_reason": "tool_calls"}]),
                &json!([]),
            ]
        );
        assert!(
            told.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["system_fingerprint"] == "f")
        );
        assert_eq!((&told[4]["usage"], told[0].get("usage")), (&json!({"prompt_tokens": 1}), None));
        assert_eq!(chunks(&answer, false).expect("a completion").len(), 4);
        assert_eq!((chunks(&json!({"detail": "x"}), true), chunks(&json!([]), true)), (None, None));
    }

    #[test]
    fn whole_images_are_told_as_their_last_events() {
        let answer =
            json!({"created": 1, "data": [{"b64_json": "AA=="}, {"b64_json": "BB=="}], "usage": {"input_tokens": 1}});
        let events = image_events(&answer, Endpoint::Images).expect("images");
        assert_eq!(
            events[1],
            json!({"type": "image_generation.completed", "created_at": 1, "b64_json": "BB==", "usage": {"input_tokens": 1}})
        );
        assert_eq!(image_events(&answer, Endpoint::Edits).expect("images")[0]["type"], "image_edit.completed");
    }
}
