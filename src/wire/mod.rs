//! Requests as they travel: OpenAI's and Runware's shapes, read, written and translated.

mod dialects;
pub mod edits;
pub mod event;
pub mod fields;
pub mod form;
pub mod openai;
mod request;
pub mod responses;
pub mod runware;
pub mod said;
pub(crate) mod size;
pub mod sse;
#[cfg(test)]
mod tests;
mod told;
pub mod translatable;
pub mod usage;

use serde_json::{Map, Value};
use thiserror::Error;

use self::openai::OpenAiRequest;
pub use self::request::Request;
use self::runware::RunwareTask;
use crate::core::cost::Cost;
use crate::task::{Tokens, Work};

/// A request or reply that is not of the form it should have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` {problem}")]
pub struct Malformed {
    /// The field at fault.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Malformed {
    /// Builds the error.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Reads a whole number, also one that is written as `20.0`: some languages know no other.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and in that range")]
    value.as_u64().or_else(|| float().map(|number| number as u64))
}

/// A request in the form in which it arrived.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one a request, and it is not moved about")]
pub enum Wire {
    /// A body for one of OpenAI's endpoints.
    OpenAi(OpenAiRequest),
    /// One task object of Runware's API.
    Runware(RunwareTask),
}

impl Wire {
    /// Reads the request as typed work.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field that cannot be read.
    pub fn work(&self) -> Result<Work, Malformed> {
        match self {
            Self::OpenAi(request) => request.work(),
            Self::Runware(task) => task.work(),
        }
    }

    /// Says whether the answer is wanted piece by piece.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        match self {
            Self::OpenAi(request) => request.stream,
            Self::Runware(task) => task.wants_stream(),
        }
    }

    /// Returns the model asked for.
    #[must_use]
    pub fn model(&self) -> &str {
        match self {
            Self::OpenAi(request) => &request.model,
            Self::Runware(task) => task.model(),
        }
    }

    /// Returns the predicted cost.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self {
            Self::OpenAi(request) => request.cost,
            Self::Runware(task) => task.cost(),
        }
    }
}

impl RunwareTask {
    /// Returns the body for an upstream model with the wish to be told what it costs, where tasks of its type take that:
    /// without it the service does not say, and most callers do not ask.
    #[must_use]
    pub fn body_with_cost(&self, upstream: &str) -> Map<String, Value> {
        /// All that are paid for by the piece.
        const PAID: [&str; 11] = [
            "imageInference",
            "videoInference",
            "audioInference",
            "textInference",
            "photoMaker",
            "imageUpscale",
            "upscale",
            "removeBackground",
            "imageBackgroundRemoval",
            "caption",
            "promptEnhance",
        ];
        let mut body = self.body_for(upstream);
        if PAID.contains(&self.task_type()) {
            body.insert("includeCost".into(), true.into());
        }
        if self.task_type() == "textInference" {
            body.insert("includeUsage".into(), true.into());
        }
        body
    }

    /// Returns the tokens that the task is about to take, where a price by the token applies to it.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        if self.task_type() != "textInference" {
            return None;
        }
        let limit = self.get("maxTokens").or_else(|| self.get("settings")?.get("maxTokens"));
        let messages = self.get("messages").map_or(0, |messages| messages.to_string().len() as u64);
        Some(Tokens::of_bytes(messages, limit.and_then(Value::as_u64)))
    }
}
