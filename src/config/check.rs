//! The collector of problems, with the checks that many keys share.

use std::time::Duration;

use secrecy::SecretString;

use super::problem::{ConfigError, Problem};
use super::secret::KeySource;
use super::units::Span;
use crate::wording::nearest;

/// Longest name of a model, a provider or a tenant, in bytes; a longer one is certainly not configured.
pub(crate) const LONGEST_NAME: usize = 256;

/// Collects problems while the walk goes on.
#[derive(Default)]
pub(super) struct Check(Vec<Problem>);

impl Check {
    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns all problems as one error, if there are any.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(self.0)) }
    }

    pub(super) fn problem(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Problem { path: path.into(), problem: problem.into(), place: None });
    }

    /// Returns a whole number, or its default; zero is a problem.
    pub(super) fn count(&mut self, path: &str, value: Option<u32>, default: u32) -> u32 {
        if value == Some(0) {
            self.problem(path, "0 is out of range; at least 1, or leave it out");
        }
        value.filter(|value| *value > 0).unwrap_or(default)
    }

    pub(super) fn span(&mut self, path: &str, value: Option<Span>, default: Duration) -> Duration {
        if value.is_some_and(|span| span.0.is_zero()) {
            self.problem(path, "0s is out of range; give a time above zero");
        }
        value.map_or(default, |span| self.wait(path, span))
    }

    /// Returns a span that may be zero.
    pub(super) fn wait(&mut self, path: &str, Span(span): Span) -> Duration {
        if span > Span::LONGEST {
            self.problem(path, format!("{span:?} is out of range; give at most {}", Span(Span::LONGEST)));
        }
        span.min(Span::LONGEST)
    }

    /// Checks a name that people choose: it shows in headers, metrics and logs.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            self.problem(path, format!("is no name; give 1 to {LONGEST_NAME} bytes without control characters"));
        }
    }

    pub(super) fn rate(&mut self, path: &str, value: Option<f64>) -> Option<f64> {
        let value = value?;
        if !value.is_finite() || value <= 0.0 {
            self.problem(path, format!("{value} is no rate; give a number per minute above 0, or leave it out"));
        }
        Some(value)
    }

    pub(super) fn fraction(&mut self, path: &str, value: f64) -> f64 {
        if !(0.0..=1.0).contains(&value) {
            self.problem(path, format!("{value} is out of range; give a number from 0 to 1"));
        }
        value
    }

    pub(super) fn known<'a>(
        &mut self,
        path: &str,
        name: &str,
        table: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        if known.clone().any(|candidate| candidate == name) {
            return;
        }
        if name.is_empty() {
            return self.problem(path, format!("is missing; name one of [{table}]"));
        }
        let hint = nearest(name, known)
            .map_or_else(|| format!("define it as [{table}.{name:?}]"), |near| format!("did you mean {near:?}?"));
        self.problem(path, format!("{name:?} is not among [{table}]; {hint}"));
    }

    pub(super) fn key(&mut self, path: &str, source: Option<&KeySource>) -> Option<SecretString> {
        source?.read().map_err(|error| self.problem(path, error.to_string())).ok()
    }
}
