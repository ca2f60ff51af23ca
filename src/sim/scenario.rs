//! A scenario as its file says it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::error::ScenarioError;
use super::load::Load;
use super::measure::Measure;
use super::provider::ProviderSpec;
use super::read::{self, Bad, Checked, LONGEST};
use super::routes::{AccountSpec, RouteSpec};
use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

/// The most routes: a request remembers so many at which it has been.
const MOST_ROUTES: usize = 16;

/// A provider, what is asked of it, and what a controller should reach. Times are in seconds.
// fields: one for each key of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; a file's name without the ending.
    #[serde(skip)]
    pub name: String,
    /// The sentence that says what the scenario shows.
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
    /// The provider, where there is one route.
    #[serde(default)]
    pub provider: ProviderSpec,
    /// The routes, where there are several; each has a provider of its own.
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    /// The accounts that routes share, by name.
    #[serde(default)]
    pub accounts: BTreeMap<String, AccountSpec>,
    /// How long requests take.
    #[serde(default)]
    pub service: Service,
    /// The loads: one entry per tenant.
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
    /// The measures that fairflow should reach: the least and the most of each, as median over the seeds.
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

/// The window as an operator would set it; the defaults are those of [`WindowConfig`].
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
    /// Returns the window's config for the core.
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
    /// Returns the provider of each route.
    pub fn providers(&self) -> impl Iterator<Item = &ProviderSpec> {
        let one = self.routes.is_empty().then_some(&self.provider);
        one.into_iter().chain(self.routes.iter().map(|route| &route.provider))
    }

    /// Returns the position of the account of each route among `accounts`; `None` for one of its own.
    pub(super) fn account_of_each(&self) -> impl Iterator<Item = Option<usize>> {
        let one = self.routes.is_empty().then_some(None);
        let named = |name: &String| self.accounts.keys().position(|known| known == name);
        one.into_iter().chain(self.routes.iter().map(move |route| route.account.as_ref().and_then(named)))
    }

    /// Returns the sum of a figure over all providers, of those behind one account together at most the account's.
    pub fn sum(&self, of_provider: impl Fn(&ProviderSpec) -> f64, of_account: impl Fn(&AccountSpec) -> f64) -> f64 {
        let mut shared = vec![0.0; self.accounts.len()];
        let mut sum = 0.0;
        for (provider, account) in self.providers().zip(self.account_of_each()) {
            *account.and_then(|account| shared.get_mut(account)).unwrap_or(&mut sum) += of_provider(provider);
        }
        let limits = self.accounts.values().map(of_account);
        sum + shared.into_iter().zip(limits).map(|(figure, limit)| figure.min(limit)).sum::<f64>()
    }

    /// Returns how many requests are served well at once at second `t`, over all routes.
    #[must_use]
    pub fn capacity(&self, t: f64) -> f64 {
        self.sum(|provider| provider.capacity(t), |account| account.max_in_flight.map_or(f64::MAX, f64::from))
    }

    /// Reads a scenario from TOML.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Syntax`] for what is no scenario, [`ScenarioError::Value`] for a value out of range.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        read::parse(name, text)
    }

    /// Reads a scenario from a file, which gives it its name.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`ScenarioError::Unreadable`].
    pub fn open(path: &Path) -> Result<Self, ScenarioError> {
        read::open(path)
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Value`] for the first that is out of range.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        self.problem().map_or(Ok(()), |bad| Err(bad.of(&self.name)))
    }

    fn problem_of_numbers(&self) -> Option<Bad> {
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
        numbers.into_iter().find_map(|(field, value, least, most)| Bad::number(field, value, least, most))
    }

    fn problem_of_routes(&self) -> Option<Bad> {
        if self.routes.len() > MOST_ROUTES {
            return Some(Bad::new("routes", self.routes.len(), format!("give at most {MOST_ROUTES}")));
        }
        if !self.routes.is_empty() && self.provider != ProviderSpec::default() {
            let remedy = "move it into one of them as [routes.provider]";
            return Some(Bad::new("provider", "given beside [[routes]]", remedy));
        }
        let of_route = |(index, route): (usize, &RouteSpec)| {
            let unknown = || {
                let name = route.account.as_ref().filter(|name| !self.accounts.contains_key(*name))?;
                let remedy = format!("add a table [accounts.{name}], or name one that is there");
                Some(Bad::new("account", format!("{name:?}"), remedy))
            };
            let provider = route.provider.problem().map(|bad| bad.within("provider"));
            Some(provider.or_else(unknown)?.within(format_args!("routes[{index}]")))
        };
        let of_account = |(name, account): (&String, &AccountSpec)| {
            if self.routes.iter().any(|route| route.account.as_ref() == Some(name)) {
                return account.problem().map(|bad| bad.within(format_args!("accounts.{name}")));
            }
            let remedy = format!("say account = {name:?} at a route, or leave it out");
            Some(Bad::new(format!("accounts.{name}"), "used by no route", remedy))
        };
        self.routes.iter().enumerate().find_map(of_route).or_else(|| self.accounts.iter().find_map(of_account))
    }
}

impl Checked for Scenario {
    fn named(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    fn problem(&self) -> Option<Bad> {
        let none = self.load.is_empty().then(|| Bad::new("load", "empty", "add a table [[load]]"));
        self.problem_of_numbers()
            .or(none)
            .or_else(|| self.load.iter().find_map(Load::problem))
            .or_else(|| self.provider.problem().map(|bad| bad.within("provider")))
            .or_else(|| self.problem_of_routes())
    }
}
