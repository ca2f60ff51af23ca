//! Asynchronous jobs: what is under way or done under a caller's own name for it, and results posted to where it says.

mod store;
mod webhook;

use std::time::Duration;

pub(crate) use self::store::{Asked, Claim, Finished, Jobs, Key, Posting, Watch};
pub(crate) use self::webhook::Webhooks;

/// Wait of an acknowledgement, so that a job that is refused at once is refused and not acknowledged.
pub(crate) const REFUSED_AT_ONCE: Duration = Duration::from_millis(25);
