//! A scenario as its file says it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::error::ScenarioError;
use super::load::Load;
use super::measure::Measure;
use super::provider::ProviderSpec;
use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

/// The longest scenario, in simulated seconds: a month.
const LONGEST: f64 = 2_678_400.0;

/// A provider, what is asked of it, and what a controller should reach. Times are in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; a file's name without the ending.
    #[serde(skip)]
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// How long it lasts; default one hour.
    #[serde(default = "hour")]
    pub seconds: f64,
    /// Dispatchers that use the provider without knowing of each other; default 1.
    #[serde(default = "one")]
    pub replicas: u32,
    /// Each replica starts this long after the one before it; default 0.
    #[serde(default)]
    pub stagger: f64,
    /// Starts with this window, learned earlier, rather than cold.
    pub remembered: Option<u32>,
    /// The provider.
    #[serde(default)]
    pub provider: ProviderSpec,
    /// How long requests take.
    #[serde(default)]
    pub service: Service,
    /// Who asks: one entry per tenant.
    pub load: Vec<Load>,
    /// Longest wait in the queue; default no limit.
    pub max_wait: Option<f64>,
    /// Timeout of one attempt; default none.
    pub timeout: Option<f64>,
    /// Bounds of fairflow's window.
    #[serde(default)]
    pub window: WindowSpec,
    /// When a failed attempt is tried again, whatever the controller.
    #[serde(default)]
    pub retry: Retry,
    /// What fairflow should reach: the least and the most of each measure, as median over the seeds.
    #[serde(default)]
    pub expect: BTreeMap<Measure, (f64, f64)>,
}

/// How long requests take on an idle provider: lognormal, in proportion to their size.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Median for a request of size 1, in seconds; default 10.
    pub median: f64,
    /// Standard deviation of the logarithm; default 0.8.
    pub sigma: f64,
    /// Sizes are uniform in 1 to this; default 1.
    pub sizes: u32,
    /// Whether the controller is told the size, as a predicted cost; default yes.
    pub known: bool,
}

impl Default for Service {
    fn default() -> Self {
        Self { median: 10.0, sigma: 0.8, sizes: 1, known: true }
    }
}

impl Service {
    /// Mean service time, in seconds: a round trip.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.median * (self.sigma * self.sigma / 2.0).exp() * (f64::from(self.sizes) + 1.0) / 2.0
    }
}

/// What an operator would set about the window; the defaults are those of [`WindowConfig`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowSpec {
    /// See [`WindowConfig::initial`].
    pub initial: u32,
    /// See [`WindowConfig::min`].
    pub min: u32,
    /// See [`WindowConfig::max`].
    pub max: u32,
    /// See [`WindowConfig::ramp`].
    pub ramp: u32,
    /// See [`WindowConfig::refusals_free`].
    pub refusals_free: bool,
    /// See [`WindowConfig::latency_target`], in seconds.
    pub latency_target: Option<f64>,
}

impl Default for WindowSpec {
    fn default() -> Self {
        let WindowConfig { initial, min, max, ramp, refusals_free, latency_target } = WindowConfig::default();
        let latency_target = latency_target.map(|target| target.as_secs_f64());
        Self { initial, min, max, ramp, refusals_free, latency_target }
    }
}

impl WindowSpec {
    /// The same for the core.
    #[must_use]
    pub fn config(&self) -> WindowConfig {
        let Self { initial, min, max, ramp, refusals_free, latency_target } = *self;
        let latency_target = latency_target.map(Duration::from_secs_f64);
        WindowConfig { initial, min, max, ramp, refusals_free, latency_target }
    }
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Attempts of one job at most; default 4.
    pub attempts: u32,
    /// Upper end of the first backoff, in seconds; default 1.
    pub base: f64,
    /// Upper end of any backoff, in seconds; default 30.
    pub max: f64,
    /// Retries per request that fairflow's budget allows; default 0.2.
    pub budget: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, base: 1.0, max: 30.0, budget: 0.2 }
    }
}

impl Retry {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff { base: Duration::from_secs_f64(self.base), max: Duration::from_secs_f64(self.max) }
    }
}

fn hour() -> f64 {
    3600.0
}

fn one() -> u32 {
    1
}

impl Scenario {
    /// Reads a scenario from TOML.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Syntax`] for what is no scenario, [`ScenarioError::Value`] for a value out of range.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let (read, problems) = crate::config::read::<Self>(text, None);
        let Some(mut scenario) = read.filter(|_| problems.is_empty()) else {
            let problem = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            return Err(ScenarioError::Syntax { name: name.to_owned(), problem });
        };
        name.clone_into(&mut scenario.name);
        scenario.validate()?;
        Ok(scenario)
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Value`] for the first that is out of range.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        let error = |field, value: String, remedy: String| {
            Err(ScenarioError::Value { name: self.name.clone(), field, value, remedy })
        };
        let Self { service, window, retry, .. } = self;
        let numbers = [
            ("seconds", self.seconds, 1e-3, LONGEST),
            ("stagger", self.stagger, 0.0, self.seconds),
            ("max_wait", self.max_wait.unwrap_or(1.0), 1e-3, LONGEST),
            ("timeout", self.timeout.unwrap_or(1.0), 1e-3, LONGEST),
            ("replicas", f64::from(self.replicas), 1.0, 1000.0),
            ("service.median", service.median, 1e-4, 1e5),
            ("service.sigma", service.sigma, 0.0, 3.0),
            ("service.sizes", f64::from(service.sizes), 1.0, 1e6),
            ("window.min", f64::from(window.min), 1.0, 1e6),
            ("window.initial", f64::from(window.initial), f64::from(window.min), f64::from(window.max)),
            ("window.max", f64::from(window.max), f64::from(window.min), 1e6),
            ("window.ramp", f64::from(window.ramp), 1.0, 8.0),
            ("window.latency_target", window.latency_target.unwrap_or(1.0), 1e-3, 86_400.0),
            ("retry.attempts", f64::from(retry.attempts), 1.0, 1e6),
            ("retry.base", retry.base, 1e-3, 3600.0),
            ("retry.max", retry.max, retry.base, 86_400.0),
            ("retry.budget", retry.budget, 0.0, 1.0),
        ];
        for (field, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                return error(field, value.to_string(), format!("give a number from {least} to {most}"));
            }
        }
        if self.load.is_empty() {
            return error("load", "empty".to_owned(), "add a table [[load]]".to_owned());
        }
        if let Some((field, value, remedy)) =
            self.load.iter().find_map(Load::problem).or_else(|| self.provider.problem())
        {
            return error(field, value, remedy);
        }
        Ok(())
    }
}
