//! Netflix concurrency-limits: AIMD, Vegas and Gradient2.

use super::{Rule, Seen};
use crate::sim::rng::Rng;

/// `AIMDLimit`: × 0.9 per drop, +1 per success when at least half used.
#[derive(Debug)]
pub(in crate::sim) struct Aimd {
    limit: u32,
    least: u32,
    /// Round trips beyond this count as drops, in seconds.
    slow: f64,
}

impl Aimd {
    const START: u32 = 20;
    const MAX: u32 = 200;
    const BACKOFF: f64 = 0.9;

    pub(in crate::sim) fn published() -> Self {
        Self { limit: Self::START, least: 20, slow: 5.0 }
    }

    pub(in crate::sim) fn floor_1() -> Self {
        Self { limit: Self::START, least: 1, slow: f64::INFINITY }
    }
}

impl Rule for Aimd {
    fn limit(&self) -> u32 {
        self.limit
    }

    fn seen(&mut self, seen: Seen) {
        if seen.dropped || seen.rtt > self.slow {
            self.limit = (f64::from(self.limit) * Self::BACKOFF) as u32;
        } else if seen.in_flight * 2 >= self.limit {
            self.limit += 1;
        }
        self.limit = self.limit.clamp(self.least, Self::MAX);
    }
}

/// `VegasLimit`: keeps an estimated queue between 3 and 6 log₁₀ of the limit.
#[derive(Debug)]
pub(in crate::sim) struct Vegas {
    limit: f64,
    unloaded: f64,
    /// Samples since the unloaded round trip was taken anew, and a random factor for the next time.
    probed: f64,
    jitter: f64,
    rng: Rng,
}

impl Vegas {
    const START: f64 = 20.0;
    const MAX: f64 = 1000.0;
    const PROBE_MULTIPLIER: f64 = 30.0;

    pub(in crate::sim) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, u64::from(b'v'));
        let jitter = 0.5 + rng.unit() / 2.0;
        Self { limit: Self::START, unloaded: 0.0, probed: 0.0, jitter, rng }
    }
}

impl Rule for Vegas {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    fn seen(&mut self, seen: Seen) {
        let log = self.limit.log10().floor().max(1.0);
        if !seen.dropped {
            self.probed += 1.0;
            if self.jitter * Self::PROBE_MULTIPLIER * self.limit <= self.probed {
                (self.jitter, self.probed) = (0.5 + self.rng.unit() / 2.0, 0.0);
                self.unloaded = seen.rtt;
                return;
            }
            if self.unloaded == 0.0 || seen.rtt < self.unloaded {
                self.unloaded = seen.rtt;
                return;
            }
        }
        let queue = (self.limit * (1.0 - self.unloaded / seen.rtt)).ceil();
        let limit = if seen.dropped {
            self.limit - log
        } else if f64::from(seen.in_flight) * 2.0 < self.limit {
            return;
        } else if queue <= log {
            self.limit + 6.0 * log
        } else if queue < 3.0 * log {
            self.limit + log
        } else if queue > 6.0 * log {
            self.limit - log
        } else {
            return;
        };
        self.limit = limit.clamp(1.0, Self::MAX);
    }
}

/// `Gradient2Limit`: the long-term mean over the latest round trip, with room for 4.
#[derive(Debug)]
pub(in crate::sim) struct Gradient2 {
    limit: f64,
    /// EWMA over 600 samples: a plain mean over the first 10.
    long: f64,
    count: f64,
}

impl Gradient2 {
    const RANGE: (f64, f64) = (20.0, 200.0);
    const SMOOTHING: f64 = 0.2;
    const TOLERANCE: f64 = 1.5;
    const QUEUE: f64 = 4.0;
    const LONG: f64 = 600.0;
    const WARMUP: f64 = 10.0;

    pub(in crate::sim) fn new() -> Self {
        Self { limit: Self::RANGE.0, long: 0.0, count: 0.0 }
    }
}

impl Rule for Gradient2 {
    fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Gradient2 does not look at drops.
    fn seen(&mut self, seen: Seen) {
        if seen.dropped {
            return;
        }
        self.count += 1.0;
        let gain = if self.count <= Self::WARMUP { 1.0 / self.count } else { 2.0 / (Self::LONG + 1.0) };
        self.long += gain * (seen.rtt - self.long);
        if self.long / seen.rtt > 2.0 {
            self.long *= 0.95;
        }
        if f64::from(seen.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (Self::TOLERANCE * self.long / seen.rtt).clamp(0.5, 1.0);
        let target = self.limit * gradient + Self::QUEUE;
        let limit = self.limit * (1.0 - Self::SMOOTHING) + target * Self::SMOOTHING;
        self.limit = limit.clamp(Self::RANGE.0, Self::RANGE.1);
    }
}
