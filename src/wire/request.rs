//! The request that a provider is asked to carry out.

use super::{Malformed, Wire};
use crate::task::Work;

/// What a provider is asked to do.
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
