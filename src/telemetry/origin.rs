//! The place that a request came from.

use std::sync::Arc;

use super::context::Context;

/// The place that a request came from, as its witness tells it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The request's id, as `x-request-id` says it.
    pub(crate) id: Arc<str>,
    /// The caller's trace.
    pub(crate) caller: Option<Context>,
}
