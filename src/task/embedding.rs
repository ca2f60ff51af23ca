//! Vectors from texts.

use super::text::{Tokens, text_cost};
use super::{Product, Task, Usage, Work};
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

/// One vector per input, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingResult {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens read.
    pub usage: Usage,
}

impl Embedding {
    /// Returns the bytes to be read.
    fn bytes(&self) -> u64 {
        self.inputs.iter().map(|input| input.len() as u64).sum()
    }
}

impl Task for Embedding {
    type Output = EmbeddingResult;

    fn model(&self) -> &str {
        &self.model
    }

    fn cost(&self) -> Cost {
        text_cost(self.bytes(), Some(0))
    }

    fn tokens(&self) -> Option<Tokens> {
        Some(Tokens::of_bytes(self.bytes(), Some(0)))
    }

    fn into_work(self) -> Work {
        Work::Embedding(self)
    }

    fn output(product: Product) -> Result<EmbeddingResult, Product> {
        match product {
            Product::Embedding(result) => Ok(result),
            other => Err(other),
        }
    }
}
