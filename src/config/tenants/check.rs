//! Tiers, groups and reservations: who may do what.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::{BudgetConfig, GroupConfig, TenantConfig, TierConfig, UpgradeConfig};
use super::settings::{ModelNames, TenantPolicy, Upgrade};
use crate::config::check::Check;
use crate::config::file::Config;
use crate::config::models::ModelSettings;
use crate::core::cost::Weight;
use crate::core::fair_queue::{Class, Group, TenantLimits};
use crate::core::ledger::{Money, Thresholds};

type Models = BTreeMap<Arc<str>, ModelSettings>;

/// Policies of the named tenants, and the policy of all others.
pub(in crate::config) struct Policies {
    pub(in crate::config) default: Arc<TenantPolicy>,
    pub(in crate::config) tenants: BTreeMap<Arc<str>, Arc<TenantPolicy>>,
}

pub(in crate::config) fn policies(check: &mut Check, config: &Config, models: &Models) -> Policies {
    let tiers: BTreeMap<&str, TenantPolicy> =
        config.tiers.iter().map(|(name, raw)| (name.as_str(), tier(check, config, models, name, raw))).collect();
    for (name, raw) in &config.tiers {
        upgrade(check, config, name, raw.upgrade.as_ref());
    }
    // Tenants that say nothing of their own share their tier's policy.
    let whole: BTreeMap<&str, Arc<TenantPolicy>> =
        tiers.keys().map(|name| (*name, chain(config, &tiers, name, &Own::default()))).collect();
    let groups: BTreeMap<&str, Group> =
        config.groups.iter().zip(0..).map(|((name, raw), id)| (name.as_str(), group(check, name, raw, id))).collect();
    let default = config.defaults.tier.as_deref().and_then(|name| {
        check.known("defaults.tier", name, "tiers", tiers.keys().copied());
        whole.get(name).cloned()
    });
    let default = default.unwrap_or_default();
    let tenants = config.tenants.iter().map(|(name, raw)| {
        let path = config.tenant_at(name);
        if let Some(tier) = raw.tier.as_deref() {
            check.known(&format!("{path}.tier"), tier, "tiers", tiers.keys().copied());
        }
        let tier = raw.tier.as_deref().or(config.defaults.tier.as_deref()).filter(|tier| tiers.contains_key(tier));
        let own = own(check, config, &path, raw, &groups, models);
        let policy = match tier {
            Some(tier) if own == Own::default() => whole[tier].clone(),
            Some(tier) => chain(config, &tiers, tier, &own),
            None => Arc::new(own.over(&default)),
        };
        (Arc::from(name.as_str()), policy)
    });
    Policies { tenants: tenants.collect(), default }
}

/// Keys that a tenant sets itself, over those of its tier.
#[derive(Debug, Clone, PartialEq, Default)]
struct Own {
    group: Option<Group>,
    models: Option<Arc<ModelNames>>,
    budget: Option<Money>,
}

impl Own {
    fn over(&self, tier: &TenantPolicy) -> TenantPolicy {
        TenantPolicy {
            limits: TenantLimits { group: self.group, ..tier.limits },
            models: self.models.clone().or_else(|| tier.models.clone()),
            budget: self.budget.or(tier.budget),
            ..tier.clone()
        }
    }
}

fn own(
    check: &mut Check,
    config: &Config,
    path: &str,
    raw: &TenantConfig,
    groups: &BTreeMap<&str, Group>,
    models: &Models,
) -> Own {
    if let Some(group) = raw.group.as_deref() {
        check.known(&format!("{path}.group"), group, "groups", groups.keys().copied());
    }
    Own {
        group: raw.group.as_deref().and_then(|group| groups.get(group).copied()),
        models: names(check, config, path, raw.models.as_deref(), models),
        budget: budget(check, path, raw.budget),
    }
}

/// Builds the policy of a tier with what a tenant says itself, and those it can rise to. A circle, which is a problem
/// already, ends where it begins.
fn chain(config: &Config, tiers: &BTreeMap<&str, TenantPolicy>, name: &str, own: &Own) -> Arc<TenantPolicy> {
    let mut names = vec![name];
    while let Some(upgrade) = config.tiers.get(names[names.len() - 1]).and_then(|raw| raw.upgrade.as_ref()) {
        if names.contains(&upgrade.to.as_str()) || !tiers.contains_key(upgrade.to.as_str()) {
            break;
        }
        names.push(&upgrade.to);
    }
    let mut above: Option<Arc<TenantPolicy>> = None;
    for name in names.iter().rev() {
        let after = config.tiers.get(*name).and_then(|raw| raw.upgrade.as_ref()).map(thresholds);
        let upgrade = after.zip(above.take()).map(|(after, to)| Upgrade { after, to });
        above = tiers.get(name).map(|tier| Arc::new(TenantPolicy { upgrade, ..own.over(tier) }));
    }
    above.unwrap_or_default()
}

fn thresholds(raw: &UpgradeConfig) -> Thresholds {
    Thresholds {
        spent: Money::from_dollars(raw.after_dollars.unwrap_or_default()),
        requests: raw.after_requests.unwrap_or_default(),
        days: raw.after_days.unwrap_or_default(),
    }
}

fn upgrade(check: &mut Check, config: &Config, name: &str, raw: Option<&UpgradeConfig>) {
    let Some(raw) = raw else { return };
    let path = format!("tiers.{name:?}.upgrade");
    check.known(&format!("{path}.to"), &raw.to, "tiers", config.tiers.keys().map(String::as_str));
    if thresholds(raw) == Thresholds::default() && raw.after_dollars.is_none_or(|dollars| dollars == 0.0) {
        let remedy = "give at least one of after_dollars, after_requests and after_days, above 0";
        check.problem(path.clone(), format!("would begin at once; {remedy}"));
    }
    dollars(check, &format!("{path}.after_dollars"), raw.after_dollars.unwrap_or(1.0));
    let next = |name: &str| config.tiers.get(name).and_then(|tier| tier.upgrade.as_ref()).map(|raw| raw.to.as_str());
    let mut at = Some(raw.to.as_str());
    for _ in 0..config.tiers.len() {
        if at == Some(name) {
            check.problem(
                format!("{path}.to"),
                format!("{:?} leads back to {name:?}; let the highest tier end it", raw.to),
            );
            return;
        }
        at = at.and_then(next);
    }
}

/// Checks an amount of dollars above zero.
fn dollars(check: &mut Check, path: &str, dollars: f64) {
    if !(1e-6..=1e10).contains(&dollars) {
        let remedy = "give US dollars above 0, ten billion at most, or leave it out";
        check.problem(path, format!("{dollars} is out of range; {remedy}"));
    }
}

fn budget(check: &mut Check, path: &str, raw: Option<BudgetConfig>) -> Option<Money> {
    let BudgetConfig { dollars_per_day } = raw?;
    dollars(check, &format!("{path}.budget.dollars_per_day"), dollars_per_day);
    Some(Money::from_dollars(dollars_per_day))
}

/// Reads the models that may be used.
fn names(
    check: &mut Check,
    config: &Config,
    path: &str,
    raw: Option<&[String]>,
    models: &Models,
) -> Option<Arc<ModelNames>> {
    let raw = raw?;
    let path = format!("{path}.models");
    if raw.is_empty() {
        check.problem(path.clone(), "would allow no model; name those that may be used, or leave it out for all");
    }
    for (index, name) in raw.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let plain = name.strip_suffix('*').unwrap_or(name);
        if plain.contains('*') || name.is_empty() {
            check.problem(
                path,
                format!("{name:?} is no model; give a name, or the beginning of names and a final \"*\""),
            );
        } else if plain.len() == name.len() && config.defaults.unknown_models.is_none() {
            check.known(&path, name, "models", models.keys().map(|name| &**name));
        }
    }
    Some(Arc::new(ModelNames::new(raw)))
}

/// Hands each model the limits of the tenants that have slots reserved there.
pub(in crate::config) fn reserve(check: &mut Check, config: &Config, policies: &Policies, models: &mut Models) {
    for (name, raw) in config.tenants.iter().filter(|(_, raw)| !raw.reserve.is_empty()) {
        let path = format!("{}.reserve", config.tenant_at(name));
        let policy = policies.tenants.get(name.as_str()).unwrap_or(&policies.default);
        for (model, slots) in &raw.reserve {
            check.known(&path, model, "models", config.models.keys().map(String::as_str));
            let at = format!("{path}.{model:?}");
            let reserve = check.count(&at, Some(*slots), 1);
            let cap = policy.limits.max_in_flight;
            if reserve > cap {
                check.problem(at.clone(), format!("{reserve} is above the tier's max_in_flight {cap}"));
            }
            if !policy.allows(model) {
                check.problem(at, "is reserved where the tenant may not go; add it to `models`, or reserve nothing");
            }
            if let Some(settings) = models.get_mut(model.as_str()) {
                settings.reserve.insert(name.as_str().into(), TenantLimits { reserve, ..policy.limits });
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

fn tier(check: &mut Check, config: &Config, models: &Models, name: &str, raw: &TierConfig) -> TenantPolicy {
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
        tier: Some(name.into()),
        models: names(check, config, &path, raw.models.as_deref(), models),
        budget: budget(check, &path, raw.budget),
        upgrade: None,
    }
}
