//! The rate at which a queue drains.

use super::fading::kept;
use crate::core::time::Time;

/// Seconds of backlog over which the drain rate remembers.
const MEMORY: f64 = 10.0;
/// Dispatched jobs that a drain rate must rest on before it is believed.
const ENOUGH: f64 = 3.0;
/// Multiple of its own measured time that a drain rate reaches ahead, while it was measured for less than its memory.
const REACH: f64 = 8.0;
/// Seconds of backlog after which the past is faded: often enough for the memory, seldom enough to cost nothing per job.
const STEP: f64 = 0.01;

/// How fast a model works off its queue, measured only while something waits.
///
/// A rate measured while slots idle would be the arrival rate, and would promise waits that are far too long.
#[derive(Debug, Clone, Default)]
pub struct DrainRate {
    work: f64,
    jobs: f64,
    busy: f64,
    /// Backlogged seconds since the past was last faded.
    fresh: f64,
    last: Time,
    backlogged: bool,
}

impl DrainRate {
    /// Moves the measurement to `now`; `backlogged` says whether something waits from here on.
    pub fn advance(&mut self, now: Time, backlogged: bool) {
        if self.backlogged && now > self.last {
            self.fresh += now.seconds_since(self.last);
            if self.fresh >= STEP {
                let keep = kept(self.fresh, MEMORY);
                self.work *= keep;
                self.jobs *= keep;
                // The time fades like what was done in it, so that the quotient stays a rate.
                self.busy = self.busy * keep + MEMORY * (1.0 - keep);
                self.fresh = 0.0;
            }
        }
        self.last = self.last.max(now);
        self.backlogged = backlogged;
    }

    /// Counts one job of `cost` units that left the queue for a slot.
    pub fn dispatched(&mut self, cost: f64) {
        if self.backlogged {
            self.work += cost;
            self.jobs += 1.0;
        }
    }

    /// Returns cost units per second, or `None` while too little was seen.
    #[must_use]
    pub fn work_per_second(&self) -> Option<f64> {
        self.per_second(self.work)
    }

    /// Returns jobs per second, or `None` while too little was seen.
    #[must_use]
    pub fn jobs_per_second(&self) -> Option<f64> {
        self.per_second(self.jobs)
    }

    /// Returns up to how many seconds ahead the rate tells enough to turn somebody away: what was seen for a second, at a
    /// cold start or after an outage, says little about the next minute.
    #[must_use]
    pub fn reach(&self) -> f64 {
        let seen = ((self.busy + self.fresh) / MEMORY).min(1.0);
        REACH * MEMORY * seen / (1.0 - seen)
    }

    fn per_second(&self, amount: f64) -> Option<f64> {
        let busy = self.busy + self.fresh;
        (self.jobs >= ENOUGH && busy > 0.0).then(|| amount / busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn idle_time_does_not_count_as_slowness() {
        let mut rate = DrainRate::default();
        let mut now = Time::ZERO;
        for second in 0..200 {
            // One second in two has a backlog, and in it ten jobs of cost 3 leave.
            rate.advance(now, second % 2 == 0);
            if second % 2 == 0 {
                for _ in 0..10 {
                    now += Duration::from_millis(100);
                    rate.advance(now, true);
                    rate.dispatched(3.0);
                }
            } else {
                now += Duration::from_secs(1);
            }
        }
        let seen = rate.work_per_second().unwrap_or_default();
        assert!((seen / 30.0 - 1.0).abs() < 0.05, "{seen}");
    }
}
