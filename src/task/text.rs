//! Text from messages.

use serde_json::{Map, Value};

use super::tokens::{BYTES_PER_TOKEN, Tokens, output_units, text_cost};
use super::usage::Usage;
use crate::core::cost::Cost;

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Message {
    /// `system`, `user`, `assistant`, …
    pub role: String,
    /// Text, or a provider's list of content parts.
    pub content: Value,
}

/// Text inference: a conversation to be continued.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TextInference {
    /// Name of the model.
    pub model: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Most tokens wanted, where limited.
    pub max_tokens: Option<u64>,
    /// Whether the answer is wanted piece by piece.
    pub stream: bool,
    /// Other parameters, under the names the provider knows.
    pub extra: Map<String, Value>,
}

impl TextInference {
    /// Starts a conversation with one user message.
    #[must_use]
    pub fn new(model: impl Into<String>, prompt: impl Into<String>) -> Self {
        let messages = vec![Message::new("user", prompt.into())];
        Self { model: model.into(), messages, max_tokens: None, stream: false, extra: Map::new() }
    }

    /// Appends a message.
    #[must_use]
    pub fn message(mut self, role: impl Into<String>, text: impl Into<String>) -> Self {
        self.messages.push(Message::new(role, text.into()));
        self
    }

    /// Limits the output, in tokens; also sharpens the predicted cost.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    setters!(extra);

    /// Predicts the work of the task.
    pub(super) fn predicted(&self) -> Cost {
        text_cost(self.bytes(), self.max_tokens)
    }

    /// Estimates the tokens that the task takes.
    pub(super) fn estimated(&self) -> Tokens {
        Tokens::of_bytes(self.bytes(), self.max_tokens)
    }

    /// Returns the bytes to be read.
    fn bytes(&self) -> u64 {
        self.messages.iter().map(|message| content_bytes(&message.content)).sum()
    }
}

impl Message {
    /// Builds a message of a role: a text, or a provider's list of content parts.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<Value>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// The text, and why it ended.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TextResult {
    /// The generated text.
    pub text: String,
    /// `stop`, `length`, … as the provider says.
    pub finish_reason: Option<String>,
    /// Tokens and price.
    pub usage: Usage,
}

impl TextResult {
    /// Wraps a text of which nothing more is known.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    setters!(finish_reason, usage);
}

/// A piece of a streamed text.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TextDelta {
    /// Text that follows what came before.
    pub text: String,
    /// Present on the last piece that carries text or on one after it.
    pub finish_reason: Option<String>,
    /// Present once, at the end, where the provider tells.
    pub usage: Option<Usage>,
}

impl TextDelta {
    /// Wraps a piece of text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    setters!(finish_reason);

    /// Sets what the generation used.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Estimates the work in the piece, in the units of cost.
    pub(crate) fn units(&self) -> u64 {
        output_units((self.text.len() as u64).div_ceil(BYTES_PER_TOKEN))
    }
}

impl From<TextResult> for TextDelta {
    /// Makes one piece of a text that came as a whole.
    fn from(text: TextResult) -> Self {
        let finish_reason = text.finish_reason.or_else(|| Some("stop".to_owned()));
        let usage = (text.usage != Usage::default()).then_some(text.usage);
        Self { text: text.text, finish_reason, usage }
    }
}

fn content_bytes(content: &Value) -> u64 {
    match content {
        Value::String(text) => text.len() as u64,
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")).map(content_bytes).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_is_input_plus_twice_the_expected_output() {
        let task = TextInference::new("m", "x".repeat(400));
        assert_eq!(task.predicted().units(), 100 + 512);
        assert_eq!(task.max_tokens(50).predicted().units(), 100 + 100);
    }
}
