//! `[tiers.NAME]`, `[groups.NAME]` and `[tenants.NAME]` as they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::secret::KeyHash;

/// `[tiers.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TierConfig {
    /// Share relative to others, 0.001 to 1000; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Most urgent class its tenants may ask for, and the one they get when they do not ask; default standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Most requests in flight per tenant and model; default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Most requests waiting per tenant and model; default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queued: Option<u32>,
    /// Models its tenants may use: names, or beginnings of names with a `*` behind; default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Budget of each of its tenants; default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetConfig>,
    /// Where its tenants go from here by what they have used; default nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeConfig>,
}

/// `[groups.NAME]`: tenants that share by weight as one, such as one customer with many keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GroupConfig {
    /// Share relative to other groups and to tenants without one, 0.001 to 1000; default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}

/// `[tenants.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TenantConfig {
    /// Name under `[tiers]`; default that of `[defaults]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Name under `[groups]`: shares with the group's other tenants as if they were one; default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Models it may use, in place of its tier's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Budget in place of its tier's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetConfig>,
    /// Hashes of its keys, from `fairflow hash-key`. All of them are valid, so a key is changed by adding the new one and
    /// removing the old one later.
    pub api_keys: Vec<KeyHash>,
    /// Slots guaranteed per model.
    pub reserve: BTreeMap<String, u32>,
}

/// `budget = { … }` of a tier or a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BudgetConfig {
    /// US dollars that each tenant may spend per UTC day, above 0. What an answer cost is what the provider says, else
    /// the model's `price`; where neither tells, what it was expected to cost, and nothing where nobody knows.
    pub dollars_per_day: f64,
}

/// `upgrade = { … }` of a tier: where its tenants go once they have reached all that is given, at least one. Counted
/// is what was used since a tenant's first request under tiers with an upgrade or a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
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
