//! How many tokens a request uses per unit of its cost.
//!
//! A text costs its tokens, those written counted twice, since they take the provider's time. A limit on tokens counts
//! each once. So a pacer is told tokens: predicted from the cost by what earlier answers used, and corrected at the end.

use crate::core::estimate::Ewma;

/// Weight of the newest answer in the learned ratio.
const GAIN: f64 = 1.0 / 16.0;
/// Highest ratio of tokens to cost units that is believed; the lowest is its inverse.
const HIGHEST_RATIO: f64 = 1_000.0;

/// Weight of the newest request in [`MeanTokens`].
const MEAN_GAIN: f64 = 0.05;

/// Mean tokens of a request, over the last twenty or so; one until a request was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanTokens(Ewma);

impl MeanTokens {
    /// Notes that a request of `tokens` is sent.
    pub fn note(&mut self, tokens: f64) {
        self.0.add(tokens);
    }

    /// Returns the mean.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0.value()
    }
}

impl Default for MeanTokens {
    fn default() -> Self {
        Self(Ewma::new(1.0, MEAN_GAIN))
    }
}

/// Learned tokens per unit of cost; one until an answer told both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenShare {
    per_unit: Option<Ewma>,
}

impl TokenShare {
    /// Begins without knowing anything.
    #[must_use]
    pub const fn new() -> Self {
        Self { per_unit: None }
    }

    /// Predicts the tokens of a request that costs `units`.
    #[must_use]
    pub fn tokens(self, units: f64) -> f64 {
        units * self.per_unit.map_or(1.0, |ratio| ratio.value())
    }

    /// Learns that a request that cost `units` used `tokens`.
    pub fn learn(&mut self, units: f64, tokens: f64) {
        let ratio = (tokens / units).clamp(1.0 / HIGHEST_RATIO, HIGHEST_RATIO);
        if ratio.is_finite() {
            self.per_unit.get_or_insert(Ewma::new(ratio, GAIN)).add(ratio);
        }
    }
}

impl Default for TokenShare {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_a_token_until_an_answer_tells_otherwise() {
        let mut share = TokenShare::new();
        assert_eq!(share.tokens(990.0), 990.0);
        share.learn(990.0, 500.0);
        assert!((share.tokens(990.0) - 500.0).abs() < 1e-9);
        for (units, tokens) in [(0.0, 5.0), (f64::NAN, 1.0), (0.0, 0.0), (1.0, f64::INFINITY)] {
            share.learn(units, tokens);
            assert!(share.tokens(1.0).is_finite() && share.tokens(1.0) > 0.0, "{units} {tokens}");
        }
    }
}
