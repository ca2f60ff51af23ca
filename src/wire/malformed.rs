//! The error of a request or an answer that is not of the form it should have.

use thiserror::Error;

/// A request or reply that is not of the form it should have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{field}` {problem}")]
pub struct Malformed {
    /// The field at fault.
    pub field: String,
    /// The problem with the field, and the remedy.
    pub problem: String,
}

impl Malformed {
    /// Builds the error.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Cuts a value that goes into an error message.
pub(super) fn short(text: &str) -> String {
    /// Most characters of it.
    const MOST: usize = 40;
    let mut cut: String = text.chars().take(MOST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}
