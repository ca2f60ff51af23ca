//! The providers behind the routes, and the limits of the accounts that routes share.

use crate::core::pacer::RateHint;
use crate::sim::bucket::{Bucket, Reception};
use crate::sim::provider::{Due, Provider, ProviderSpec};
use crate::sim::rng::Rng;
use crate::sim::routes::AccountSpec;
use crate::sim::scenario::Scenario;

/// The stream of random numbers of the first provider; those of the others lie so far apart.
const WEATHER: u64 = 6;
const APART: u64 = 1 << 16;

/// The provider behind one route.
pub(super) struct Upstream {
    pub(super) provider: Provider,
    /// Attempts on their way to it.
    pub(super) travelling: u32,
    /// Slots that others have.
    pub(super) others_have: u32,
    account: Option<usize>,
}

struct Account {
    spec: AccountSpec,
    bucket: Option<Bucket>,
}

/// The providers behind all routes, by the routes' positions.
pub(super) struct Upstreams {
    all: Vec<Upstream>,
    accounts: Vec<Account>,
}

impl Upstreams {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let upstream = |(stream, (spec, account)): (u64, (&ProviderSpec, Option<usize>))| Upstream {
            provider: Provider::new(spec.clone(), Rng::new(seed, stream)),
            travelling: 0,
            others_have: 0,
            account,
        };
        let streams = (0..).map(|route| WEATHER + route * APART);
        let accounts = scenario.accounts.values().map(|spec| {
            let bucket = spec.rate.clone().map(Bucket::new);
            Account { spec: spec.clone(), bucket }
        });
        Self {
            all: streams.zip(scenario.providers().zip(scenario.account_of_each())).map(upstream).collect(),
            accounts: accounts.collect(),
        }
    }

    pub(super) fn get_mut(&mut self, route: usize) -> Option<&mut Upstream> {
        self.all.get_mut(route)
    }

    /// Returns what the scenario says of a route's provider.
    pub(super) fn spec(&self, route: usize) -> Option<&ProviderSpec> {
        self.all.get(route).map(|upstream| &upstream.provider.spec)
    }

    /// Returns how many more requests would be served at once by a route, which nobody outside can know.
    pub(super) fn room(&self, route: usize, t: f64) -> u32 {
        let Some(upstream) = self.all.get(route) else { return 0 };
        let room = upstream.provider.room(t).saturating_sub(upstream.travelling);
        let Some((number, account)) = self.account(upstream) else { return room };
        let free = account.spec.max_in_flight.map_or(u32::MAX, |most| most.saturating_sub(self.used_of(number, true)));
        let tokens = account.bucket.as_ref().map_or(f64::MAX, |bucket| bucket.room(t));
        room.min(free).min(tokens as u32)
    }

    /// Returns the refusal of a request that its account has no place for.
    fn refusal(&self, route: usize, t: f64) -> Option<Reception> {
        let (number, account) = self.account(self.all.get(route)?)?;
        if let Some(refused) = account.bucket.as_ref().and_then(|bucket| bucket.refusal(t)) {
            return Some(refused);
        }
        let full = account.spec.max_in_flight.is_some_and(|most| self.used_of(number, false) >= most);
        full.then_some(Reception::Throttled { late: false })
    }

    /// Has the provider of a route take a request, if its account allows.
    pub(super) fn arrive(&mut self, route: usize, t: f64, id: u64, work: f64) -> Reception {
        if let Some(refused) = self.refusal(route, t) {
            return refused;
        }
        let Some(upstream) = self.all.get_mut(route) else { return Reception::Failed };
        let reception = upstream.provider.arrive(t, id, work);
        let account = upstream.account.and_then(|account| self.accounts.get_mut(account));
        if let Some(bucket) = account.and_then(|account| account.bucket.as_mut())
            && reception == Reception::Taken
        {
            bucket.take(t);
        }
        reception
    }

    /// Returns when a bucket that is empty has a token again, the first of all.
    pub(super) fn token_at(&self, t: f64) -> Option<f64> {
        let own = self.all.iter().filter_map(|upstream| upstream.provider.token_at(t));
        let shared = self.accounts.iter().filter_map(|account| account.bucket.as_ref()?.token_at(t));
        own.chain(shared).min_by(f64::total_cmp)
    }

    /// Returns what headers of a route's answers say.
    pub(super) fn hint(&self, route: usize, t: f64) -> Option<RateHint> {
        let upstream = self.all.get(route)?;
        let shared = || self.account(upstream).and_then(|(_, account)| account.bucket.as_ref()?.hint(t));
        upstream.provider.hint(t).or_else(shared)
    }

    /// Returns requests that make progress, over all providers.
    pub(super) fn used(&self) -> f64 {
        self.all.iter().map(|upstream| upstream.provider.used()).sum()
    }

    /// Takes out what the providers want to be called for: route, second, and what for.
    pub(super) fn take_due(&mut self, into: &mut Vec<(usize, f64, Due)>) {
        for (route, upstream) in self.all.iter_mut().enumerate() {
            into.extend(upstream.provider.due.drain(..).map(|(at, what)| (route, at, what)));
        }
    }

    fn account(&self, upstream: &Upstream) -> Option<(usize, &Account)> {
        let number = upstream.account?;
        self.accounts.get(number).map(|account| (number, account))
    }

    /// Returns the slots of an account that are used; with what is on its way, if asked.
    fn used_of(&self, account: usize, travelling: bool) -> u32 {
        let of_it = self.all.iter().filter(|upstream| upstream.account == Some(account));
        of_it.map(|one| one.provider.admitted() + if travelling { one.travelling } else { 0 }).sum()
    }
}
