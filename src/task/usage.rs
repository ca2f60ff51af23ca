//! Usage of generations.

use serde_json::{Map, Value};

use super::tokens::output_units;
use crate::core::cost::Cost;

/// The usage of a generation, as far as the provider tells it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
    /// Price in US dollars.
    pub dollars: Option<f64>,
}

impl Usage {
    /// Begins with nothing known.
    ///
    /// # Examples
    ///
    /// ```
    /// use fairflow::task::Usage;
    ///
    /// let usage = Usage::new().input_tokens(812).output_tokens(64).dollars(0.002);
    /// assert_eq!(usage.output_tokens, Some(64));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the tokens read.
    #[must_use]
    pub fn input_tokens(self, tokens: u64) -> Self {
        Self { input_tokens: Some(tokens), ..self }
    }

    /// Sets the tokens written.
    #[must_use]
    pub fn output_tokens(self, tokens: u64) -> Self {
        Self { output_tokens: Some(tokens), ..self }
    }

    /// Sets the price in US dollars.
    #[must_use]
    pub fn dollars(self, dollars: f64) -> Self {
        Self { dollars: Some(dollars), ..self }
    }

    /// Reads `{"prompt_tokens", "completion_tokens"}` (OpenAI) or `{"promptTokens", "completionTokens"}` (Runware).
    #[must_use]
    pub fn from_json(usage: &Map<String, Value>) -> Self {
        let read = |names: [&str; 3]| names.into_iter().find_map(|name| usage.get(name)?.as_u64());
        Self {
            input_tokens: read(["prompt_tokens", "input_tokens", "promptTokens"]),
            output_tokens: read(["completion_tokens", "output_tokens", "completionTokens"]),
            dollars: None,
        }
    }

    /// Returns the tokens read and written, each counted once, as limits on tokens count them.
    pub(crate) fn tokens(self) -> Option<f64> {
        Some(self.input_tokens?.saturating_add(self.output_tokens.unwrap_or(0)) as f64)
    }

    /// Returns what text cost that used so much, in the unit of its prediction: input + 2 × output tokens.
    pub(crate) fn text_cost(self) -> Option<Cost> {
        Some(Cost::new(self.input_tokens?.saturating_add(output_units(self.output_tokens?))))
    }
}
