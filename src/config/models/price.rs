//! `price = { … }`: what an answer costs where its provider does not say.

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::core::ledger::Money;

/// `price = { … }` of a model: what an answer costs where its provider does not say. In US dollars, each 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct PriceConfig {
    /// Per answer; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<f64>,
    /// Per million tokens read; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<f64>,
    /// Per million tokens written; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<f64>,
}

/// Price of an answer, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Price {
    /// Per answer.
    pub request: f64,
    /// Per token read.
    pub input: f64,
    /// Per token written.
    pub output: f64,
}

impl Price {
    /// Returns what an answer costs; `None` where that depends on tokens nobody told of.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no answer has that many tokens")]
    pub fn of(&self, input: Option<u64>, output: Option<u64>) -> Option<Money> {
        let part = |price: f64, tokens: Option<u64>| match tokens {
            Some(tokens) => Some(price * tokens as f64),
            None => (price == 0.0).then_some(0.0),
        };
        Some(Money::from_dollars(self.request + part(self.input, input)? + part(self.output, output)?))
    }

    /// Returns the dollars that an answer is likely to cost, of which the tokens may be known in part; `None` where the
    /// price says nothing without them.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no answer has that many tokens")]
    pub fn estimate(&self, input: Option<u64>, output: Option<u64>) -> Option<f64> {
        let part = |price: f64, tokens: Option<u64>| price * tokens.unwrap_or(0) as f64;
        let missing = |price: f64, tokens: Option<u64>| price > 0.0 && tokens.is_none();
        let known = self.request + part(self.input, input) + part(self.output, output);
        let is_blind = missing(self.input, input) || missing(self.output, output);
        (known > 0.0 || !is_blind).then_some(known)
    }
}

/// Reads what an answer of a model costs.
pub(super) fn read(check: &mut Check, path: &str, raw: &PriceConfig) -> Price {
    let mut part = |key: &str, dollars: Option<f64>| {
        let dollars = dollars.unwrap_or_default();
        if !(0.0..=1e9).contains(&dollars) {
            check.problem(format!("{path}.{key}"), format!("{dollars} is no price; give US dollars, 0 or more"));
        }
        dollars
    };
    Price {
        request: part("request", raw.request),
        input: part("input_per_million", raw.input_per_million) / 1e6,
        output: part("output_per_million", raw.output_per_million) / 1e6,
    }
}
