//! The request that a provider is asked to carry out.

use std::borrow::Cow;

use super::malformed::Malformed;
use super::openai::request::OpenAiRequest;
use super::openai::translatable::Untranslated;
use super::runware::task::RunwareTask;
use crate::core::cost::Cost;
use crate::task::Work;

/// A request in the form in which it arrived.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "there is one a request, and it is not moved about")]
pub enum Wire {
    /// A body for one of OpenAI's endpoints.
    OpenAi(OpenAiRequest),
    /// A task object of Runware's API.
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

/// A request that a provider is asked to carry out.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A typed task of an embedder.
    Typed(Work),
    /// A request that arrived over the wire, in its own form.
    Wire(Wire),
}

impl Request {
    /// Reads the request as typed work.
    ///
    /// # Errors
    ///
    /// [`Malformed`] names the field of a wire request that cannot be read.
    pub fn work(&self) -> Result<Work, Malformed> {
        match self {
            Self::Typed(work) => Ok(work.clone()),
            Self::Wire(wire) => wire.work(),
        }
    }

    /// Reads the request as typed work for a provider of another dialect; what is typed already is not copied.
    ///
    /// # Errors
    ///
    /// [`Untranslated`] names the first field of a wire request that would be lost on the way, or that cannot be read.
    pub fn translated(&self) -> Result<Cow<'_, Work>, Untranslated> {
        Ok(match self {
            Self::Typed(work) => Cow::Borrowed(work),
            Self::Wire(Wire::OpenAi(request)) => Cow::Owned(request.translated()?),
            Self::Wire(Wire::Runware(task)) => Cow::Owned(task.work()?),
        })
    }

    /// Says whether the answer is wanted piece by piece.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        match self {
            Self::Typed(Work::Text(task)) => task.stream,
            Self::Typed(_) => false,
            Self::Wire(wire) => wire.wants_stream(),
        }
    }
}
