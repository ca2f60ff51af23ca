//! A recorded trace as the load of scenarios.

use std::path::Path;
use std::time::Duration;

use super::super::replay::trace::{self, Size, TraceError};
use crate::sim::{Arrival, Load, RateSpec, Scenario};

/// Prompts cost less than what is generated: so many tokens of a prompt count as one of the answer.
const PROMPT_TOKENS: f64 = 16.0;

/// Replaces the load of each scenario by the arrivals of a trace.
///
/// The trace keeps its order, its tenants and the shape of its bursts; its time is stretched or compressed so that it
/// asks on average for `load` times what the provider can serve, and sizes are relative to their mean.
///
/// # Errors
///
/// When the trace cannot be loaded.
pub(super) fn apply(scenarios: &mut [Scenario], path: &Path, load: f64, seed: u64) -> Result<(), TraceError> {
    let trace = trace::load(path, &trace::Options { seed, ..trace::Options::default() })?;
    let works: Vec<f64> = trace.arrivals.iter().map(|arrival| work(arrival.size)).collect();
    let mean = works.iter().sum::<f64>() / works.len().max(1) as f64;
    let span = trace.arrivals.last().map_or(0.0, |last| last.at.as_secs_f64()).max(1e-3);
    for scenario in scenarios {
        let wanted = works.len() as f64 / (load * capacity(scenario));
        scenario.seconds = scenario.seconds.min(wanted);
        let factor = wanted / span;
        let arrivals = trace.arrivals.iter().zip(&works).map(|(arrival, work)| Arrival {
            at: Duration::from_secs_f64(arrival.at.as_secs_f64() * factor),
            tenant: arrival.tenant.clone(),
            size: (work / mean).clamp(0.01, 100.0),
        });
        let end = Duration::from_secs_f64(scenario.seconds);
        scenario.load = vec![Load::Arrivals(arrivals.take_while(|arrival| arrival.at <= end).collect())];
        scenario.service.sizes = 1;
        // What a synthetic load reaches says nothing of this one.
        scenario.expect.clear();
        scenario.about = format!("{} Arrivals of {}, {load} times the capacity.", scenario.about, trace.name);
    }
    Ok(())
}

/// Requests of mean size per second that the provider of a scenario serves at its best.
fn capacity(scenario: &Scenario) -> f64 {
    let mean = scenario.service.median * (scenario.service.sigma.powi(2) / 2.0).exp();
    let least = |slots: f64, rate: Option<&RateSpec>| {
        let slots = slots / mean;
        rate.map_or(slots, |rate| slots.min(rate.per_minute / 60.0))
    };
    scenario.sum(
        |provider| least(provider.cap.most().min(provider.servers.most()), provider.rate.as_ref()),
        |account| least(account.max_in_flight.map_or(f64::MAX, f64::from), account.rate.as_ref()),
    )
}

fn work(size: Size) -> f64 {
    match size {
        Size::Image { images, steps, .. } => f64::from(images) * f64::from(steps),
        Size::Text { input_tokens, output_tokens } => {
            f64::from(output_tokens) + f64::from(input_tokens) / PROMPT_TOKENS
        }
    }
}
