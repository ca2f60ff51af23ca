//! Accounts of what tenants spend: the engine keeps them for those whose tier has a budget or a tier above it.
//!
//! Accounts are moved by the caller's side, like the gate: no actor is asked. A tier that is reached is told to the
//! queues, for what waits already.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;

use crate::clock::unix_time;
use crate::config::{Settings, TenantPolicy};
use crate::core::ledger::{Account, Balance, Lifetime, Money, renews_in};
use crate::core::tariff::Tariff;
use crate::engine::view::capacity::BudgetCapacity;
use crate::engine::view::error::Error;
use crate::engine::view::learned::{Learned, LearnedTenant};

/// Tenants that no configuration names and that have an account of their own; those beyond share one. Names come from
/// outside, so their number has an end.
const MOST_UNNAMED: usize = 100_000;
/// The account of those beyond.
const OTHERS: &str = "";
/// When to come back while requests under way hold what is left of a budget.
const HELD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The accounts of one engine.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: DashMap<Arc<str>, Account>,
    /// Price of a unit of work on each model before a restart, in US dollars.
    prices: OnceLock<BTreeMap<String, f64>>,
}

impl Ledger {
    fn lifetime(&self, tenant: &str) -> Lifetime {
        self.accounts.get(tenant).map(|account| account.lifetime(unix_time())).unwrap_or_default()
    }

    /// Returns the policy that a tenant has by now.
    pub(crate) fn policy(&self, settings: &Settings, tenant: &str) -> Arc<TenantPolicy> {
        let first = settings.policy(tenant);
        if first.upgrade.is_none() {
            return first.clone();
        }
        first.after(&self.lifetime(tenant)).clone()
    }

    /// Admits a request and reserves what it is expected to cost, where that is known. Without a budget or a higher tier
    /// there is no bill. A free request is admitted whatever its tenant has spent.
    pub(crate) fn admit(
        self: &Arc<Self>,
        settings: &Settings,
        tenant: &Arc<str>,
        policy: &TenantPolicy,
        expected: Option<Money>,
    ) -> Result<Option<Box<Bill>>, Error> {
        if policy.budget.is_none() && !settings.policy(tenant).counts() {
            return Ok(None);
        }
        let known = self.accounts.contains_key(tenant) || settings.tenants.contains_key(tenant);
        let payer: Arc<str> = if known || self.accounts.len() < MOST_UNNAMED { tenant.clone() } else { OTHERS.into() };
        let now = unix_time();
        let mut account = self.accounts.entry(payer.clone()).or_insert_with(|| Account::new(now));
        let budget = policy.budget.filter(|_| expected != Some(Money::ZERO));
        let expected = expected.unwrap_or_default();
        account.reserve(now, budget, expected).map_err(|refused| Error::BudgetExhausted {
            budget: policy.budget.unwrap_or_default().dollars(),
            retry_after: if refused.spent { refused.renews_in } else { HELD_RETRY_AFTER },
        })?;
        Ok(Some(Box::new(Bill { ledger: self.clone(), payer, expected, open: true })))
    }

    /// Says how a tenant stands with its budget, if it has one.
    pub(crate) fn standing(&self, tenant: &str, policy: &TenantPolicy) -> Option<BudgetCapacity> {
        let (now, budget) = (unix_time(), policy.budget?);
        let account = self.accounts.get(tenant);
        let read =
            |money: fn(&Account, u64) -> Money| account.as_ref().map_or(Money::ZERO, |account| money(account, now));
        Some(BudgetCapacity {
            dollars_per_day: budget.dollars(),
            spent: read(Account::today).dollars(),
            reserved: read(|account, _| account.reserved()).dollars(),
            renews_in_ms: u64::try_from(renews_in(now).as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Returns what is known at first of what a model's answers cost.
    pub(crate) fn tariff(&self, model: &str) -> Tariff {
        let kept = self.prices.get().and_then(|prices| prices.get(model));
        kept.map_or_else(Tariff::default, |per_unit| Tariff::remember(*per_unit))
    }

    /// Opens the accounts that were kept, and takes over what answers cost.
    pub(crate) fn restore(&self, learned: &Learned) {
        self.prices.get_or_init(|| learned.prices.clone());
        for (tenant, kept) in &learned.tenants {
            let balance = Balance {
                since: kept.first_day,
                day: kept.day,
                today: Money::from_micros(kept.day_micros),
                spent: Money::from_micros(kept.total_micros),
                requests: kept.requests,
            };
            self.accounts.insert(tenant.as_str().into(), Account::restore(balance));
        }
    }

    /// Returns the accounts that are to be kept, and closes those that say nothing any more: their day is past and no
    /// tier counts further.
    pub(crate) fn keep(&self, settings: &Settings) -> BTreeMap<String, LearnedTenant> {
        let now = unix_time();
        self.accounts.retain(|tenant, account| {
            let in_use = account.today(now) > Money::ZERO || account.reserved() > Money::ZERO;
            in_use || settings.policy(tenant).upgrade.is_some()
        });
        let kept = |account: &Account| {
            let Balance { since, day, today, spent, requests } = account.balance();
            LearnedTenant { first_day: since, day, day_micros: today.micros(), total_micros: spent.micros(), requests }
        };
        self.accounts.iter().map(|entry| (entry.key().to_string(), kept(entry.value()))).collect()
    }
}

/// A request's reservation of money, given back on drop unless an answer is booked.
#[derive(Debug)]
pub(crate) struct Bill {
    ledger: Arc<Ledger>,
    payer: Arc<str>,
    expected: Money,
    open: bool,
}

impl Bill {
    /// Books an answer and its cost, where that is known. Returns the payer where this has brought it to a higher tier:
    /// the limits of its waiting requests change with it.
    pub(crate) fn book(mut self, settings: &Settings, cost: Option<Money>) -> Option<Arc<str>> {
        let (before, after) = self.close(Some(cost.unwrap_or_default()))?;
        let first = settings.policy(&self.payer);
        let (old, new) = (first.after(&before), first.after(&after));
        if Arc::ptr_eq(old, new) {
            return None;
        }
        tracing::info!(tenant = %self.payer, from = ?old.tier, to = ?new.tier, "a tenant has reached a higher tier");
        Some(self.payer.clone())
    }

    /// Gives the reservation back and books a cost; returns what the payer had spent before and has after, the first time.
    fn close(&mut self, cost: Option<Money>) -> Option<(Lifetime, Lifetime)> {
        if !std::mem::replace(&mut self.open, false) {
            return None;
        }
        let now = unix_time();
        // An account that stood at nothing may have been closed meanwhile.
        let mut account = self.ledger.accounts.entry(self.payer.clone()).or_insert_with(|| Account::new(now));
        account.release(self.expected);
        let before = account.lifetime(now);
        if let Some(cost) = cost {
            account.book(now, cost);
        }
        Some((before, account.lifetime(now)))
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        self.close(None);
    }
}
