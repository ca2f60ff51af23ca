//! The built-in scenarios.

use super::error::ScenarioError;
use super::scenario::Scenario;

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        /// Name and text of each, in the order of the table of targets.
        const SCENARIOS: &[(&str, &str)] = &[$(($name, include_str!(concat!("scenarios/", $name, ".toml")))),*];
    };
}

scenarios![
    "cap-24",
    "cap-200",
    "cap-steps",
    "cap-steps-free",
    "cap-replicas",
    "cap-latecomers",
    "rate-headers",
    "rate-bare",
    "quota-day",
    "rate-wordless",
    "rate-wordless-bursts",
    "rate-wordless-cap",
    "cap-wordless",
    "queue-16",
    "cold-24",
    "remembered-24",
    "crash",
    "retry-after",
    "outage",
    "hang",
    "knee",
    "batch",
    "competitors",
    "sizes-unknown",
    "slowdown",
    "one-slot",
    "warmup",
    "slow-refusals",
    "lag",
    "overtaking",
    "noisy-tenant",
    "target-sharing",
    "target-batch",
    "target-queue",
    "target-below",
    "busy-cap",
    "busy-queue",
    "busy-rate",
    "weather-24",
    "weather-200",
    "weather-bad",
    "weather-even",
    "cold-failures",
    "cold-failures-200",
    "cap-503",
    "cap-503-steps",
    "blackout",
    "hang-part",
    "hang-part-kept",
    "late-refusals",
    "silent-drops",
    "drift",
    "two-workers",
    "even-7",
    "wide-crash",
    "fast-failing-route",
    "route-returns",
    "account-cap",
    "suspended-route",
];

/// The names of all.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENARIOS.iter().map(|(name, _)| *name)
}

/// All of them.
///
/// # Errors
///
/// None in a released version: a test reads every file.
pub fn all() -> Result<Vec<Scenario>, ScenarioError> {
    SCENARIOS.iter().map(|(name, text)| Scenario::parse(name, text)).collect()
}

/// The scenario of that name.
///
/// # Errors
///
/// [`ScenarioError::Unknown`], with the nearest known name.
pub fn find(name: &str) -> Result<Scenario, ScenarioError> {
    match SCENARIOS.iter().find(|(known, _)| *known == name) {
        Some((name, text)) => Scenario::parse(name, text),
        None => Err(ScenarioError::Unknown { name: name.to_owned(), nearest: crate::wording::nearest(name, names()) }),
    }
}
