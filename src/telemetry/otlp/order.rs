//! Orders for the task that exports.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::oneshot;

use crate::telemetry::context::Context;
use crate::witness::Story;

/// A request that has ended, on its way to the collector.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) context: Context,
    /// The caller's span, where there is one.
    pub(super) parent: Option<u64>,
    pub(super) request_id: Arc<str>,
    pub(super) operation: Box<str>,
    pub(super) task: Option<Arc<str>>,
    pub(super) story: Story,
    /// When it ended.
    pub(super) at: SystemTime,
}

/// An item for the exporting task.
#[derive(Debug)]
pub(super) enum Order {
    Tell(Box<Told>),
    /// Send what there is, and say when that is done.
    Flush(oneshot::Sender<()>),
}
