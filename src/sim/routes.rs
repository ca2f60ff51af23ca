//! Routes and accounts as a scenario's file says them.

use serde::Deserialize;

use super::bucket::RateSpec;
use super::provider::ProviderSpec;
use super::read::Bad;
use crate::core::account::AccountConfig;

/// A route of the model: a provider of its own, and perhaps an account that it shares.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSpec {
    /// The provider that it leads to.
    pub provider: ProviderSpec,
    /// The name of its account, one of `[accounts]`; default one of its own without limits.
    pub account: Option<String>,
}

/// The limits that routes share. The simulated providers keep to them, and fairflow is told of them, as by an operator.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSpec {
    /// Requests in flight over all its routes; more are refused with a 429 of concurrency. Default no limit.
    pub max_in_flight: Option<u32>,
    /// A rate bucket of all its routes; default none.
    pub rate: Option<RateSpec>,
}

impl AccountSpec {
    /// Returns the limits as fairflow's operator would set them.
    pub(super) fn config(&self) -> AccountConfig {
        let rates = self.rate.as_ref().map(RateSpec::rates).unwrap_or_default();
        AccountConfig { max_in_flight: self.max_in_flight, rates, ..AccountConfig::default() }
    }

    /// Returns the first value that is out of range.
    pub(super) fn problem(&self) -> Option<Bad> {
        let most = self.max_in_flight.map_or(1.0, f64::from);
        Bad::number("max_in_flight", most, 1.0, 1e9).or_else(|| self.rate.as_ref()?.problem())
    }
}
