//! The real cost of a tenant's requests, learned from expected and actual costs.
//!
//! Error of prediction drives unfairness more than the algorithm does, and most of it is bias: a tenant that always
//! asks for long answers, a model that is cheaper than its price list. So per (tenant, model) the ratio of actual to
//! expected cost is learned. A tenant of which little is known is drawn to the ratio of its model, and a model of which
//! little is known to one. The caller holds a [`Ratio`] per model and one per (tenant, model), 8 bytes each.

use super::cost::Cost;

/// Weight, in requests, of the ratio of the level above: after as many requests of its own, a tenant's own ratio counts half.
const PRIOR: f32 = 2.0;
/// Requests after which the past counts 1/e: soon enough to follow a tenant that changes its habits.
const MEMORY: f32 = 32.0;
/// Largest factor by which a prediction is corrected, either way: beyond that the expectation is of another unit.
const MOST: f32 = 100.0;

/// A learned ratio of actual to expected cost.
///
/// The ratio is of sums, not a mean of ratios: what has to be right is the total charged.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ratio {
    /// Sum over the past, fading, of actual ÷ expected, weighted by relative size.
    sum: f32,
    weight: f32,
}

impl Ratio {
    /// Records what a request that was expected to cost `expected` did cost, where requests of the model cost `typical`
    /// on average: a larger one says more.
    pub fn record(&mut self, expected: Cost, actual: Cost, typical: f32) {
        let keep = 1.0 - 1.0 / MEMORY;
        let size = (expected.units() as f32 / typical.max(1.0)).clamp(0.01, MOST);
        let ratio = (actual.units() as f32 / expected.units() as f32).clamp(1.0 / MOST, MOST);
        self.sum = self.sum * keep + ratio * size;
        self.weight = self.weight * keep + size;
    }

    /// Returns the ratio, drawn to `above` (that of the model; 1 for a model) while little is known.
    #[must_use]
    pub fn value(&self, above: f32) -> f32 {
        ((self.sum + PRIOR * above) / (self.weight + PRIOR)).clamp(1.0 / MOST, MOST)
    }

    /// Corrects an expected cost.
    #[must_use]
    pub fn correct(&self, expected: Cost, above: f32) -> Cost {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and Cost clamps")]
        Cost::new((f64::from(expected.units()) * f64::from(self.value(above))).round() as u64)
    }
}

/// The learned costs of a model: its ratio, and how large its requests are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ModelCosts {
    ratio: Ratio,
    typical: f32,
}

impl ModelCosts {
    /// Predicts the cost of a tenant's request from what was expected of it.
    #[must_use]
    pub fn predict(&self, tenant: &Ratio, expected: Cost) -> Cost {
        tenant.correct(expected, self.ratio.value(1.0))
    }

    /// Records what a request of a tenant did cost. `expected` is the cost before any correction.
    pub fn record(&mut self, tenant: &mut Ratio, expected: Cost, actual: Cost) {
        let units = expected.units() as f32;
        if self.typical == 0.0 {
            self.typical = units;
        }
        self.typical += (units - self.typical) / MEMORY;
        self.ratio.record(expected, actual, self.typical);
        tenant.record(expected, actual, self.typical);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_drawn_to_its_model_until_it_is_known() {
        let (mut model, mut known) = (ModelCosts::default(), Ratio::default());
        let fresh = Ratio::default();
        assert_eq!(model.predict(&fresh, Cost::new(100)), Cost::new(100), "nothing is known");
        for _ in 0..200 {
            model.record(&mut known, Cost::new(100), Cost::new(300));
        }
        let seen = |tenant: &Ratio| model.predict(tenant, Cost::new(1_000)).units();
        assert!((2_900..=3_000).contains(&seen(&known)), "{}", seen(&known));
        assert!((2_700..=3_000).contains(&seen(&fresh)), "{}", seen(&fresh));
        let mut other = Ratio::default();
        for _ in 0..8 {
            other.record(Cost::new(100), Cost::new(50), 100.0);
        }
        assert!(seen(&other) < 1_100, "its own past outweighs the model's: {}", seen(&other));
    }

    #[test]
    fn the_worst_inputs_stay_in_range() {
        let (mut model, mut tenant) = (ModelCosts::default(), Ratio::default());
        for (expected, actual) in [(1, u64::MAX), (u64::MAX, 1), (1, 1), (0, 0)] {
            model.record(&mut tenant, Cost::new(expected), Cost::new(actual));
            let value = tenant.value(model.ratio.value(1.0));
            assert!(value.is_finite() && (0.01..=100.0).contains(&value), "{value}");
        }
    }

    #[test]
    fn a_change_of_habit_is_followed() {
        let mut ratio = Ratio::default();
        (0..500).for_each(|_| ratio.record(Cost::new(10), Cost::new(10), 10.0));
        (0..100).for_each(|_| ratio.record(Cost::new(10), Cost::new(40), 10.0));
        assert!((ratio.value(1.0) / 4.0 - 1.0).abs() < 0.1, "{}", ratio.value(1.0));
    }
}
