//! Owns, starts, watches and restarts the others.

mod apply;
mod entry;
pub(super) mod operate;
mod restart;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler, Message};

use self::entry::{AccountEntry, DispatcherEntry, ModelActors, ModelEntry, QueueEntry};
use super::account::AccountActor;
use super::cell::{Addr, Inline, uninterrupted};
use super::dispatcher::{Blueprint, Dispatcher};
use super::exit::{ActorId, ExitNotice};
use super::messages::{Join, NewQueue, Retire, Suspended, Withdraw};
use super::queue::QueueActor;
use crate::config::{ProviderSettings, Settings};
use crate::contract::provider::{Provider, ProviderFactory};
use crate::core::route::Memory;
use crate::engine::shared::messages::{Begin, Ensure, Forget, SupervisorMessage};
use crate::engine::shared::model::Model;
use crate::engine::shared::registry::Shared;
use crate::engine::ticket::messages::QueueMessage;
use crate::engine::view::learned::Learned;
use crate::engine::view::start::StartError;

/// Models that may have appeared on first use, in all and for one tenant: names come from outside, so their number has an
/// end. Beyond it the oldest that is idle goes.
const MOST_ON_DEMAND: usize = 256;
const MOST_OF_A_TENANT: usize = 64;

/// The supervisor of one engine.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    factory: ProviderFactory,
    accounts: BTreeMap<Arc<str>, AccountEntry>,
    models: BTreeMap<Arc<str>, ModelEntry>,
    /// Models that are no longer offered, and still serve the requests that wait.
    leaving: Vec<(Arc<Model>, ModelActors)>,
    /// Numbers the lives of all actors, so that a late notice of death never names another.
    births: u32,
    seed: u64,
    /// State that an earlier engine has learned.
    learned: Arc<Learned>,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("models", &self.models.len()).finish_non_exhaustive()
    }
}

impl Supervisor {
    pub(crate) fn new(shared: Arc<Shared>, factory: ProviderFactory, seed: u64, learned: Arc<Learned>) -> Self {
        let (accounts, models, leaving) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { shared, factory, accounts, models, leaving, births: 0, seed, learned }
    }

    fn launch<A: Inline>(&self, actor: A, id: ActorId, ctx: &Context<Self>) -> Addr<A> {
        Addr::start(actor, self.shared.clock, ExitNotice::new(ctx.address().recipient(), id))
    }

    fn start_queue(&mut self, model: &Arc<Model>, on_demand: bool, ctx: &mut Context<Self>) -> QueueEntry {
        let life = self.birth();
        let queue = QueueActor::new(self.shared.clock, model.clone(), life, on_demand, ctx.address().recipient());
        let id = ActorId::Queue { model: model.name.clone(), generation: life };
        QueueEntry { address: self.launch(queue, id, ctx), life }
    }

    fn start_dispatcher(
        &mut self,
        blueprint: Blueprint,
        account: Addr<AccountActor>,
        queue: NewQueue,
        memory: Memory,
        ctx: &mut Context<Self>,
    ) -> DispatcherEntry {
        let generation = self.birth();
        let member = generation.into();
        let id = ActorId::Dispatcher { model: blueprint.model.clone(), route: blueprint.index, generation };
        let address = self.launch(Dispatcher::new(blueprint.clone(), generation, queue, memory), id, ctx);
        account.do_send(Join { member, dispatcher: address.recipient() });
        DispatcherEntry { address, generation, blueprint, account }
    }

    fn start_account(
        &mut self,
        settings: ProviderSettings,
        provider: Arc<dyn Provider>,
        restarts: u32,
        ctx: &mut Context<Self>,
    ) -> Addr<AccountActor> {
        let generation = self.birth();
        let name = settings.name.clone();
        // Its dispatchers outlive it, and go on telling there.
        let success = self.accounts.get(&name).map(|account| account.success.clone()).unwrap_or_default();
        let actor = AccountActor::new(self.shared.clock, &settings, success.clone(), ctx.address().recipient());
        let address = self.launch(actor, ActorId::Account { provider: name.clone(), generation }, ctx);
        let (was_suspended, account) = (false, address.clone());
        let entry = AccountEntry { address: account, generation, provider, settings, success, restarts, was_suspended };
        self.accounts.insert(name, entry);
        address
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let address = ctx.address();
        self.shared.supervisor.open(move |message| address.do_send(message));
    }
}

impl Drop for Supervisor {
    /// Without a supervisor nothing is restarted: callers whose replies are dropped must not submit anew.
    fn drop(&mut self) {
        self.shared.set_stopped();
    }
}

/// Handle → supervisor: run on these settings.
#[derive(Debug)]
pub(crate) struct Apply(pub(crate) Arc<Settings>);

impl Message for Apply {
    type Result = Result<(), StartError>;
}

impl Handler<Apply> for Supervisor {
    type Result = Result<(), StartError>;

    fn handle(&mut self, Apply(settings): Apply, ctx: &mut Self::Context) -> Self::Result {
        uninterrupted(|| self.apply(&settings, ctx))
    }
}

/// Handle → supervisor: the client of an account; answers `None` where there is no such account.
#[cfg(feature = "gateway")]
#[derive(Debug)]
pub(crate) struct ClientOf(pub(crate) Arc<str>);

#[cfg(feature = "gateway")]
impl Message for ClientOf {
    type Result = Option<Arc<dyn Provider>>;
}

#[cfg(feature = "gateway")]
impl Handler<ClientOf> for Supervisor {
    type Result = Option<Arc<dyn Provider>>;

    fn handle(&mut self, ClientOf(account): ClientOf, _: &mut Self::Context) -> Self::Result {
        self.accounts.get(&account).map(|account| account.provider.clone())
    }
}

impl Handler<SupervisorMessage> for Supervisor {
    type Result = ();

    fn handle(&mut self, message: SupervisorMessage, ctx: &mut Self::Context) {
        match message {
            SupervisorMessage::Ensure(ensure, done) => {
                uninterrupted(|| self.ensure(ensure, ctx));
                // A caller that is gone needs no answer.
                done.send(()).ok();
            }
            SupervisorMessage::Forget(Forget(model)) => uninterrupted(|| self.forget(&model)),
            SupervisorMessage::Begin(begin) => self.begin(begin, ctx),
        }
    }
}

impl Supervisor {
    /// Starts a model on its first use, where the settings have a place for such models.
    fn ensure(&mut self, Ensure { name, tenant }: Ensure, ctx: &mut Context<Self>) {
        if self.models.contains_key(&name) || !self.make_room(Some(&tenant)) || !self.make_room(None) {
            return;
        }
        if let Some(unknown) = &self.shared.settings().unknown_models {
            self.start_model(&Arc::new(unknown.model(&name)), Some(tenant), ctx);
        }
    }

    /// Begins the actors of a model with its first request, and hands it to them. A request that was under way when they
    /// began goes to them, too; of a model that is gone it is dropped, and its caller told so.
    fn begin(&mut self, Begin { model, request }: Begin, ctx: &mut Context<Self>) {
        if self.models.get(&model.name).is_some_and(|entry| Arc::ptr_eq(&entry.model, &model)) {
            // The routes have told their windows before the request comes.
            uninterrupted(|| self.start_actors(&model.name, ctx));
            model.queue.send(QueueMessage::Submit(request));
        }
    }

    /// Gives up a model of first use that its provider refuses.
    fn forget(&mut self, model: &Arc<Model>) {
        let entry = self.models.get(&model.name).filter(|entry| Arc::ptr_eq(&entry.model, model));
        if entry.is_some_and(|entry| entry.on_demand.is_some()) {
            self.offer_no_longer(&model.name);
        }
    }

    /// Says whether another model may appear on first use, for `tenant` or in all; the oldest that is idle makes way.
    fn make_room(&mut self, tenant: Option<&Arc<str>>) -> bool {
        let is_one =
            |entry: &&ModelEntry| entry.on_demand.as_ref().is_some_and(|of| tenant.is_none_or(|one| one == of));
        let most = if tenant.is_some() { MOST_OF_A_TENANT } else { MOST_ON_DEMAND };
        if self.models.values().filter(is_one).count() < most {
            return true;
        }
        let is_idle = |entry: &&ModelEntry| {
            let capacity = entry.model.capacity.borrow();
            capacity.queue_depth == 0 && capacity.in_flight == 0
        };
        // Lives are numbered in their order.
        let oldest = self.models.values().filter(is_one).filter(is_idle).min_by_key(|entry| entry.queue_life());
        let Some(name) = oldest.map(|entry| entry.model.name.clone()) else { return false };
        self.offer_no_longer(&name);
        true
    }

    /// Frees a model's name; what waits there is served.
    fn offer_no_longer(&mut self, name: &Arc<str>) {
        self.shared.models.remove(name);
        let Some(ModelEntry { model, actors, .. }) = self.models.remove(name) else { return };
        match actors {
            Some(actors) => {
                actors.queue.address.do_send(Withdraw);
                self.leaving.push((model, actors));
            }
            None => model.queue.close(),
        }
    }
}

impl Handler<Suspended> for Supervisor {
    type Result = ();

    /// Begins the actors of models that rest on the account, so that they show that nothing goes there.
    fn handle(&mut self, Suspended(account): Suspended, ctx: &mut Self::Context) {
        if let Some(entry) = self.accounts.get_mut(&account) {
            entry.was_suspended = true;
            let uses =
                |entry: &&ModelEntry| entry.model.settings().routes.iter().any(|route| route.provider == account);
            let resting = self.models.values().filter(|entry| entry.actors.is_none()).filter(uses);
            let resting: Vec<_> = resting.map(|entry| entry.model.name.clone()).collect();
            uninterrupted(|| resting.iter().for_each(|model| self.start_actors(model, ctx)));
        }
    }
}

impl Handler<Retire> for Supervisor {
    type Result = ();

    fn handle(&mut self, Retire(model): Retire, _: &mut Self::Context) {
        uninterrupted(|| self.retire(&model));
    }
}

impl Supervisor {
    /// Ends the actors of a model that has nothing left to do.
    fn retire(&mut self, model: &Arc<Model>) {
        if let Some(index) = self.leaving.iter().position(|(leaving, _)| Arc::ptr_eq(leaving, model)) {
            return self.leaving.swap_remove(index).1.stop();
        }
        if self.models.get(&model.name).is_some_and(|entry| Arc::ptr_eq(&entry.model, model)) {
            self.shared.models.remove(&model.name);
            let actors = self.models.remove(&model.name).and_then(|entry| entry.actors);
            actors.into_iter().for_each(ModelActors::stop);
        }
    }

    fn birth(&mut self) -> u32 {
        self.births += 1;
        self.births
    }
}

/// Test → supervisor: make an actor of a model panic.
#[cfg(test)]
#[derive(Debug)]
pub(crate) enum CrashIn {
    Queue(Arc<str>),
    Dispatcher(Arc<str>, usize),
}

#[cfg(test)]
impl Message for CrashIn {
    type Result = ();
}

#[cfg(test)]
impl Handler<CrashIn> for Supervisor {
    type Result = ();

    fn handle(&mut self, crash: CrashIn, _: &mut Self::Context) {
        match crash {
            CrashIn::Queue(model) => {
                let actors = self.models[&model].actors.as_ref().expect("it runs");
                actors.queue.address.do_send(super::messages::Crash);
            }
            CrashIn::Dispatcher(model, route) => {
                self.models[&model].dispatchers()[route].address.do_send(super::messages::Crash);
            }
        }
    }
}
