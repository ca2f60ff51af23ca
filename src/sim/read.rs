//! The one reader of scenarios, of either form.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::ScenarioError;

/// The longest scenario, in simulated seconds: a month.
pub(super) const LONGEST: f64 = 2_678_400.0;
/// The most of anything that is counted, such as slots, tenants or requests per second.
pub(super) const MOST: f64 = 1e6;

/// The values of a scenario, which are to be checked.
pub(super) trait Checked: DeserializeOwned {
    /// Takes the scenario's name.
    fn named(&mut self, name: &str);

    /// Returns the first value that is out of range.
    fn problem(&self) -> Option<Bad>;
}

/// A value that is out of range.
#[derive(Debug)]
pub(super) struct Bad {
    field: String,
    value: String,
    remedy: String,
}

impl Bad {
    pub(super) fn new(field: impl Into<String>, value: impl ToString, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.to_string(), remedy: remedy.into() }
    }

    /// Returns the problem of a number that is not within bounds.
    pub(super) fn number(field: impl Into<String>, value: f64, least: f64, most: f64) -> Option<Self> {
        let bad = !(least..=most).contains(&value);
        bad.then(|| Self::new(field, value, format!("give a number from {least} to {most}")))
    }

    /// Names the table that the field is in.
    pub(super) fn within(self, table: impl std::fmt::Display) -> Self {
        Self { field: format!("{table}.{}", self.field), ..self }
    }

    pub(super) fn of(self, name: &str) -> ScenarioError {
        let Self { field, value, remedy } = self;
        ScenarioError::Value { name: name.to_owned(), field, value, remedy }
    }
}

/// Reads a scenario from TOML and checks every value.
///
/// # Errors
///
/// [`ScenarioError::Syntax`] for what is no scenario, [`ScenarioError::Value`] for a value out of range.
pub(super) fn parse<T: Checked>(name: &str, text: &str) -> Result<T, ScenarioError> {
    let (read, problems) = crate::config::read::<T>(text, None);
    let Some(mut scenario) = read.filter(|_| problems.is_empty()) else {
        let problem = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        return Err(ScenarioError::Syntax { name: name.to_owned(), problem });
    };
    scenario.named(name);
    match scenario.problem() {
        None => Ok(scenario),
        Some(bad) => Err(bad.of(name)),
    }
}

/// Reads a scenario from a file, which gives it its name.
///
/// # Errors
///
/// [`ScenarioError::Unreadable`] as well.
pub(super) fn open<T: Checked>(path: &Path) -> Result<T, ScenarioError> {
    parse(&name_of(path), &text_of(path)?)
}

/// Returns the text of a scenario's file.
pub(super) fn text_of(path: &Path) -> Result<String, ScenarioError> {
    std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable { path: path.to_owned(), source })
}

/// Returns the name that a file gives its scenario.
pub(super) fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
