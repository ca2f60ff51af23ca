//! The place of a request in the queue, as both sides of it know it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::core::key::Key;
use crate::core::time::Time;

/// A request's place in the queue. The queue writes it and the caller hands it back to cancel, so that cancelling needs no
/// index of requests. A retry finds here when its backoff ends.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    key: AtomicU64,
    /// End of a retry's backoff, in nanoseconds of the engine's clock.
    not_before: AtomicU64,
}

impl Seat {
    /// Notes the key of the waiting job, and when its backoff ends.
    pub(crate) fn place(&self, key: Key, not_before: Time) {
        self.key.store(key.to_bits(), Ordering::Relaxed);
        self.not_before.store(not_before.as_nanos(), Ordering::Relaxed);
    }

    /// Returns when a retry's backoff ends; the engine's start where there is none.
    pub(crate) fn not_before(&self) -> Time {
        Time::from_nanos(self.not_before.load(Ordering::Relaxed))
    }

    /// Returns the key of the waiting job; `None` before the queue has placed it.
    pub(crate) fn key(&self) -> Option<Key> {
        match self.key.load(Ordering::Relaxed) {
            0 => None,
            bits => Some(Key::from_bits(bits)),
        }
    }
}
