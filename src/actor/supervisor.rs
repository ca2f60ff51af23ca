//! Owns, starts, watches and restarts the others.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient};

use super::account::AccountActor;
use super::dispatcher::{Blueprint, Dispatcher};
use super::lease::Route;
use super::messages::{Died, Ensure, Join, Leave, NewQueue, Reconfigure, Retire, Stop, Who, Wire};
use super::operator::Override;
use super::provider::Provider;
use super::queue::QueueActor;
use super::registry::{Model, Shared};
use crate::config::{ModelSettings, ProviderSettings, Settings};

/// Makes the client of a provider account.
pub type ProviderFactory = Arc<dyn Fn(&ProviderSettings) -> Result<Arc<dyn Provider>, String> + Send + Sync>;

/// Models that may appear on first use: names come from outside, so their number has an end.
const MOST_ON_DEMAND: usize = 1_000;
/// An actor that dies again and again is restarted after 0.1 s, 0.2 s, … at most this.
const LONGEST_RESTART: Duration = Duration::from_secs(5);

/// Tells the supervisor when the actor that owns it is dropped, by whatever way.
#[derive(Debug)]
pub(crate) struct Obituary {
    supervisor: Recipient<Died>,
    who: Who,
}

impl Obituary {
    pub(crate) fn new(supervisor: Recipient<Died>, who: Who) -> Self {
        Self { supervisor, who }
    }
}

impl Drop for Obituary {
    fn drop(&mut self) {
        self.supervisor.do_send(Died(self.who.clone()));
    }
}

struct AccountEntry {
    address: Addr<AccountActor>,
    provider: Arc<dyn Provider>,
    settings: ProviderSettings,
    restarts: u32,
}

pub(super) struct DispatcherEntry {
    pub(super) address: Addr<Dispatcher>,
    generation: u32,
    member: u64,
    pub(super) blueprint: Blueprint,
}

pub(super) struct ModelEntry {
    pub(super) model: Arc<Model>,
    queue: Addr<QueueActor>,
    life: u32,
    pub(super) dispatchers: Vec<DispatcherEntry>,
    pub(super) operator: Override,
    on_demand: bool,
    restarts: u32,
}

/// The supervisor of one engine.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    factory: ProviderFactory,
    accounts: BTreeMap<Arc<str>, AccountEntry>,
    pub(super) models: BTreeMap<Arc<str>, ModelEntry>,
    next_member: u64,
    seed: u64,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("models", &self.models.len()).finish_non_exhaustive()
    }
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, factory: ProviderFactory, seed: u64) -> Self {
        Self { shared, factory, accounts: BTreeMap::new(), models: BTreeMap::new(), next_member: 0, seed }
    }

    /// Starts what the settings name and is not running; what runs gets its new parameters.
    fn apply(&mut self, settings: &Arc<Settings>, ctx: &mut Context<Self>) -> Result<(), String> {
        // Everything that can fail comes first, so that a refused change changes nothing.
        let mut made = BTreeMap::new();
        for (name, provider) in &settings.providers {
            if !self.accounts.contains_key(name) {
                let client = (self.factory)(provider).map_err(|error| format!("providers.{name:?}: {error}"))?;
                made.insert(name.clone(), client);
            }
        }
        for (name, provider) in made {
            let settings = settings.providers[&name].clone();
            let address = AccountActor::new(self.shared.clock, &settings, ctx.address().recipient()).start();
            self.accounts.insert(name, AccountEntry { address, provider, settings, restarts: 0 });
        }
        self.shared.set_settings(settings.clone());
        for (name, model) in &settings.models {
            match self.models.get_mut(name) {
                Some(entry) => {
                    entry.model.set_settings(model.clone());
                    entry.queue.do_send(Reconfigure(model.clone()));
                    entry.reconfigure_dispatchers();
                }
                None => self.start_model(model.clone(), false, ctx),
            }
        }
        Ok(())
    }

    fn start_model(&mut self, settings: Arc<ModelSettings>, on_demand: bool, ctx: &mut Context<Self>) {
        let accounts = settings.routes.iter().filter_map(|route| Some((route, self.accounts.get(&route.provider)?)));
        let routes: Vec<Arc<Route>> = accounts
            .map(|(route, account)| {
                Arc::new(Route {
                    provider_name: route.provider.clone(),
                    upstream: route.model.clone(),
                    provider: account.provider.clone(),
                    dispatcher: std::sync::RwLock::new(None),
                })
            })
            .collect();
        let model = Arc::new(Model::new(settings.clone(), routes));
        let name = model.name.clone();
        let queue = self.start_queue(&model, 0, on_demand, ctx);
        let (dispatchers, operator) = (Vec::new(), Override::default());
        let mut entry =
            ModelEntry { model: model.clone(), queue, life: 0, dispatchers, operator, on_demand, restarts: 0 };
        for (index, route) in model.routes.iter().enumerate() {
            let Some(account) = self.accounts.get(&route.provider_name) else { continue };
            let rates = account.settings.rates;
            let limited = account.settings.max_in_flight.is_some()
                || rates.requests_per_minute.is_some()
                || rates.tokens_per_minute.is_some();
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let blueprint = Blueprint {
                clock: self.shared.clock,
                model: name.clone(),
                index,
                route: route.clone(),
                settings: settings.clone(),
                stats: model.stats.clone(),
                token: Arc::new(()),
                account: account.address.clone(),
                account_limited: limited,
                seed: self.seed,
            };
            let dispatcher = self.start_dispatcher(blueprint, 0, (&entry.queue, 0), None, ctx);
            entry.dispatchers.push(dispatcher);
        }
        entry.wire();
        model.set_queue(entry.queue.clone());
        self.shared.models.insert(name.clone(), model);
        self.models.insert(name, entry);
    }

    fn start_queue(&self, model: &Arc<Model>, life: u32, on_demand: bool, ctx: &mut Context<Self>) -> Addr<QueueActor> {
        let retire = on_demand.then(|| ctx.address().recipient());
        QueueActor::new(self.shared.clock, model.clone(), life, retire, ctx.address().recipient()).start()
    }

    fn start_dispatcher(
        &mut self,
        blueprint: Blueprint,
        generation: u32,
        (queue, life): (&Addr<QueueActor>, u32),
        remembered: Option<u32>,
        ctx: &mut Context<Self>,
    ) -> DispatcherEntry {
        self.next_member += 1;
        let member = self.next_member;
        let obituary = ctx.address().recipient();
        let queue = (queue.clone(), life);
        let address = Dispatcher::new(blueprint.clone(), generation, member, queue, remembered, obituary).start();
        blueprint.account.do_send(Join { member, dispatcher: address.clone() });
        DispatcherEntry { address, generation, member, blueprint }
    }

    /// Gives a dead actor a new life. Its jobs' callers find their replies dropped and submit anew.
    fn revive(&mut self, who: &Who, ctx: &mut Context<Self>) {
        match who {
            Who::Queue { model, generation } => {
                let Some(entry) = self.models.get(model).filter(|entry| entry.life == *generation) else { return };
                let life = generation + 1;
                let queue = self.start_queue(&entry.model, life, entry.on_demand, ctx);
                let Some(entry) = self.models.get_mut(model) else { return };
                entry.queue = queue.clone();
                entry.life = life;
                entry.wire();
                entry.model.set_queue(queue.clone());
                for dispatcher in &entry.dispatchers {
                    dispatcher.address.do_send(NewQueue { queue: queue.clone(), life });
                }
            }
            Who::Dispatcher { model, route, generation } => {
                let Some(entry) = self.models.get(model) else { return };
                let Some(dead) = entry.dispatchers.get(*route).filter(|d| d.generation == *generation) else { return };
                let (blueprint, member) = (dead.blueprint.clone(), dead.member);
                let (queue, life) = (entry.queue.clone(), entry.life);
                // The last snapshot remembers the window that was learned.
                let capacity = entry.model.capacity.borrow();
                let remembered = capacity.routes.get(*route).map(|route| route.window).filter(|window| *window > 0);
                drop(capacity);
                blueprint.account.do_send(Leave { member });
                let next = generation + 1;
                let dispatcher = self.start_dispatcher(blueprint, next, (&queue, life), remembered, ctx);
                let Some(entry) = self.models.get_mut(model) else { return };
                entry.dispatchers[*route] = dispatcher;
                entry.wire();
            }
            Who::Account { provider } => {
                let Some(account) = self.accounts.get_mut(provider) else { return };
                let address =
                    AccountActor::new(self.shared.clock, &account.settings, ctx.address().recipient()).start();
                account.address = address.clone();
                // Each of its dispatchers is replaced too: they hold the dead address.
                for entry in self.models.values_mut() {
                    for dispatcher in &mut entry.dispatchers {
                        if &dispatcher.blueprint.route.provider_name == provider {
                            dispatcher.blueprint.account = address.clone();
                            dispatcher.address.do_send(Stop);
                        }
                    }
                }
            }
        }
    }
}

impl ModelEntry {
    fn wire(&self) {
        let routes = self.dispatchers.iter().map(|d| (d.address.clone(), d.generation)).collect();
        self.queue.do_send(Wire { routes });
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;
}

/// Handle → supervisor: run on these settings.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), String>")]
pub(crate) struct Apply(pub(crate) Arc<Settings>);

impl Handler<Apply> for Supervisor {
    type Result = Result<(), String>;

    fn handle(&mut self, Apply(settings): Apply, ctx: &mut Self::Context) -> Self::Result {
        self.apply(&settings, ctx)
    }
}

impl Handler<Ensure> for Supervisor {
    type Result = ();

    fn handle(&mut self, Ensure(name): Ensure, ctx: &mut Self::Context) {
        let on_demand = self.models.values().filter(|entry| entry.on_demand).count();
        if self.models.contains_key(&name) || on_demand >= MOST_ON_DEMAND {
            return;
        }
        if let Some(unknown) = &self.shared.settings().unknown_models {
            self.start_model(Arc::new(unknown.model(&name)), true, ctx);
        }
    }
}

impl Handler<Retire> for Supervisor {
    type Result = ();

    fn handle(&mut self, Retire(name): Retire, _: &mut Self::Context) {
        self.shared.models.remove(&name);
        let Some(entry) = self.models.remove(&name) else { return };
        entry.queue.do_send(Stop);
        for dispatcher in entry.dispatchers {
            dispatcher.blueprint.account.do_send(Leave { member: dispatcher.member });
            dispatcher.address.do_send(Stop);
        }
    }
}

impl Handler<Died> for Supervisor {
    type Result = ();

    fn handle(&mut self, Died(who): Died, ctx: &mut Self::Context) {
        if !self.knows(&who) {
            return;
        }
        let restarts = match &who {
            Who::Queue { model, .. } | Who::Dispatcher { model, .. } => {
                self.models.get_mut(model).map(|m| &mut m.restarts)
            }
            Who::Account { provider } => self.accounts.get_mut(provider).map(|account| &mut account.restarts),
        };
        let restarts = restarts.map_or(0, |restarts| {
            *restarts += 1;
            *restarts
        });
        tracing::error!(?who, restarts, "an actor has died and is restarted");
        if restarts <= 3 {
            return self.revive(&who, ctx);
        }
        let wait = Duration::from_millis(100).saturating_mul(1 << (restarts - 4).min(10)).min(LONGEST_RESTART);
        ctx.run_later(wait, move |supervisor, ctx| supervisor.revive(&who, ctx));
    }
}

impl Supervisor {
    /// Says whether the one that died was still in service; one that was stopped or replaced is not mourned.
    fn knows(&self, who: &Who) -> bool {
        match who {
            Who::Queue { model, generation } => self.models.get(model).is_some_and(|entry| entry.life == *generation),
            Who::Dispatcher { model, route, generation } => {
                let entry = self.models.get(model).and_then(|entry| entry.dispatchers.get(*route));
                entry.is_some_and(|dispatcher| dispatcher.generation == *generation)
            }
            Who::Account { provider } => self.accounts.contains_key(provider),
        }
    }
}

/// Test → supervisor: make an actor of a model panic.
#[cfg(test)]
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum CrashIn {
    Queue(Arc<str>),
    Dispatcher(Arc<str>, usize),
}

#[cfg(test)]
impl Handler<CrashIn> for Supervisor {
    type Result = ();

    fn handle(&mut self, crash: CrashIn, _: &mut Self::Context) {
        match crash {
            CrashIn::Queue(model) => self.models[&model].queue.do_send(super::messages::Crash),
            CrashIn::Dispatcher(model, route) => {
                self.models[&model].dispatchers[route].address.do_send(super::messages::Crash);
            }
        }
    }
}
