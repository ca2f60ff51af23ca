//! An idle window shrinks towards what was used lately.
//!
//! What was learned under load ages while nothing is sent (RFC 7661 for TCP): a
//! full window sent at once after an hour of silence may meet another provider.
//! So the limit halves per two 95th percentiles of service time without anything
//! in flight, and returns by slow start, one success per step.

use crate::core::time::Time;
use std::time::Duration;

/// P95 service times without anything in flight that halve the window.
const P95S_PER_HALVING: f64 = 2.0;

/// Halvings that are applied at once at most: 2³² is more than any window.
const MOST_HALVINGS: u32 = 32;

/// Tracks idleness and the recent peak of use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Idle {
    /// Until when the route was busy, or up to when idleness was accounted for.
    since: Time,
    peak: u32,
    previous: u32,
    decayed: bool,
}

impl Idle {
    /// Notes a dispatch that brings `in_flight` requests in flight.
    pub(super) fn dispatched(&mut self, now: Time, in_flight: u32) {
        if self.decayed {
            self.previous = self.peak;
            self.peak = 0;
            self.decayed = false;
        }
        self.since = now;
        self.peak = self.peak.max(in_flight);
    }

    /// Notes that something was in flight until now.
    pub(super) fn busy(&mut self, now: Time) {
        self.since = now;
    }

    /// Notes that nothing could be sent until `until`.
    pub(super) fn rested(&mut self, until: Time) {
        self.since = self.since.max(until);
    }

    /// Returns the most in flight in this stretch of use and the one before.
    pub(super) fn peak(&self) -> u32 {
        self.peak.max(self.previous)
    }

    /// Returns how often to halve now, for a P95 service time in seconds.
    pub(super) fn halvings(&mut self, now: Time, p95: f64) -> u32 {
        let span = P95S_PER_HALVING * p95;
        if span <= 0.0 {
            return 0;
        }
        let spans = (now.seconds_since(self.since) / span).floor();
        if spans < 1.0 {
            return 0;
        }
        self.decayed = true;
        self.since += Duration::try_from_secs_f64(spans * span).unwrap_or(Duration::MAX);
        (spans as u32).min(MOST_HALVINGS)
    }
}
