//! Parts that both transports share.

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::provider::{Failure, Outcome};

/// A task, a result or an error of the service.
pub(super) type Object = Map<String, Value>;

/// Returns the failure of a task whose UUID is in use.
pub(super) fn is_under_way(uuid: &str) -> Failure {
    Failure::new(Outcome::Rejected, format!("taskUUID {uuid:?} is under way; give each task its own"))
}

#[allow(clippy::disallowed_methods, reason = "a provider is outside the engine")]
pub(super) fn now() -> Instant {
    Instant::now()
}
