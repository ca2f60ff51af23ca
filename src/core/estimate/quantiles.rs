//! A histogram that forgets, for quantiles of what was seen lately.

/// Buckets per doubling: neighbouring buckets differ by 19 %, and interpolation halves the error again.
const PER_OCTAVE: f64 = 4.0;
/// Binary logarithm of the smallest value told apart: 2⁻¹⁴ is 61 µs, where values are seconds.
const LOWEST_OCTAVE: f64 = -14.0;
/// Buckets of a histogram: 34 octaves.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
