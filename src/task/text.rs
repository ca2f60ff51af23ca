//! Text from messages.

use serde_json::{Map, Value};

use super::{Product, Task, Usage, Work};
use crate::core::cost::Cost;

/// Output tokens expected of a request that sets no limit.
const EXPECTED_OUTPUT: u64 = 256;
/// An output token costs a decoding step where an input token shares one pass: the published weight of 2.
const OUTPUT_WEIGHT: u64 = 2;
/// Bytes per token of ordinary text.
pub(crate) const BYTES_PER_TOKEN: u64 = 4;
/// Output tokens for which money is set aside where a request sets no limit. More than are expected: what is set aside
/// in vain comes back, and as soon as answers are known they correct it.
const RESERVED_OUTPUT: u64 = 1_024;

/// Tokens that a generation is about to take, as far as its request tells: what its price is estimated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// To be read.
    pub input: u64,
    /// At most to be written; `None` where nothing limits them.
    pub most_output: Option<u64>,
}

impl Tokens {
    /// Estimates the tokens of so many bytes of ordinary text.
    pub(crate) fn of_bytes(input: u64, most_output: Option<u64>) -> Self {
        Self { input: input / BYTES_PER_TOKEN, most_output }
    }

    /// Returns the tokens of so many answers.
    pub(crate) fn times(self, answers: u64) -> Self {
        let most_output = match answers {
            0 | 1 => self.most_output,
            _ => Some(self.reserved_output().saturating_mul(answers)),
        };
        Self { most_output, ..self }
    }

    /// Returns the tokens written for which money is set aside.
    pub(crate) fn reserved_output(self) -> u64 {
        self.most_output.unwrap_or(RESERVED_OUTPUT)
    }
}

/// Predicts the cost of text in tokens: input + 2 × expected output.
pub(crate) fn text_cost(input_bytes: u64, max_output: Option<u64>) -> Cost {
    let output = max_output.unwrap_or(EXPECTED_OUTPUT);
    Cost::new((input_bytes / BYTES_PER_TOKEN).saturating_add(output_units(output)))
}

/// Returns what so many output tokens cost.
pub(crate) fn output_units(tokens: u64) -> u64 {
    tokens.saturating_mul(OUTPUT_WEIGHT)
}

/// Returns the output tokens that cost so much.
pub(crate) fn output_tokens(units: u64) -> u64 {
    units / OUTPUT_WEIGHT
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
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
        let messages = vec![Message { role: "user".into(), content: Value::String(prompt.into()) }];
        Self { model: model.into(), messages, max_tokens: None, stream: false, extra: Map::new() }
    }

    /// Appends a message.
    #[must_use]
    pub fn message(mut self, role: impl Into<String>, text: impl Into<String>) -> Self {
        self.messages.push(Message { role: role.into(), content: Value::String(text.into()) });
        self
    }

    /// Limits the output, in tokens; also sharpens the predicted cost.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u64) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    setters!(extra);

    /// Returns the bytes to be read.
    fn bytes(&self) -> u64 {
        self.messages.iter().map(|message| content_bytes(&message.content)).sum()
    }
}

/// The text, and why it ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextResult {
    /// The generated text.
    pub text: String,
    /// `stop`, `length`, … as the provider says.
    pub finish_reason: Option<String>,
    /// Tokens and price.
    pub usage: Usage,
}

/// One piece of a streamed text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TextDelta {
    /// Text that follows what came before.
    pub text: String,
    /// Present on the last piece that carries text or on one after it.
    pub finish_reason: Option<String>,
    /// Present once, at the end, where the provider tells.
    pub usage: Option<Usage>,
}

impl TextDelta {
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

impl Task for TextInference {
    type Output = TextResult;

    fn model(&self) -> &str {
        &self.model
    }

    fn cost(&self) -> Cost {
        text_cost(self.bytes(), self.max_tokens)
    }

    fn tokens(&self) -> Option<Tokens> {
        Some(Tokens::of_bytes(self.bytes(), self.max_tokens))
    }

    fn into_work(self) -> Work {
        Work::Text(self)
    }

    fn output(product: Product) -> Result<TextResult, Product> {
        match product {
            Product::Text(result) => Ok(result),
            other => Err(other),
        }
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
        assert_eq!(task.cost().units(), 100 + 512);
        assert_eq!(task.max_tokens(50).cost().units(), 100 + 100);
    }
}
