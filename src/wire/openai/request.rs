//! A request in OpenAI's form, and its body as a provider is sent it.

use std::ops::Range;

use bytes::Bytes;
use serde_json::Value;

use super::endpoint::Endpoint;
use super::stream_options::StreamOptions;
use crate::core::cost::Cost;
use crate::task::Tokens;
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
