//! Vectors from texts.

use super::tokens::{Tokens, text_cost};
use super::usage::Usage;
use crate::core::cost::Cost;

/// Embedding of one or more texts.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Embedding {
    /// Name of the model.
    pub model: String,
    /// The texts.
    pub inputs: Vec<String>,
    /// Dimensions wanted; `None` for the model's own.
    pub dimensions: Option<u64>,
}

impl Embedding {
    /// Embeds the given texts; the result keeps their order.
    pub fn new<S: Into<String>>(model: impl Into<String>, inputs: impl IntoIterator<Item = S>) -> Self {
        Self { model: model.into(), inputs: inputs.into_iter().map(Into::into).collect(), dimensions: None }
    }

    /// Asks for vectors of that many dimensions, where the model can shorten them.
    #[must_use]
    pub fn dimensions(mut self, dimensions: u64) -> Self {
        self.dimensions = Some(dimensions);
        self
    }
}

/// The vectors of the inputs, in the same order.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct EmbeddingResult {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read.
    pub usage: Usage,
}

impl EmbeddingResult {
    /// Wraps the vectors of a task, in the order of its inputs.
    #[must_use]
    pub fn new(vectors: Vec<Vec<f32>>) -> Self {
        Self { vectors, ..Self::default() }
    }

    setters!(usage);
}

impl Embedding {
    /// Predicts the work of the task.
    pub(super) fn predicted(&self) -> Cost {
        text_cost(self.bytes(), Some(0))
    }

    /// Estimates the tokens that the task takes.
    pub(super) fn estimated(&self) -> Tokens {
        Tokens::of_bytes(self.bytes(), Some(0))
    }

    /// Returns the bytes to be read.
    fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.len() as u64).sum()
    }
}
