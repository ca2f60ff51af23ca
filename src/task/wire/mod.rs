//! Requests as they travel: OpenAI's and Runware's shapes, read, written and translated.

mod dialects;
pub mod edits;
pub mod event;
pub mod form;
pub mod openai;
pub mod responses;
pub mod runware;
pub mod said;
pub mod sse;
#[cfg(test)]
mod tests;
pub mod usage;

use thiserror::Error;

use self::openai::OpenAiRequest;
use self::runware::RunwareTask;
use super::Work;
use crate::core::cost::Cost;

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

/// A request in the form in which it arrived.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
