//! A window's config holds what an operator may set.

use std::time::Duration;

/// Bounds of one route's window, in requests in flight.
///
/// The values are validated by the caller: `1 <= min <= initial <= max`. Where
/// they are not, the window clamps rather than fails. `min == max` pins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowConfig {
    /// Limit at which a cold window starts. Default 4: small enough for any provider, four doublings from 64.
    pub initial: u32,
    /// Least limit, even in an outage. Default 1.
    pub min: u32,
    /// Largest limit. Default 256.
    pub max: u32,
    /// Requests that slow start adds per success: 1 doubles the window per round
    /// trip, 2 triples it. 1 to 8, default 2: cold starts are what costs most at
    /// wide providers, and the overshoot is one burst of as many refusals. 1 for a
    /// provider that punishes steep ramps.
    pub ramp: u32,
    /// Refusals cost nothing (not billed, no penalty), so capacity is probed about
    /// eight times as often: it is noticed sooner when it grows, at 1 to 6 % refusals.
    /// Default no.
    pub refusals_free: bool,
    /// The median service time of a request of mean size that the window keeps to, as far as fewer in flight help.
    /// Above zero; default none: then only throughput counts.
    pub latency_target: Option<Duration>,
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self { initial: 4, min: 1, max: 256, ramp: 2, refusals_free: false, latency_target: None }
    }
}

impl WindowConfig {
    /// Returns `limit` brought into `min..=max`.
    pub(super) fn clamp(&self, limit: u32) -> u32 {
        let min = self.min.max(1);
        limit.clamp(min, self.max.max(min))
    }

    /// Returns whether `min..=max` leaves the window no room to move.
    pub(super) fn pinned(&self) -> bool {
        self.min >= self.max
    }
}
