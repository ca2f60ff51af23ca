//! A whole response, told as the events of one that came piece by piece.

use serde_json::{Value, json};

/// Writes a response as events; `None` where it is none. A stream's events are numbered from 0, and so are these.
#[must_use]
pub fn events(answer: &Value) -> Option<Vec<Value>> {
    let output = answer.get("output")?.as_array()?;
    answer.get("id").filter(|id| id.is_string())?;
    let mut open = answer.clone();
    (open["status"], open["output"], open["usage"]) = ("in_progress".into(), json!([]), Value::Null);
    let mut told = Told::default();
    told.add("response.created", json!({"response": open}));
    told.add("response.in_progress", json!({"response": open}));
    for (index, item) in output.iter().enumerate() {
        told.item(index, item);
    }
    let end = match answer.get("status").and_then(Value::as_str) {
        Some("incomplete") => "response.incomplete",
        Some("failed") => "response.failed",
        _ => "response.completed",
    };
    told.add(end, json!({"response": answer}));
    Some(told.0)
}

#[derive(Default)]
struct Told(Vec<Value>);

impl Told {
    fn add(&mut self, kind: &str, mut fields: Value) {
        fields["type"] = kind.into();
        fields["sequence_number"] = self.0.len().into();
        self.0.push(fields);
    }

    /// Tells an item: as it begins, empty, what comes into it, and the whole of it.
    fn item(&mut self, index: usize, item: &Value) {
        let id = item.get("id").cloned().unwrap_or_default();
        let mut begun = item.clone();
        for (name, empty) in [("status", json!("in_progress")), ("content", json!([])), ("arguments", json!(""))] {
            if begun.get(name).is_some() {
                begun[name] = empty;
            }
        }
        self.add("response.output_item.added", json!({"output_index": index, "item": begun}));
        match item.get("type").and_then(Value::as_str) {
            Some("message") => {
                let parts = item.get("content").and_then(Value::as_array).into_iter().flatten();
                for (place, part) in parts.enumerate() {
                    self.part(&json!({"item_id": id, "output_index": index, "content_index": place}), part);
                }
            }
            Some("function_call") => {
                let at = json!({"item_id": id, "output_index": index});
                let arguments = item.get("arguments").cloned().unwrap_or_default();
                self.add("response.function_call_arguments.delta", with(&at, "delta", &arguments));
                self.add("response.function_call_arguments.done", with(&at, "arguments", &arguments));
            }
            _ => {}
        }
        self.add("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn part(&mut self, at: &Value, part: &Value) {
        // The field that holds the words bears their name.
        let (kind, field) = if part["type"] == "refusal" { ("refusal", "refusal") } else { ("output_text", "text") };
        let words = part.get(field).cloned().unwrap_or_else(|| "".into());
        let mut begun = part.clone();
        begun[field] = "".into();
        self.add("response.content_part.added", with(at, "part", &begun));
        let (mut delta, mut done) = (with(at, "delta", &words), with(at, field, &words));
        if kind == "output_text" {
            (delta["logprobs"], done["logprobs"]) = (json!([]), json!([]));
        }
        self.add(&format!("response.{kind}.delta"), delta);
        self.add(&format!("response.{kind}.done"), done);
        self.add("response.content_part.done", with(at, "part", part));
    }
}

fn with(at: &Value, name: &str, value: &Value) -> Value {
    let mut fields = at.clone();
    fields[name] = value.clone();
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_response_is_told_as_events() {
        let answer = json!({
            "id": "resp_1", "object": "response", "status": "completed", "model": "m", "usage": {"total_tokens": 3},
            "output": [
                {"id": "rs_1", "type": "reasoning", "summary": []},
                {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                 "content": [{"type": "output_text", "text": "hi", "annotations": []}, {"type": "refusal", "refusal": "no"}]},
                {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\":1}", "status": "completed"},
            ],
        });
        let told = events(&answer).expect("a response");
        let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().expect("a name")).collect();
        assert_eq!(
            kinds,
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.output_item.done",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.content_part.added",
                "response.refusal.delta",
                "response.refusal.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.output_item.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        let numbers: Vec<u64> = told.iter().map(|event| event["sequence_number"].as_u64().expect("one")).collect();
        assert_eq!(numbers, (0..19).collect::<Vec<u64>>());
        assert_eq!(
            (&told[6]["delta"], &told[6]["item_id"], &told[6]["output_index"]),
            (&json!("hi"), &json!("msg_1"), &json!(1))
        );
        assert_eq!((&told[4]["item"]["content"], &told[5]["part"]["text"]), (&json!([]), &json!("")));
        assert_eq!((&told[14]["item"]["arguments"], &told[15]["delta"]), (&json!(""), &json!("{\"a\":1}")));
        assert_eq!((&told[0]["response"]["output"], &told[18]["response"]), (&json!([]), &answer));
        assert_eq!(events(&json!({"id": "x", "choices": []})), None);
        assert_eq!((events(&json!([])), events(&json!(7)), events(&json!({"output": []}))), (None, None, None));
    }
}
