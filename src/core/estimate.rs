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

/// How many times as far as it was measured a drain rate reaches, while it was measured for less than its memory.
const DRAIN_REACH: f64 = 8.0;

/// Seconds after which the past is faded: often enough for the memory, seldom enough to cost nothing per job.
const DRAIN_STEP: f64 = 0.01;

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
            if self.fresh >= DRAIN_STEP {
                let keep = (-self.fresh / DRAIN_MEMORY).exp();
                self.work *= keep;
                self.jobs *= keep;
                // The time fades like what was done in it, so that the quotient stays a rate.
                self.busy = self.busy * keep + DRAIN_MEMORY * (1.0 - keep);
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
        let seen = ((self.busy + self.fresh) / DRAIN_MEMORY).min(1.0);
        DRAIN_REACH * DRAIN_MEMORY * seen / (1.0 - seen)
    }

    fn per_second(&self, amount: f64) -> Option<f64> {
        let busy = self.busy + self.fresh;
        (self.jobs >= DRAIN_ENOUGH && busy > 0.0).then(|| amount / busy)
    }
}

/// One quantile of a stream, followed by stochastic approximation (Robbins and Monro, 1951): no histogram, O(1), and
/// whatever the distribution, in the long run the share of values below it is the one asked for.
#[derive(Debug, Clone, Copy)]
pub struct Follower {
    share: f64,
    value: f64,
    step: f64,
}

impl Follower {
    const FIRST_STEP: f64 = 0.3;
    const LAST_STEP: f64 = 0.004;

    /// Builds one that follows the quantile `share` (0 to 1) and believes `start`, a positive number, at first.
    #[must_use]
    pub fn new(share: f64, start: f64) -> Self {
        Self { share, value: start, step: Self::FIRST_STEP }
    }

    /// Records a value; what is not a positive number is ignored.
    pub fn record(&mut self, value: f64) {
        if value > 0.0 && value.is_finite() {
            let below = f64::from(value < self.value);
            // By a factor: what is followed is a ratio.
            self.value = (self.value * (1.0 + self.step * (self.share - below))).clamp(1e-3, 1e3);
            self.step = (self.step * 0.98).max(Self::LAST_STEP);
        }
    }

    /// Returns the quantile.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }
}

/// Time that a slot spends per unit of cost and per job, from what completed of late.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServicePace {
    seconds: f64,
    units: f64,
    jobs: f64,
}

impl ServicePace {
    /// Completions after which the past counts 1/e.
    const MEMORY: f64 = 256.0;

    /// Records a completed job.
    pub fn record(&mut self, seconds: f64, units: f64) {
        let keep = 1.0 - 1.0 / Self::MEMORY;
        self.seconds = self.seconds * keep + seconds;
        self.units = self.units * keep + units;
        self.jobs = self.jobs * keep + 1.0;
    }

    /// Returns the seconds that a job of `units` is expected to take, or `None` before the first completion.
    #[must_use]
    pub fn expected(&self, units: f64) -> Option<f64> {
        (self.units > 0.0).then(|| self.seconds / self.units * units)
    }

    /// Returns the mean seconds of a job, or `None` before the first completion.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.jobs > 0.0).then(|| self.seconds / self.jobs)
    }

    /// Returns the units that completed jobs would have made in the time by which a job of `units` held its slot for
    /// longer than it was expected to, and than the mean job does; 0 before the first completion.
    #[must_use]
    pub fn overstayed(&self, seconds: f64, units: f64) -> f64 {
        let (Some(mean), Some(expected)) = (self.mean(), self.expected(units)) else { return 0.0 };
        let late = (seconds - mean.max(expected)).max(0.0);
        if self.seconds > 0.0 { late * self.units / self.seconds } else { 0.0 }
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
    fn a_follower_settles_where_its_share_lies_below() {
        let mut follower = Follower::new(0.9, 2.0);
        let mut below = 0;
        for n in 0..20_000u32 {
            // A permutation of 1 … 1,000, again and again.
            let value = f64::from(n * 619 % 1_000 + 1) / 100.0;
            below += u32::from(n >= 1_000 && value < follower.value());
            follower.record(value);
        }
        let share = f64::from(below) / 19_000.0;
        assert!((share - 0.9).abs() < 0.01, "{share}");
        follower.record(f64::NAN);
        follower.record(-1.0);
        assert!(follower.value().is_finite());
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
