//! A quantile, followed without a histogram.

/// A quantile of a stream, followed by stochastic approximation (Robbins and Monro, 1951): no histogram, O(1), and
/// whatever the distribution, in the long run the share of values below it is the one asked for.
#[derive(Debug, Clone, Copy)]
pub struct Follower {
    share: f64,
    value: f64,
    step: f64,
}

impl Follower {
    /// Relative step of the first value: large, to find the quantile soon.
    const FIRST_STEP: f64 = 0.3;
    /// Relative step in the long run: small, so that the quantile keeps still.
    const LAST_STEP: f64 = 0.004;

    /// Builds a follower of the quantile `share` (0 to 1) that believes `start`, a positive number, at first.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
