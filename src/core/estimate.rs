//! What the past says about the next wait: quantiles that forget, and the rate at which a queue drains.

use super::time::Time;

/// Buckets per doubling: neighbouring buckets differ by 19 %, and interpolation halves the error again.
const PER_OCTAVE: f64 = 4.0;
/// The smallest value told apart, 2⁻¹⁴ (61 µs, where values are seconds).
const LOWEST_OCTAVE: f64 = -14.0;
const BUCKETS: usize = 136;
/// Observations after which the past counts half: quick to follow a change, steady enough for a P90.
const HALF_AFTER: f32 = 512.0;

/// A histogram of positive numbers over 34 octaves whose past fades.
///
/// Fixed memory (0.5 KB), no allocation, O(1) per observation.
#[derive(Debug, Clone)]
pub struct Quantiles {
    counts: [f32; BUCKETS],
    total: f32,
}

impl Quantiles {
    /// Builds an empty histogram.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [0.0; BUCKETS], total: 0.0 }
    }

    /// Records one observation; values outside the range count in the nearest bucket, NaN not at all.
    pub fn record(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let position = (value.max(f64::MIN_POSITIVE).log2() - LOWEST_OCTAVE) * PER_OCTAVE;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped into the array")]
        let bucket = position.clamp(0.0, (BUCKETS - 1) as f64) as usize;
        self.counts[bucket] += 1.0;
        self.total += 1.0;
        if self.total >= HALF_AFTER {
            for count in &mut self.counts {
                *count *= 0.5;
            }
            self.total *= 0.5;
        }
    }

    /// Returns the value below which the share `q` (0 to 1) of the observations lies, or `None` before the first.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.total <= 0.0 {
            return None;
        }
        let mut rest = q.clamp(0.0, 1.0) * f64::from(self.total);
        for (bucket, &count) in self.counts.iter().enumerate() {
            let count = f64::from(count);
            if count > 0.0 && rest <= count {
                let position = bucket as f64 + rest / count;
                return Some((position / PER_OCTAVE + LOWEST_OCTAVE).exp2());
            }
            rest -= count;
        }
        Some(((BUCKETS as f64) / PER_OCTAVE + LOWEST_OCTAVE).exp2())
    }

    /// Returns how much the histogram holds; fades with the past, so it is a confidence, not a count.
    #[must_use]
    pub fn weight(&self) -> f32 {
        self.total
    }
}

impl Default for Quantiles {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds of backlog over which the drain rate remembers.
const DRAIN_MEMORY: f64 = 10.0;
/// Completions before a rate is worth believing.
const DRAIN_ENOUGH: f64 = 3.0;

/// How fast a model works off its queue, measured only while something waits.
///
/// A rate measured while slots idle would be the arrival rate, and would promise waits that are far too long.
#[derive(Debug, Clone, Default)]
pub struct DrainRate {
    work: f64,
    jobs: f64,
    busy: f64,
    last: Time,
    backlogged: bool,
}

impl DrainRate {
    /// Moves the measurement to `now`; `backlogged` says whether something waits from here on.
    pub fn advance(&mut self, now: Time, backlogged: bool) {
        if self.backlogged {
            let span = now.seconds_since(self.last);
            let keep = (-span / DRAIN_MEMORY).exp();
            self.work *= keep;
            self.jobs *= keep;
            // The time fades like what was done in it, so that the quotient stays a rate.
            self.busy = self.busy * keep + DRAIN_MEMORY * (1.0 - keep);
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
        (self.jobs >= DRAIN_ENOUGH && self.busy > 0.0).then(|| self.work / self.busy)
    }

    /// Returns jobs per second, or `None` while too little was seen.
    #[must_use]
    pub fn jobs_per_second(&self) -> Option<f64> {
        (self.jobs >= DRAIN_ENOUGH && self.busy > 0.0).then(|| self.jobs / self.busy)
    }
}

/// Seconds over which a [`Rate`] remembers.
const RATE_MEMORY: f64 = 10.0;

/// Events per second, over the last ten or so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    count: f64,
    since: Option<Time>,
    last: Time,
}

impl Rate {
    /// Counts one event.
    pub fn record(&mut self, now: Time) {
        self.count = self.faded(now) + 1.0;
        self.since.get_or_insert(now);
        self.last = now;
    }

    /// Returns the rate; a young one counts only the time it has seen, at least one second.
    #[must_use]
    pub fn per_second(&self, now: Time) -> f64 {
        let seen = self.since.map_or(0.0, |since| now.seconds_since(since)).max(1.0);
        // What fades is a sum over e^(−t/memory): its weight after `seen` seconds is memory · (1 − e^(−seen/memory)).
        self.faded(now) / (RATE_MEMORY * (1.0 - (-seen / RATE_MEMORY).exp()))
    }

    fn faded(&self, now: Time) -> f64 {
        self.count * (-now.seconds_since(self.last) / RATE_MEMORY).exp()
    }
}

/// A forecast in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Forecast {
    /// As likely to be longer as shorter.
    pub p50: f64,
    /// Longer once in ten.
    pub p90: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn quantiles_are_within_a_tenth() {
        let mut quantiles = Quantiles::new();
        assert_eq!(quantiles.quantile(0.5), None);
        for n in 1..=400 {
            quantiles.record(f64::from(n) / 100.0);
        }
        for (q, expected) in [(0.5, 2.0), (0.9, 3.6)] {
            let seen = quantiles.quantile(q).unwrap_or_default();
            assert!((seen / expected - 1.0).abs() < 0.1, "q {q}: {seen} beside {expected}");
        }
    }

    #[test]
    fn odd_values_neither_panic_nor_poison() {
        let mut quantiles = Quantiles::new();
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            quantiles.record(value);
        }
        assert!(quantiles.quantile(1.0).is_some_and(f64::is_finite));
    }

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
