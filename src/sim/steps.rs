//! Values that change at stated times.

use serde::Deserialize;

/// A piecewise constant function of simulated seconds. In a scenario: a number, or a list of `[from, value]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct Steps(Vec<(f64, f64)>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "it must be a number, or a list of [from second, value]")]
enum Written {
    Always(f64),
    Steps(Vec<(f64, f64)>),
}

impl From<Written> for Steps {
    fn from(written: Written) -> Self {
        match written {
            Written::Always(value) => Self::always(value),
            Written::Steps(steps) => Self(steps),
        }
    }
}

impl Steps {
    /// Returns steps that keep one value always.
    #[must_use]
    pub fn always(value: f64) -> Self {
        Self(vec![(0.0, value)])
    }

    /// The value from each of the times on.
    #[must_use]
    pub fn new(steps: Vec<(f64, f64)>) -> Self {
        Self(steps)
    }

    /// The value at second `t`.
    #[must_use]
    pub fn at(&self, t: f64) -> f64 {
        match self.0.as_slice() {
            [(_, only)] => *only,
            steps => steps.iter().rev().find(|(from, _)| *from <= t).map_or(0.0, |(_, value)| *value),
        }
    }

    /// When it changes.
    pub fn times(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|(from, _)| *from)
    }

    /// The first change after `t`.
    pub(super) fn next(&self, t: f64) -> Option<f64> {
        self.times().find(|from| *from > t)
    }

    /// The highest value.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.0.iter().map(|(_, value)| *value).fold(0.0, f64::max)
    }

    /// Returns what is wrong with the steps, if anything: they must begin at 0, be in order, and stay within `least..`.
    pub(super) fn problem(&self, least: f64) -> Option<String> {
        if self.0.first().is_none_or(|(from, _)| *from != 0.0) {
            return Some("the first step must be from second 0".to_owned());
        }
        if self.0.iter().any(|(from, value)| !from.is_finite() || !value.is_finite() || *value < least) {
            return Some(format!("every value must be a number of at least {least}"));
        }
        let ordered = self.0.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (!ordered).then(|| "the steps must be in order of time".to_owned())
    }
}
