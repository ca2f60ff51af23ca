//! The end of a request, as its sender sees it.

/// The end of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::cli::replay) struct Ending {
    /// How long it queued, in milliseconds; 0 when unknown.
    pub(in crate::cli::replay) queue_ms: f64,
    /// How long the provider took, in milliseconds; 0 when it was never dispatched.
    pub(in crate::cli::replay) upstream_ms: f64,
    /// How often it was dispatched.
    pub(in crate::cli::replay) attempts: u32,
    /// The HTTP status; 0 without an answer.
    pub(in crate::cli::replay) status: u16,
    /// Why it failed.
    pub(in crate::cli::replay) reason: Option<String>,
}
