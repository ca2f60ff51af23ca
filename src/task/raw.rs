//! Any task in Runware's form: what is not typed here still goes through the scheduler.

use serde_json::{Map, Value};

use super::usage::Usage;
use crate::core::cost::Cost;

/// A task object, as Runware's API takes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RawTask {
    /// The task object, as it is sent.
    pub body: Map<String, Value>,
}

impl RawTask {
    /// Builds a task of a type for a model, e.g. `videoInference`.
    #[must_use]
    pub fn new(task_type: impl Into<String>, model: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("taskType".into(), Value::String(task_type.into()));
        body.insert("model".into(), Value::String(model.into()));
        Self { body }
    }

    /// Sets a field.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.body.insert(name.into(), value.into());
        self
    }

    /// Returns the task's type; empty when it has none.
    #[must_use]
    pub fn task_type(&self) -> &str {
        self.body.get("taskType").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Predicts the work of a task object of no known type: results × seconds.
pub(crate) fn raw_cost(body: &Map<String, Value>) -> Cost {
    let number = |name| body.get(name).and_then(Value::as_u64);
    Cost::new(number("numberResults").unwrap_or(1).saturating_mul(number("duration").unwrap_or(1)))
}

/// Returns how many results a task object asks for.
pub(crate) fn results_wanted(body: &Map<String, Value>) -> u64 {
    ["numberResults", "promptVersions"].into_iter().find_map(|name| body.get(name)?.as_u64()).unwrap_or(1)
}

/// The result objects, as the provider sent them.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct RawResult {
    /// The objects of the results.
    pub items: Vec<Map<String, Value>>,
    /// The errors of those results that are missing, in the provider's own words; empty where all are there.
    pub errors: Vec<Map<String, Value>>,
    /// Price, where known.
    pub usage: Usage,
}

impl RawResult {
    /// Wraps the result objects of a task.
    #[must_use]
    pub fn new(items: Vec<Map<String, Value>>) -> Self {
        Self { items, ..Self::default() }
    }

    setters!(usage);
}
