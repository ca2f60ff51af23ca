//! Requests as typed work for providers of another dialect, and failures of those that cannot be that.

#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use std::borrow::Cow;

use super::{Failure, Outcome};
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::core::verdict::{Again, Verdict};
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::task::Work;
use crate::wire::Malformed;
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::wire::Request;
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
use crate::wire::openai::translatable::Untranslated;

/// Reads a request as typed work for a provider of another dialect, where nothing of it is lost on the way.
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
pub(super) fn translated(request: &Request) -> Result<Cow<'_, Work>, Failure> {
    request.translated().map_err(|error| match error {
        Untranslated::Lost(lost) => inexpressible(lost.to_string()).caused_by(lost),
        Untranslated::Malformed(malformed) => unreadable_request(malformed),
    })
}

/// Returns the failure of a request that a route's dialect cannot express: a route of another may.
#[cfg(any(feature = "openai", feature = "runware", feature = "task"))]
pub(super) fn inexpressible(message: impl Into<String>) -> Failure {
    let verdict = Verdict { again: Again::Elsewhere, ..Verdict::of(Outcome::Rejected) };
    Failure::new(Outcome::Rejected, message).verdict(verdict)
}

/// Returns the failure of a request that cannot be read: that is its caller's fault.
pub(super) fn unreadable_request(malformed: Malformed) -> Failure {
    Failure::new(Outcome::Rejected, malformed.to_string()).caused_by(malformed)
}
