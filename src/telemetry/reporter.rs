//! The reporter, which tells the log and the exports of a generation.

use std::sync::Arc;

use super::{Origin, access};
use crate::witness::{Story, TraceContext, Witness};

/// Writes the line of a generation, and hands its story on to where it is exported.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) origin: Origin,
    pub(super) operation: Box<str>,
    pub(super) task: Option<Arc<str>>,
    #[cfg(feature = "otlp")]
    pub(super) trace: Option<super::otlp::Trace>,
}

impl Witness for Reporter {
    fn trace(&self, attempt: u32) -> Option<Arc<TraceContext>> {
        #[cfg(feature = "otlp")]
        if let Some(trace) = &self.trace {
            return Some(Arc::new(trace.attempt(attempt).headers()));
        }
        // Nothing is traced here: the caller's trace goes on at the provider.
        let _ = attempt;
        Some(Arc::new(self.origin.caller.as_ref()?.headers()))
    }

    fn ended(&self, story: Story) {
        access::ended(&self.origin, &self.operation, self.task.as_deref(), &story);
        #[cfg(feature = "otlp")]
        if let Some(trace) = &self.trace {
            trace.tell(&self.origin, &self.operation, self.task.as_ref(), story);
        }
    }
}
