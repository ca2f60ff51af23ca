//! The part of a trace that is replayed, and how its blanks are filled.

use std::time::Duration;

use super::error::TraceError;

/// The part of a trace to replay, and how its blanks are filled.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How many tenants there shall be. Traces without tenants are spread over so many (default 20); of traces with
    /// tenants the busiest so many are kept and the others folded into them (default: all as they are).
    pub tenants: Option<usize>,
    /// Seed of everything that is drawn: the same seed and window give the same arrivals.
    pub seed: u64,
    /// Keep only the first so many arrivals of the window.
    pub limit: Option<usize>,
    /// Where the window starts, counted from the trace's beginning.
    pub start: Duration,
    /// How long the window is; to the trace's end when absent (fitted processes: one hour).
    pub duration: Option<Duration>,
}

impl Options {
    /// The instant at which the window ends, if it does.
    pub(super) fn end(&self) -> Option<Duration> {
        self.duration.map(|duration| self.start.saturating_add(duration))
    }

    pub(super) fn validate(&self) -> Result<(), TraceError> {
        let problem = if self.tenants == Some(0) {
            "tenants is 0: a replay needs at least one tenant"
        } else if self.limit == Some(0) {
            "limit is 0: nothing would be replayed"
        } else if self.duration == Some(Duration::ZERO) {
            "duration is 0: the window holds no arrival"
        } else {
            return Ok(());
        };
        Err(TraceError::Options { problem })
    }
}
