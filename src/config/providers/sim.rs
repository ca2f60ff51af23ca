//! `sim = { … }`: how the simulated provider behaves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::check::Check;
use crate::config::units::Span;

/// How the simulated provider behaves: `sim = { … }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SimConfig {
    /// Requests served at once; default 24.
    pub capacity: u32,
    /// Requests that may wait at the provider beyond that; default 0, so that one too many is a 429.
    pub queue: u32,
    /// Median service time of a request of cost `unit_cost`; default 400ms.
    pub service: Span,
    /// Sigma of the lognormal service time; default 0.5, 0 for none.
    pub sigma: f64,
    /// Cost that takes one `service`; 0, the default, when size does not matter.
    pub unit_cost: u32,
    /// Requests per minute before a rate 429; default no limit.
    pub requests_per_minute: Option<f64>,
    /// Sends `x-ratelimit-*` headers with the rate; default true.
    pub headers: bool,
    /// `retry-after` of its refusals; default none.
    pub retry_after: Option<Span>,
    /// Time after the start from which each request is answered 503 for `outage_for`; default no outage.
    pub outage_after: Option<Span>,
    /// How long the outage of `outage_after` lasts; default no outage.
    pub outage_for: Option<Span>,
    /// Share of requests that never answer, 0 to 1; default 0.
    pub hang: f64,
    /// Seed of its randomness; default 1.
    pub seed: u64,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            capacity: 24,
            queue: 0,
            service: Span(Duration::from_millis(400)),
            sigma: 0.5,
            unit_cost: 0,
            requests_per_minute: None,
            headers: true,
            retry_after: None,
            outage_after: None,
            outage_for: None,
            hang: 0.0,
            seed: 1,
        }
    }
}

pub(super) fn check(check: &mut Check, path: &str, sim: &SimConfig) {
    check.count(&format!("{path}.capacity"), Some(sim.capacity), 1);
    check.rate(&format!("{path}.requests_per_minute"), sim.requests_per_minute);
    check.fraction(&format!("{path}.hang"), sim.hang);
    let spans = [("service", Some(sim.service)), ("retry_after", sim.retry_after), ("outage_after", sim.outage_after)];
    for (key, span) in spans.into_iter().chain([("outage_for", sim.outage_for)]) {
        span.map(|span| check.wait(&format!("{path}.{key}"), span));
    }
    if !(0.0..=3.0).contains(&sim.sigma) {
        check.problem(format!("{path}.sigma"), format!("{} is out of range; give a number from 0 to 3", sim.sigma));
    }
}
