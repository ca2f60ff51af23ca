//! Service time at one level of the window, by Little's law.
//!
//! L = λ·W: over any stretch of time, the area under the in-flight count divided
//! by what was completed is the mean time a request spent. Unlike the mean of
//! the latencies of those that finished, it is not biased towards short requests
//! when the stretch is short, and its inverse is exactly the throughput per slot.

use crate::core::time::Time;

/// ln of the least rise of service time that matters, 1.25: a queue a quarter of the service. The headroom of the held
/// level is a third of that.
pub(super) const MATTERS: f64 = 0.223;

/// The service time at one level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// Mean in flight.
    pub(super) level: f64,
    /// Service time of a mean-sized request, in seconds.
    pub(super) seconds: f64,
    /// Completions it rests on.
    pub(super) samples: f64,
}

impl Reading {
    /// Returns the mean of two readings of one level, by samples.
    pub(super) fn merge(self, other: Reading) -> Reading {
        let samples = self.samples + other.samples;
        let mean = |a: f64, b: f64| (a * self.samples + b * other.samples) / samples.max(1.0);
        Reading { level: mean(self.level, other.level), seconds: mean(self.seconds, other.seconds), samples }
    }

    /// Returns the reading with a weight of at most `samples`.
    pub(super) fn capped(self, samples: f64) -> Reading {
        Reading { samples: self.samples.min(samples), ..self }
    }

    /// Returns ln of how much longer `self` takes than `other`.
    pub(super) fn rise(self, other: Reading) -> f64 {
        (self.seconds / other.seconds).ln()
    }

    /// Returns the standard error of [`rise`](Self::rise) at a coefficient of variation.
    pub(super) fn error(self, other: Reading, cv: f64) -> f64 {
        cv * (1.0 / self.samples.max(1.0) + 1.0 / other.samples.max(1.0)).sqrt()
    }
}

/// The running area under the in-flight count and the work completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meter {
    last: Time,
    start: Time,
    area: f64,
    work: f64,
    /// Service time of the successes, in seconds.
    served: f64,
    done: u32,
    /// Completions still to pass before the stretch begins.
    warm: u32,
    /// Completions at which the window was not full.
    slack: u32,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { last: Time::ZERO, start: Time::ZERO, area: 0.0, work: 0.0, served: 0.0, done: 0, warm: 0, slack: 0 }
    }

    /// Begins a stretch, after `warm` more completions.
    pub(super) fn begin(&mut self, now: Time, warm: u32) {
        *self = Self { last: now, start: now, warm, ..Self::new() };
    }

    /// Accounts for `in_flight` requests until `now`. Call before it changes.
    pub(super) fn tick(&mut self, now: Time, in_flight: u32) {
        self.area += f64::from(in_flight) * now.seconds_since(self.last);
        self.last = self.last.max(now);
    }

    /// Counts a success of relative size `work` that took so many seconds.
    pub(super) fn success(&mut self, work: f64, seconds: f64, saturated: bool) {
        if self.warm > 0 {
            self.warm -= 1;
            if self.warm == 0 {
                self.begin(self.last, 0);
            }
            return;
        }
        self.done += 1;
        self.work += work;
        self.served += seconds;
        self.slack += u32::from(!saturated);
    }

    /// Takes a request dispatched at `at` out again: it ended without service.
    pub(super) fn forget(&mut self, at: Time) {
        self.area = (self.area - self.last.seconds_since(at.max(self.start))).max(0.0);
    }

    /// Returns how long this stretch has lasted, in seconds.
    pub(super) fn elapsed(&self) -> f64 {
        self.last.seconds_since(self.start)
    }

    /// Returns the mean in flight of requests that succeeded: the rest served nothing, or has only just begun.
    pub(super) fn served(&self) -> f64 {
        self.served / self.elapsed().max(1e-9)
    }

    /// Returns the completions of this stretch.
    pub(super) fn done(&self) -> u32 {
        self.done
    }

    /// Returns whether the window was not full for more than a tenth of the stretch, which then says nothing about the
    /// level.
    pub(super) fn slack(&self) -> bool {
        self.slack > 2 && self.slack * 10 > self.done
    }

    /// Returns the reading so far, if there is one.
    pub(super) fn reading(&self) -> Option<Reading> {
        let elapsed = self.elapsed();
        let usable = self.done > 0 && self.work > 0.0 && self.area > 0.0 && elapsed > 0.0;
        usable.then(|| Reading {
            level: self.area / elapsed,
            seconds: self.area / self.work,
            samples: f64::from(self.done),
        })
    }
}
