//! The load of a route: what is in flight, beside the limit.

use crate::core::time::Time;

/// Share of the limit in flight from which the window counts as full, and growth is allowed: a limit that is not reached
/// is not tested by success (RFC 7661).
const FULL: f64 = 0.9;

/// The limit, and the requests in flight under it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    limit: u32,
    in_flight: u32,
    /// When the window was last full while jobs waited.
    full_at: Option<Time>,
}

impl Load {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, in_flight: 0, full_at: None }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns the limit less what is in flight.
    pub(super) fn free(&self) -> u32 {
        self.limit.saturating_sub(self.in_flight)
    }

    /// Returns what is in flight above the limit.
    pub(super) fn excess(&self) -> u32 {
        self.in_flight.saturating_sub(self.limit)
    }

    /// Moves the limit; returns the one before.
    pub(super) fn set_limit(&mut self, to: u32) -> u32 {
        std::mem::replace(&mut self.limit, to)
    }

    /// Counts a dispatch; returns what is in flight with it.
    pub(super) fn dispatched(&mut self, now: Time, demand: bool) -> u32 {
        self.in_flight = self.in_flight.saturating_add(1);
        self.note_full(now, demand);
        self.in_flight
    }

    /// Counts the end of a request; returns what was in flight until now, with it.
    pub(super) fn settled(&mut self, now: Time, demand: bool) -> u32 {
        self.note_full(now, demand);
        let before = self.in_flight;
        self.in_flight = before.saturating_sub(1);
        before
    }

    /// Returns whether so many in flight fill the window.
    pub(super) fn fills(&self, in_flight: u32) -> bool {
        f64::from(in_flight) >= FULL * f64::from(self.limit)
    }

    /// Returns whether the window was full with jobs waiting at any time since `at`.
    ///
    /// A success counts for growth if it was so during its life: outcomes come in batches, and the window is refilled
    /// only after a batch.
    pub(super) fn was_full_since(&self, at: Time) -> bool {
        self.full_at.is_some_and(|full| full >= at)
    }

    fn note_full(&mut self, now: Time, demand: bool) {
        if demand && self.fills(self.in_flight) {
            self.full_at = Some(now);
        }
    }
}
