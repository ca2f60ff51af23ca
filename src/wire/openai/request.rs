//! A request in OpenAI's form, and its body as a provider is sent it.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::endpoint::Endpoint;
use super::stream_options::StreamOptions;
use crate::core::cost::Cost;
use crate::task::{BYTES_PER_TOKEN, Tokens};
use crate::wire::body::{Body, Edit};
use crate::wire::fields;
use crate::wire::form::Form;

/// A body for an OpenAI endpoint, with what scheduling needs to know of it.
///
/// The body is read once: what is asked later of it was noted then.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAiRequest {
    /// The endpoint that the request is for.
    pub endpoint: Endpoint,
    /// The body as it came.
    pub body: Bytes,
    /// The model asked for.
    pub model: String,
    /// Whether server-sent events are wanted.
    pub stream: bool,
    /// Predicted cost.
    pub cost: Cost,
    /// The tokens that the request is about to take, where a price by the token applies to it.
    pub tokens: Option<Tokens>,
    /// The form in which images or vectors are wanted, where the body names one.
    pub(crate) wanted: Option<fields::Form>,
    /// The conversation, as far as the body names it.
    pub(crate) turn: Turn,
    /// The response that this one continues, where the conversation up to it was put before the input here.
    pub(crate) previous: Option<String>,
    /// Headers that go on to a provider of the same dialect, by name.
    pub(crate) passed: Vec<(Box<str>, Box<str>)>,
    /// Where the model's name stands in the body: as a JSON string, or as it is in a form.
    pub(super) model_at: Range<usize>,
    /// The options of a stream.
    pub(super) options: StreamOptions,
    pub(super) form: Option<Form>,
}

/// The turn of a conversation that a body asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Turn {
    /// Whether the response must not be kept: `store` is false.
    pub(crate) is_private: bool,
    /// The response that is to be continued, by its id.
    pub(crate) after: Option<Box<str>>,
    /// Where the value of `previous_response_id` stands in the body.
    pub(super) after_at: Option<Range<usize>>,
    /// Where the value of `input` stands in the body.
    pub(super) input_at: Option<Range<usize>>,
}

impl OpenAiRequest {
    /// Returns the `content-type` of the body.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.form.as_ref().map_or("application/json", Form::content_type)
    }

    /// Returns what tells the body from others; the boundary of a form does not.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let whole = self.form.is_none().then_some(&self.body[..]);
        whole.into_iter().chain(self.form.iter().flat_map(Form::pieces))
    }

    /// Returns the body with the model's name replaced by `upstream`.
    #[must_use]
    pub fn body_for(&self, upstream: &str) -> Body {
        if self.model == upstream {
            return self.body.clone().into();
        }
        Body::edited(&self.body, vec![self.named(upstream)])
    }

    /// Says whether the caller wants the usage of a streamed chat as a chunk of its own.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        self.options.with_usage
    }

    /// Returns the body for an upstream model with the wish for usage put into it; `None` where it needs none.
    #[must_use]
    pub fn body_with_usage(&self, upstream: &str) -> Option<Body> {
        if self.endpoint != Endpoint::Chat || !self.stream || self.form.is_some() {
            return None;
        }
        let wish = self.options.wish(&self.body)?;
        Some(Body::edited(&self.body, vec![wish, self.named(upstream)]))
    }

    /// Returns the edit that names a model as the body has it.
    fn named(&self, upstream: &str) -> Edit {
        let name = upstream.to_owned();
        let text = if self.form.is_some() { name } else { Value::String(name).to_string() };
        Edit { at: self.model_at.clone(), text }
    }

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

    #[test]
    fn a_large_body_is_named_anew_without_a_copy() {
        let body = Bytes::from(format!(r#"{{"model":"m","messages":[],"user":"{}"}}"#, "x".repeat(1 << 20)));
        let request = OpenAiRequest::parse(Endpoint::Chat, body.clone()).expect("valid");
        let sent = request.body_for("another");
        let last = sent.pieces().last().expect("a piece");
        assert_eq!(last.as_ptr(), body[body.len() - last.len()..].as_ptr());
        assert_eq!(request.body_for("m").pieces(), [body]);
    }
}
