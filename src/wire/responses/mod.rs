//! OpenAI's responses: text under another name, and a stream of named and numbered events.

mod pieces;

use serde_json::{Map, Value, json};

pub use self::pieces::events;
use super::malformed::Malformed;
use super::number::whole;
use super::openai::render::Label;
use crate::task::{Message, TextDelta, TextInference, TextResult, Usage, Work};

/// Reads the body of a request as typed work.
///
/// # Errors
///
/// [`Malformed`] names the field that cannot be read, or that no other provider could serve.
pub(super) fn work(model: String, stream: bool, mut body: Map<String, Value>) -> Result<Work, Malformed> {
    if body.get("previous_response_id").is_some_and(|id| !id.is_null()) {
        let problem = "names none that is kept here, and this model's provider keeps none; send the whole input";
        return Err(Malformed::new("previous_response_id", problem));
    }
    if body.get("background") == Some(&Value::Bool(true)) {
        let problem = "must not be true: this model's provider makes no responses in the background";
        return Err(Malformed::new("background", problem));
    }
    let mut messages = Vec::new();
    if let Some(Value::String(text)) = body.remove("instructions") {
        messages.push(Message { role: "system".into(), content: text.into() });
    }
    match body.remove("input") {
        Some(Value::String(text)) => messages.push(Message { role: "user".into(), content: text.into() }),
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                messages.push(message(index, item)?);
            }
        }
        _ => return Err(Malformed::new("input", "must be a string or an array of items")),
    }
    let max_tokens = body.remove("max_output_tokens").as_ref().and_then(whole);
    for field in ["store", "background", "metadata", "include", "truncation", "stream_options"] {
        body.remove(field);
    }
    Ok(Work::Text(TextInference { model, messages, max_tokens, stream, extra: body }))
}

fn message(index: usize, mut item: Value) -> Result<Message, Malformed> {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message");
    if kind != "message" {
        let problem = format!("{kind:?} cannot be served by this model's provider; send messages");
        return Err(Malformed::new(format!("input[{index}].type"), problem));
    }
    let role = item.get("role").and_then(Value::as_str).map(str::to_owned);
    let role = role.ok_or_else(|| Malformed::new(format!("input[{index}].role"), "must be a string"))?;
    let mut content = item.get_mut("content").map(Value::take).unwrap_or_default();
    // Parts are named otherwise than in a chat.
    for part in content.as_array_mut().into_iter().flatten() {
        match part.get("type").and_then(Value::as_str) {
            Some("input_text" | "output_text") => part["type"] = "text".into(),
            Some("input_image") => {
                let url = part.get_mut("image_url").map(Value::take).unwrap_or_default();
                *part = json!({"type": "image_url", "image_url": {"url": url}});
            }
            _ => {}
        }
    }
    Ok(Message { role, content })
}

fn usage(usage: Usage) -> Value {
    let (input, output) = (usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    json!({
        "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input.saturating_add(output),
    })
}

fn response(label: Label<'_>, status: &str, output: &[Value], used: Option<Usage>) -> Value {
    let reason = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    json!({
        "id": label.id, "object": "response", "created_at": label.created, "status": status, "model": label.model,
        "output": output, "error": null, "incomplete_details": reason, "instructions": null, "metadata": {},
        "previous_response_id": null, "parallel_tool_calls": true, "temperature": null, "tool_choice": "auto", "tools": [], "top_p": null,
        "usage": used.map(usage),
    })
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

fn item(id: &str, status: &str, content: &[Value]) -> Value {
    json!({"id": format!("msg_{id}"), "type": "message", "role": "assistant", "status": status, "content": content})
}

fn status(reason: Option<&str>) -> &'static str {
    if reason == Some("length") { "incomplete" } else { "completed" }
}

/// Writes a text as a whole response.
#[must_use]
pub fn render(result: &TextResult, label: Label<'_>) -> Value {
    let status = status(result.finish_reason.as_deref());
    response(label, status, &[item(label.id, status, &[part(&result.text)])], Some(result.usage))
}

/// Writes a text piece by piece as the events of a response.
#[derive(Debug, Default)]
pub struct Writer {
    number: u64,
    text: String,
    reason: Option<String>,
    used: Usage,
    /// The response before this one.
    previous: Option<String>,
}

/// Where the one part of the one item stands.
const PLACE: (u64, u64) = (0, 0);

impl Writer {
    /// Writes the response that comes after another, if it continues one.
    #[must_use]
    pub fn after(previous: Option<String>) -> Self {
        Self { previous, ..Self::default() }
    }

    fn response(&self, label: Label<'_>, status: &str, output: &[Value], used: Option<Usage>) -> Value {
        let mut response = response(label, status, output, used);
        response["previous_response_id"] = self.previous.clone().into();
        response
    }

    fn event(&mut self, kind: &str, mut fields: Value) -> Value {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.number.into();
        self.number += 1;
        fields
    }

    fn part_event(&mut self, kind: &str, label: Label<'_>, mut fields: Value) -> Value {
        fields["item_id"] = format!("msg_{}", label.id).into();
        fields["output_index"] = PLACE.0.into();
        fields["content_index"] = PLACE.1.into();
        self.event(kind, fields)
    }

    /// Begins the response.
    pub fn begin(&mut self, label: Label<'_>) -> Vec<Value> {
        let open = self.response(label, "in_progress", &[], None);
        vec![
            self.event("response.created", json!({"response": open})),
            self.event("response.in_progress", json!({"response": open})),
            self.event(
                "response.output_item.added",
                json!({"output_index": PLACE.0, "item": item(label.id, "in_progress", &[])}),
            ),
            self.part_event("response.content_part.added", label, json!({"part": part("")})),
        ]
    }

    /// Adds a piece of text.
    pub fn delta(&mut self, delta: &TextDelta, label: Label<'_>) -> Option<Value> {
        self.reason = delta.finish_reason.clone().or(self.reason.take());
        self.used = delta.usage.unwrap_or(self.used);
        if delta.text.is_empty() {
            return None;
        }
        self.text.push_str(&delta.text);
        Some(self.part_event("response.output_text.delta", label, json!({"delta": delta.text, "logprobs": []})))
    }

    /// Ends the response.
    pub fn end(&mut self, label: Label<'_>) -> Vec<Value> {
        let status = status(self.reason.as_deref());
        let text = std::mem::take(&mut self.text);
        let whole = item(label.id, status, &[part(&text)]);
        let response = self.response(label, status, std::slice::from_ref(&whole), Some(self.used));
        vec![
            self.part_event("response.output_text.done", label, json!({"text": text, "logprobs": []})),
            self.part_event("response.content_part.done", label, json!({"part": part(&text)})),
            self.event("response.output_item.done", json!({"output_index": PLACE.0, "item": whole})),
            self.event(
                if status == "incomplete" { "response.incomplete" } else { "response.completed" },
                json!({"response": response}),
            ),
        ]
    }

    /// Numbers what comes next after an event that another has written.
    pub fn number_after(&mut self, number: u64) {
        self.number = number.saturating_add(1);
    }

    /// Ends the response badly, with an error object of OpenAI's shape.
    pub fn failure(&mut self, error: &Value) -> Value {
        let field = |name: &str| error.get(name).cloned().unwrap_or_default();
        let code = if field("code").is_null() { field("type") } else { field("code") };
        self.event("error", json!({"code": code, "message": field("message"), "param": field("param")}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label<'_> = Label { model: "m", id: "resp_1", created: 7 };

    #[test]
    fn events_are_numbered_from_created_to_completed() {
        let mut writer = Writer::after(Some("resp_0".into()));
        let mut events = writer.begin(LABEL);
        for text in ["Hel", "lo", ""] {
            let delta = TextDelta { text: text.into(), ..TextDelta::default() };
            events.extend(writer.delta(&delta, LABEL));
        }
        let used = Usage { input_tokens: Some(3), output_tokens: Some(2), dollars: None };
        let last = TextDelta { finish_reason: Some("stop".into()), usage: Some(used), ..TextDelta::default() };
        events.extend(writer.delta(&last, LABEL));
        events.extend(writer.end(LABEL));
        let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().expect("one")).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<u64>>());
        assert_eq!((&events[0]["type"], &events[4]["delta"]), (&json!("response.created"), &json!("Hel")));
        let response = &events[9]["response"];
        assert_eq!((&events[9]["type"], &response["status"]), (&json!("response.completed"), &json!("completed")));
        for place in [0, 1, 9] {
            assert_eq!(events[place]["response"]["previous_response_id"], "resp_0");
        }
        assert_eq!(
            (&response["output"][0]["content"][0]["text"], &response["usage"]["total_tokens"]),
            (&json!("Hello"), &json!(5))
        );
    }

    #[test]
    fn items_become_messages() {
        let body = json!({"instructions": "Be brief.", "max_output_tokens": 9, "store": true, "temperature": 1,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]}]});
        let Value::Object(body) = body else { unreachable!() };
        let Ok(Work::Text(task)) = work("m".into(), false, body) else { panic!("text") };
        assert_eq!((task.messages.len(), &*task.messages[0].role, task.max_tokens), (2, "system", Some(9)));
        let parts = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]);
        assert_eq!(task.messages[1].content, parts);
        assert_eq!(task.extra.keys().collect::<Vec<_>>(), ["temperature"]);
        for (body, field) in [
            (json!({"input": "x", "previous_response_id": "r"}), "previous_response_id"),
            (json!({"input": [{"type": "function_call"}]}), "input[0].type"),
            (json!({"input": [{"content": "x"}]}), "input[0].role"),
            (json!({"input": 7}), "input"),
            (json!({"input": "x", "background": true}), "background"),
        ] {
            let Value::Object(body) = body else { unreachable!() };
            assert_eq!(work("m".into(), false, body).expect_err("malformed").field, field);
        }
    }
}
