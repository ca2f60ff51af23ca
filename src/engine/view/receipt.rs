//! How a request went, for its caller.

use std::sync::Arc;
use std::time::Duration;

use crate::contract::provider::Told;

/// How a request went: the figures behind the `x-fairflow-*` headers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Receipt {
    /// Time spent waiting for a slot, over all attempts.
    pub queued: Duration,
    /// Time the last attempt took, until its answer began.
    pub upstream: Duration,
    /// Attempts made.
    pub attempts: u32,
    /// Provider account that answered.
    pub provider: Arc<str>,
    /// The model's name there.
    pub upstream_model: Arc<str>,
    /// Id and headers beside the provider's answer.
    pub told: Told,
}
