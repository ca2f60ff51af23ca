//! Events per second.

use super::fading::FadingSum;
use crate::core::time::Time;

/// Seconds over which a [`Rate`] remembers.
const MEMORY: f64 = 10.0;

/// Events per second, over the last ten or so.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    count: FadingSum,
    since: Option<Time>,
}

impl Rate {
    /// Builds a rate that has seen no event.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: FadingSum::new(MEMORY), since: None }
    }

    /// Counts one event.
    pub fn record(&mut self, now: Time) {
        self.count.add(now, 1.0);
        self.since.get_or_insert(now);
    }

    /// Returns the rate; a young one counts only the time it has seen, at least one second.
    #[must_use]
    pub fn per_second(&self, now: Time) -> f64 {
        let seen = self.since.map_or(0.0, |since| now.seconds_since(since)).max(1.0);
        // The integral of e^(−t/memory) over the `seen` seconds.
        let weight = MEMORY * (1.0 - super::fading::kept(seen, MEMORY));
        self.count.at(now) / weight
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_rate_counts_the_time_it_has_seen() {
        let mut rate = Rate::new();
        assert_eq!(rate.per_second(Time::from_millis(500)), 0.0);
        (0..20).for_each(|n| rate.record(Time::from_millis(n * 100)));
        let seen = rate.per_second(Time::from_millis(2_000));
        assert!((seen / 10.0 - 1.0).abs() < 0.1, "{seen}");
        assert!(rate.per_second(Time::from_millis(60_000)) < 0.1, "what ended is forgotten");
    }
}
