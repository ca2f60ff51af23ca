//! `providers.*.rate`: what an account is known to allow.

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::core::pacer::{Budgets, Rates};

/// `rate = { … }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RateConfig {
    /// Requests per minute: paced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<f64>,
    /// Tokens per minute, read and written ones alike; of work that is not measured in tokens, units of cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<f64>,
    /// Requests per day: all at once while something is left, none when it is spent, until a day after the account was
    /// set up, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<f64>,
    /// Tokens per day, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<f64>,
}

impl RateConfig {
    /// Checks the numbers of the account at `path`.
    pub(super) fn checked(self, check: &mut Check, path: &str) -> (Rates, Budgets) {
        let mut rate = |key: &str, value| check.rate(&format!("{path}.rate.{key}"), value);
        let rates = Rates {
            requests_per_minute: rate("requests_per_minute", self.requests_per_minute),
            tokens_per_minute: rate("tokens_per_minute", self.tokens_per_minute),
        };
        let mut budget = |key: &str, value: Option<f64>| {
            let value = value?;
            if !(value.is_finite() && value >= 1.0) {
                let problem = format!("{value} is no budget; give a number per day of at least 1, or leave it out");
                check.problem(format!("{path}.rate.{key}"), problem);
            }
            Some(value)
        };
        let budgets = Budgets {
            requests_per_day: budget("requests_per_day", self.requests_per_day),
            tokens_per_day: budget("tokens_per_day", self.tokens_per_day),
        };
        (rates, budgets)
    }
}
