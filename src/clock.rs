//! The one clock of the engine, and the calendar.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::time::Instant;

use crate::core::time::Time;

/// Returns the Unix time in seconds, for what people and other processes read; nothing is scheduled by it.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Tells the engine's time; the only place that asks tokio for it, so that paused time works everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the one clock")]
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one clock")]
    pub(crate) fn now(self) -> Time {
        Time::ZERO + Instant::now().saturating_duration_since(self.origin)
    }

    pub(crate) fn time(self, at: Instant) -> Time {
        Time::ZERO + at.saturating_duration_since(self.origin)
    }

    pub(crate) fn instant(self, time: Time) -> Instant {
        self.origin + time.since(Time::ZERO)
    }
}

/// A moment that several actors keep up to date: the latest counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark(Arc<AtomicU64>);

impl Mark {
    pub(crate) fn set(&self, at: Time) {
        self.0.fetch_max(at.as_nanos(), Ordering::Relaxed);
    }

    /// Returns the moment; the engine's start where there was none.
    pub(crate) fn get(&self) -> Time {
        Time::from_nanos(self.0.load(Ordering::Relaxed))
    }
}
