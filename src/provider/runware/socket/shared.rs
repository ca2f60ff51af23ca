//! State that callers share with the task that holds their connection.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::link::Address;
use super::suspects::Records;
use super::waiters::Waiters;

/// Intervals of the heartbeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    /// Time between two questions whether the other side lives.
    pub(super) every: Duration,
    /// Silence after which the other side is taken for dead.
    pub(super) dead: Duration,
}

/// State that callers and the connection's task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) address: Address,
    pub(super) key: Option<SecretString>,
    pub(super) beat: Beat,
    pub(super) waiters: Arc<Waiters>,
    pub(super) records: Arc<Records>,
}

/// A frame on its way out, with the UUID of its task.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) uuid: String,
    /// The question that it asks; `None` for the task itself.
    pub(super) question: Option<String>,
}
