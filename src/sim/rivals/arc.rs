//! Vector's adaptive request concurrency: AIMD once per round trip.

use std::time::Duration;

use super::{Rule, Seen};
use crate::core::time::Time;

/// `decrease_ratio`.
const DECREASE: f64 = 0.9;
/// `ewma_alpha`.
const ALPHA: f64 = 0.4;
/// `rtt_deviation_scale`.
const DEVIATIONS: f64 = 2.5;
/// `initial_concurrency` and `max_concurrency_limit`.
const RANGE: (u32, u32) = (1, 200);

#[derive(Debug)]
pub(in crate::sim) struct Arc {
    limit: u32,
    reached: bool,
    pressed: bool,
    /// Sum and count of this period's round trips.
    current: (f64, f64),
    /// EWMA of the means of past periods, and of their variance.
    past: Option<(f64, f64)>,
    next: Time,
}

impl Arc {
    pub(in crate::sim) fn new() -> Self {
        Self { limit: RANGE.0, reached: false, pressed: false, current: (0.0, 0.0), past: None, next: Time::ZERO }
    }

    fn period_ends(&mut self, now: Time) {
        let mean = (self.current.1 > 0.0).then(|| self.current.0 / self.current.1);
        if let (Some(mean), Some((past, variance))) = (mean, self.past) {
            let threshold = variance.sqrt() * DEVIATIONS;
            if self.limit < RANGE.1 && self.reached && !self.pressed && mean <= past {
                self.limit += 1;
            } else if self.limit > 1 && (self.pressed || mean >= past + threshold) {
                self.limit = ((f64::from(self.limit) * DECREASE).floor() as u32).max(1);
            }
        } else if self.pressed && self.limit > 1 {
            self.limit = ((f64::from(self.limit) * DECREASE).floor() as u32).max(1);
        }
        if let Some(mean) = mean {
            self.past = Some(match self.past {
                None => (mean, 0.0),
                Some((past, variance)) => {
                    let delta = mean - past;
                    (past + ALPHA * delta, (1.0 - ALPHA) * (variance + ALPHA * delta * delta))
                }
            });
        }
        (self.reached, self.pressed, self.current) = (false, false, (0.0, 0.0));
        self.next = now + Duration::from_secs_f64(self.past.map_or(0.0, |(past, _)| past));
    }
}

impl Rule for Arc {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn dispatched(&mut self, in_flight: u32) {
        self.reached |= in_flight >= self.limit;
    }

    fn seen(&mut self, seen: Seen) {
        self.pressed |= seen.dropped;
        if !seen.dropped {
            self.current = (self.current.0 + seen.rtt, self.current.1 + 1.0);
        }
        if seen.now >= self.next {
            self.period_ends(seen.now);
        }
    }
}
