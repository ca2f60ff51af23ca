//! The turns of a conversation, put before the input of its next one.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::request::OpenAiRequest;
use crate::core::cost::Cost;
use crate::task::{BYTES_PER_TOKEN, Tokens};
use crate::wire::body::{Body, Edit};

impl OpenAiRequest {
    /// Returns the input of a response as it stands in the body; empty where there is none.
    pub(crate) fn input(&self) -> Bytes {
        self.turn.input_at.clone().map_or_else(Bytes::new, |at| self.body.slice(at))
    }

    /// Puts the turns of a conversation before the input, and takes out the id of the response that ends them.
    #[must_use]
    pub(crate) fn continued(mut self, turns: &[Value]) -> Self {
        let input = items(turns, &self.input());
        let (length, added) = (input.len(), input.len().saturating_sub(self.input().len()));
        let input = match &self.turn.input_at {
            Some(at) => Edit { at: at.clone(), text: input },
            None => Edit::first_member(&self.body, "input", &input),
        };
        // The value is the last of what is written.
        let behind = input.at.end;
        let mut edits = vec![input];
        edits.extend(self.turn.after_at.take().map(|at| Edit { at, text: "null".into() }));
        let moved = |at: usize| {
            let before = edits.iter().filter(|edit| edit.at.end <= at);
            before.fold(at, |at, edit| at + edit.text.len() - edit.at.len())
        };
        let shifted = |at: &Range<usize>| moved(at.start)..moved(at.end);
        let end = moved(behind) - usize::from(self.turn.input_at.is_none());
        self.turn.input_at = Some(end - length..end);
        self.model_at = shifted(&self.model_at);
        self.options.at = self.options.at.as_ref().map(shifted);
        let added = added as u64 / BYTES_PER_TOKEN;
        self.cost = Cost::new(u64::from(self.cost.units()).saturating_add(added));
        self.tokens = self.tokens.map(|tokens| Tokens { input: tokens.input.saturating_add(added), ..tokens });
        self.body = Body::edited(&self.body, edits).joined();
        self.previous = self.turn.after.take().map(String::from);
        self
    }
}

/// Writes turns and an input, which is a text, a list of items or nothing, as one list of items.
fn items(turns: &[Value], input: &[u8]) -> String {
    let mut all: Vec<String> = turns.iter().map(Value::to_string).collect();
    // A part of a body that was read as JSON.
    let input = String::from_utf8_lossy(input);
    match input.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(items) => all.extend(Some(items.trim()).filter(|items| !items.is_empty()).map(str::to_owned)),
        None if input.starts_with('"') => {
            all.push(format!(r#"{{"type":"message","role":"user","content":{input}}}"#));
        }
        None => {}
    }
    format!("[{}]", all.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::openai::Endpoint;

    #[test]
    fn a_conversation_is_put_before_its_next_input() {
        let turns = [json!({"role": "user", "content": "a"}), json!({"role": "assistant", "content": "b"})];
        let said = |text: &str| json!({"type": "message", "role": "user", "content": text});
        let rest = r#""stream":true,"max_output_tokens":9"#;
        for (input, last) in [
            (r#""input":"say \"]\"","#, vec![said("say \"]\"")]),
            (
                r#""input": [ {"role":"user","content":"c"} , 7 ] ,"#,
                vec![json!({"role": "user", "content": "c"}), json!(7)],
            ),
            (r#""input":[],"#, vec![]),
            (r#""input":null,"#, vec![]),
            ("", vec![]),
        ] {
            for body in [
                format!(r#"{{"model":"m",{input}"previous_response_id":"resp_0",{rest}}}"#),
                format!(r#" {{"previous_response_id" : "resp_0",{input}{rest},"model":"m"}}"#),
            ] {
                let request = OpenAiRequest::parse(Endpoint::Responses, body.clone().into()).expect(&body);
                assert_eq!(request.turn.after.as_deref(), Some("resp_0"));
                let continued = request.continued(&turns);
                let sent: Value = serde_json::from_slice(&continued.body_for("up").joined()).expect(&body);
                let all: Vec<Value> = turns.iter().cloned().chain(last.clone()).collect();
                let expected = json!({"model": "up", "input": all, "previous_response_id": null, "stream": true, "max_output_tokens": 9});
                assert_eq!(sent, expected, "{body}");
                assert_eq!(serde_json::from_slice::<Value>(&continued.input()).expect("items"), Value::from(all));
                assert_eq!(continued.previous.as_deref(), Some("resp_0"));
                let again = OpenAiRequest::parse(Endpoint::Responses, continued.body.clone()).expect("valid");
                assert_eq!((again.model_at, again.turn.input_at), (continued.model_at, continued.turn.input_at));
                assert!(again.cost.units().abs_diff(continued.cost.units()) <= 1, "{body}");
            }
        }
    }
}
