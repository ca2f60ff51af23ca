//! A scenario of fairness as its file says it.

use std::path::Path;

use serde::Deserialize;

use super::client::Client;
use super::expect::Expect;
use crate::sim::error::ScenarioError;
use crate::sim::read::{self, Bad, Checked, LONGEST, MOST};
use crate::sim::steps::Steps;

/// Tenants, the slots that they share, and what each should get. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; a file's name without the ending.
    #[serde(skip)]
    pub name: String,
    /// How long it lasts.
    pub seconds: f64,
    /// How many requests are served at once, from a second on.
    pub slots: Steps,
    /// Cost units that a slot serves in a second; default 1.
    #[serde(default = "one")]
    pub speed: f64,
    /// Expected service time above which a job is long; default none.
    pub long: Option<f64>,
    /// Part of the reserved but unclaimed slots that long jobs may not take; default 0.25.
    pub unlendable: Option<f64>,
    /// The tenants' loads.
    pub client: Vec<Client>,
    /// Most in flight over the whole account; default no limit.
    pub account: Option<u32>,
    /// Whether the provider does not say what a job did cost, which is then taken to be as predicted; default no.
    #[serde(default)]
    pub silent: bool,
    /// Cancels every so many-th job so many seconds after it was submitted, wherever it is then; default none.
    pub cancel: Option<(usize, f64)>,
    /// The figures that are expected.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

fn one() -> f64 {
    1.0
}

impl Scenario {
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

    /// Returns every tenant's load by itself: a client of several copies is as many clients, each from its own start.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        self.client.iter().flat_map(Client::each).collect()
    }

    /// Returns how many requests are served at once at second `t`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked when it is read")]
    pub fn slots_at(&self, t: f64) -> u32 {
        self.slots.at(t) as u32
    }
}

impl Checked for Scenario {
    fn named(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    fn problem(&self) -> Option<Bad> {
        if self.client.is_empty() {
            return Some(Bad::new("client", "empty", "add a table [[client]]"));
        }
        let slots = self.slots.problem(0.0).map(|remedy| Bad::new("slots", format!("{:?}", self.slots), remedy));
        let (every, after) = self.cancel.unwrap_or((1, 0.0));
        slots
            .or_else(|| Bad::number("seconds", self.seconds, 1e-3, LONGEST))
            .or_else(|| Bad::number("slots", self.slots.most(), 1.0, MOST))
            .or_else(|| Bad::number("speed", self.speed, 1e-6, 1e9))
            .or_else(|| Bad::number("long", self.long.unwrap_or(1.0), 0.0, LONGEST))
            .or_else(|| Bad::number("unlendable", self.unlendable.unwrap_or(0.25), 0.0, 1.0))
            .or_else(|| Bad::number("account", self.account.map_or(1.0, f64::from), 1.0, MOST))
            .or_else(|| Bad::number("cancel[0]", every as f64, 1.0, MOST))
            .or_else(|| Bad::number("cancel[1]", after, 0.0, LONGEST))
            .or_else(|| {
                let mut clients = self.client.iter().enumerate();
                clients.find_map(|(index, client)| Some(client.problem()?.within(format_args!("client[{index}]"))))
            })
            .or_else(|| {
                let tenants: Vec<String> = self.clients().into_iter().map(|client| client.tenant).collect();
                let mut expected = self.expect.iter().enumerate();
                expected.find_map(|(n, expect)| Some(expect.problem(&tenants)?.within(format_args!("expect[{n}]"))))
            })
    }
}
