//! Files of scenarios, of either form.

use std::path::Path;

use super::error::ScenarioError;
use super::fairness;
use super::read::{name_of, text_of};
use super::scenario::Scenario;

/// A scenario from a file, of the form that the file has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ScenarioFile {
    /// A scenario of controllers.
    Controller(Box<Scenario>),
    /// A scenario of fairness, which has `[[client]]`s.
    Fairness(Box<fairness::Scenario>),
}

impl ScenarioFile {
    /// Reads a file, which gives the scenario its name.
    ///
    /// # Errors
    ///
    /// [`ScenarioError::Unreadable`] and what [`Scenario::parse`] says.
    pub fn open(path: &Path) -> Result<Self, ScenarioError> {
        let (name, text) = (name_of(path), text_of(path)?);
        let table: toml::Table = toml::from_str(&text).unwrap_or_default();
        if table.contains_key("client") {
            return fairness::Scenario::parse(&name, &text).map(|scenario| Self::Fairness(Box::new(scenario)));
        }
        Scenario::parse(&name, &text).map(|scenario| Self::Controller(Box::new(scenario)))
    }
}
