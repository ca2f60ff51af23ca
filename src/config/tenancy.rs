//! What a tier or tenant may use, what it may spend, and from when on it is in a higher tier.

use serde::{Deserialize, Serialize};

/// `budget = { … }` of a tier or a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// US dollars that each tenant may spend per UTC day, above 0. What an answer cost is what the provider says, else
    /// the model's `price`; where neither tells, what it was expected to cost, and nothing where nobody knows.
    pub dollars_per_day: f64,
}

/// `price = { … }` of a model: what an answer costs where its provider does not say. In US dollars, each 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct PriceConfig {
    /// Per answer; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<f64>,
    /// Per million tokens read; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_per_million: Option<f64>,
    /// Per million tokens written; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_per_million: Option<f64>,
}

/// `upgrade = { … }` of a tier: where its tenants go once they have reached all that is given, at least one. Counted
/// is what was used since a tenant's first request under tiers with an upgrade or a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeConfig {
    /// Name under `[tiers]`.
    pub to: String,
    /// US dollars spent in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_dollars: Option<f64>,
    /// Requests answered in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_requests: Option<u64>,
    /// UTC days since the first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_days: Option<u64>,
}

/// Models by name: each exact, or all that begin with what stands before a final `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelNames {
    exact: std::collections::BTreeSet<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl ModelNames {
    /// Reads names; each was checked to hold no `*` but at its end.
    pub(super) fn new(names: &[String]) -> Self {
        let mut read = Self::default();
        for name in names {
            match name.strip_suffix('*') {
                Some(prefix) => read.prefixes.push(prefix.into()),
                None => drop(read.exact.insert(name.as_str().into())),
            }
        }
        read
    }

    /// Says whether a model is among them.
    #[must_use]
    pub fn contain(&self, model: &str) -> bool {
        self.exact.contains(model) || self.prefixes.iter().any(|prefix| model.starts_with(&**prefix))
    }

    /// Returns them as the file has them.
    pub(super) fn written(&self) -> Vec<String> {
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}*"));
        self.exact.iter().map(ToString::to_string).chain(prefixes).collect()
    }
}
