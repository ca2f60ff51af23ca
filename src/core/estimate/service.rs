//! How long a job keeps its slot.

/// Completions after which the past counts 1/e.
const MEMORY: f64 = 256.0;

/// Time that a slot spends per unit of cost and per job, from recent completions.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServicePace {
    seconds: f64,
    units: f64,
    jobs: f64,
}

impl ServicePace {
    /// Records a completed job.
    pub fn record(&mut self, seconds: f64, units: f64) {
        let keep = 1.0 - 1.0 / MEMORY;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_of_recent_completions() {
        let mut pace = ServicePace::default();
        assert_eq!((pace.expected(1.0), pace.mean()), (None, None));
        (0..10).for_each(|_| pace.record(2.0, 4.0));
        assert!((pace.expected(6.0).unwrap_or_default() - 3.0).abs() < 1e-9);
        (0..2_000).for_each(|_| pace.record(8.0, 4.0));
        assert!((pace.mean().unwrap_or_default() / 8.0 - 1.0).abs() < 0.01);
    }
}
