//! Tiers, groups and reservations: who may do what.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::schema::{Config, GroupConfig, TierConfig};
use super::settings::{ModelSettings, TenantPolicy};
use super::validate::Check;
use crate::core::cost::Weight;
use crate::core::fair_queue::{Class, Group, TenantLimits};

/// What each named tenant may do, and those that none is named for.
pub(super) struct Policies {
    pub(super) default: TenantPolicy,
    pub(super) tenants: BTreeMap<Arc<str>, TenantPolicy>,
}

pub(super) fn policies(check: &mut Check, config: &Config) -> Policies {
    let tiers: BTreeMap<&str, TenantPolicy> =
        config.tiers.iter().map(|(name, raw)| (name.as_str(), tier(check, name, raw))).collect();
    let groups: BTreeMap<&str, Group> =
        config.groups.iter().zip(0..).map(|((name, raw), id)| (name.as_str(), group(check, name, raw, id))).collect();
    let policy = |check: &mut Check, path: &str, name: Option<&str>| {
        let name = name?;
        check.known(path, name, "tiers", tiers.keys().copied());
        tiers.get(name).copied()
    };
    let default = policy(check, "defaults.tier", config.defaults.tier.as_deref()).unwrap_or_default();
    let tenants = config.tenants.iter().map(|(name, raw)| {
        let path = format!("tenants.{name:?}");
        let mut policy = policy(check, &format!("{path}.tier"), raw.tier.as_deref()).unwrap_or(default);
        if let Some(group) = raw.group.as_deref() {
            check.known(&format!("{path}.group"), group, "groups", groups.keys().copied());
            policy.limits.group = groups.get(group).copied();
        }
        (Arc::from(name.as_str()), policy)
    });
    Policies { default, tenants: tenants.collect() }
}

/// Hands each model the limits of the tenants that have slots reserved there.
pub(super) fn reserve(
    check: &mut Check,
    config: &Config,
    policies: &Policies,
    models: &mut BTreeMap<Arc<str>, ModelSettings>,
) {
    for (name, raw) in &config.tenants {
        let path = format!("tenants.{name:?}.reserve");
        for (model, slots) in &raw.reserve {
            check.known(&path, model, "models", config.models.keys().map(String::as_str));
            let reserve = check.count(&format!("{path}.{model:?}"), Some(*slots), 1);
            let limits = policies.tenants.get(name.as_str()).map_or(policies.default.limits, |policy| policy.limits);
            if reserve > limits.max_in_flight {
                let cap = limits.max_in_flight;
                check
                    .problem(format!("{path}.{model:?}"), format!("{reserve} is above the tier's max_in_flight {cap}"));
            }
            if let Some(settings) = models.get_mut(model.as_str()) {
                settings.reserve.insert(name.as_str().into(), TenantLimits { reserve, ..limits });
            }
        }
    }
}

fn weight(check: &mut Check, path: &str, given: Option<f64>) -> Weight {
    given.map_or(Some(Weight::ONE), Weight::new).unwrap_or_else(|| {
        let given = given.unwrap_or_default();
        check.problem(format!("{path}.weight"), format!("{given} is out of range; give a number from 0.001 to 1000"));
        Weight::ONE
    })
}

fn group(check: &mut Check, name: &str, raw: &GroupConfig, id: u32) -> Group {
    Group { id, weight: weight(check, &format!("groups.{name:?}"), raw.weight) }
}

fn tier(check: &mut Check, name: &str, raw: &TierConfig) -> TenantPolicy {
    let path = format!("tiers.{name:?}");
    let class = raw.class.as_deref().map_or(Some(Class::Standard), Class::parse).unwrap_or_else(|| {
        let given = raw.class.as_deref().unwrap_or_default();
        check.problem(format!("{path}.class"), format!("{given:?} is no class; interactive, standard or batch"));
        Class::Standard
    });
    TenantPolicy {
        limits: TenantLimits {
            weight: weight(check, &path, raw.weight),
            max_in_flight: check.count(&format!("{path}.max_in_flight"), raw.max_in_flight, u32::MAX),
            max_queued: check.count(&format!("{path}.max_queued"), raw.max_queued, u32::MAX),
            ..TenantLimits::default()
        },
        class,
    }
}
