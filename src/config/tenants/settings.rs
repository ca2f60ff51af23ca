//! Policies of tenants, found valid.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::fair_queue::{Class, TenantLimits};
use crate::core::ledger::{Lifetime, Money, Thresholds};

/// Policy of a tenant: its limits, models and budget.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct TenantPolicy {
    /// Name of the tier it comes from, if any.
    pub tier: Option<Arc<str>>,
    /// Weight and caps.
    pub limits: TenantLimits,
    /// Most urgent class it may ask for, and the one it gets when it does not ask.
    pub class: Class,
    /// Models it may use; `None` for all.
    pub models: Option<Arc<ModelNames>>,
    /// Budget per UTC day.
    pub budget: Option<Money>,
    /// The policy that comes after this one.
    pub upgrade: Option<Upgrade>,
}

/// A higher policy, and from when on it is in force.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Upgrade {
    /// Use from which the next tier is in force.
    pub after: Thresholds,
    /// Policy of the next tier.
    pub to: Arc<TenantPolicy>,
}

impl TenantPolicy {
    /// Returns the class for a request that asks for `wanted`: never more urgent than the tier's.
    #[must_use]
    pub fn class_for(&self, wanted: Option<Class>) -> Class {
        wanted.map_or(self.class, |wanted| wanted.min(self.class))
    }

    /// Says whether a model may be used.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contain(model))
    }

    /// Says whether what a tenant uses matters to it.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.budget.is_some() || self.upgrade.is_some()
    }

    /// Returns the policy of a tenant that began with this one and has used so much.
    #[must_use]
    pub fn after<'a>(self: &'a Arc<Self>, used: &Lifetime) -> &'a Arc<Self> {
        let mut policy = self;
        while let Some(upgrade) = policy.upgrade.as_ref().filter(|upgrade| upgrade.after.reached(used)) {
            policy = &upgrade.to;
        }
        policy
    }
}

/// Models by name: each exact, or all that begin with what stands before a final `*`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelNames {
    exact: BTreeSet<Box<str>>,
    prefixes: Vec<Box<str>>,
}

impl ModelNames {
    /// Reads names; each was checked to hold no `*` but at its end.
    pub(in crate::config) fn new(names: &[String]) -> Self {
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
    pub(in crate::config) fn written(&self) -> Vec<String> {
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}*"));
        self.exact.iter().map(ToString::to_string).chain(prefixes).collect()
    }
}
