//! Restarts actors that ended in service.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler};

use super::Supervisor;
use super::entry::{ModelActors, ModelEntry};
use crate::actor::cell::uninterrupted;
use crate::actor::exit::{ActorId, Exited};
use crate::actor::messages::{Leave, Recount, Stop};
use crate::engine::view::capacity::RouteCapacity;

/// Restarts of a model's actors, or of an account, that begin at once.
const AT_ONCE: u32 = 3;
/// Longest wait before a restart: later restarts wait 0.1 s, 0.2 s and so on, up to this.
const LONGEST_RESTART: Duration = Duration::from_secs(5);

impl Handler<Exited> for Supervisor {
    type Result = ();

    fn handle(&mut self, exited: Exited, ctx: &mut Self::Context) {
        uninterrupted(|| self.replace(exited, ctx));
    }
}

impl Supervisor {
    /// Sees to it that an actor that ended in service is started anew.
    fn replace(&mut self, Exited { actor: who, cause }: Exited, ctx: &mut Context<Self>) {
        if !self.knows(&who) {
            if let ActorId::Dispatcher { model, .. } = &who {
                let heirs = self.models.get(model).into_iter().flat_map(ModelEntry::dispatchers);
                heirs.for_each(|heir| heir.address.do_send(Recount));
            }
            // One that was withdrawn is not worth another life: its callers hear that the model is gone.
            let is_it = |life| matches!(&who, ActorId::Queue { generation, .. } if life == *generation);
            if let Some(index) = self.leaving.iter().position(|(_, actors)| is_it(actors.queue.life)) {
                self.leaving.swap_remove(index).1.stop();
            }
            return;
        }
        let restarts = match &who {
            ActorId::Queue { model, .. } | ActorId::Dispatcher { model, .. } => {
                self.models.get_mut(model).map(|m| &mut m.restarts)
            }
            ActorId::Account { provider, .. } => self.accounts.get_mut(provider).map(|account| &mut account.restarts),
        };
        let restarts = restarts.map_or(0, |restarts| {
            *restarts += 1;
            *restarts
        });
        self.shared.restarts.count(who.kind(), cause);
        tracing::error!(actor = %who, cause = cause.as_str(), restarts, "an actor ended in service and is restarted");
        if restarts <= AT_ONCE {
            return self.revive(&who, ctx);
        }
        let wait =
            Duration::from_millis(100).saturating_mul(1 << (restarts - AT_ONCE - 1).min(10)).min(LONGEST_RESTART);
        ctx.run_later(wait, move |supervisor, ctx| uninterrupted(|| supervisor.revive(&who, ctx)));
    }

    /// Starts an actor anew that ended. The callers of its jobs find their replies dropped and submit anew.
    fn revive(&mut self, who: &ActorId, ctx: &mut Context<Self>) {
        match who {
            ActorId::Queue { model, generation } => {
                let Some(entry) = self.models.get(model).filter(|entry| entry.queue_life() == Some(*generation)) else {
                    return;
                };
                let (shared, on_demand) = (entry.model.clone(), entry.on_demand.is_some());
                let new = self.start_queue(&shared, on_demand, ctx);
                let Some(actors) = self.actors_of(model) else { return };
                actors.queue = new;
                actors.wire();
                actors.open_door(&shared);
                for dispatcher in &actors.dispatchers {
                    dispatcher.address.do_send(actors.queue.for_dispatchers());
                }
            }
            ActorId::Dispatcher { model, route, generation } => {
                let Some(entry) = self.models.get(model) else { return };
                let Some(actors) = &entry.actors else { return };
                let Some(dead) = actors.dispatchers.get(*route).filter(|d| d.generation == *generation) else { return };
                let (blueprint, account) = (dead.blueprint.clone(), dead.account.clone());
                let queue = actors.queue.for_dispatchers();
                // The last snapshot remembers what was learned.
                let capacity = entry.model.capacity.borrow();
                let memory = capacity.routes.get(*route).map(RouteCapacity::memory).unwrap_or_default();
                drop(capacity);
                account.do_send(Leave { member: dead.member() });
                let dispatcher = self.start_dispatcher(blueprint, account, queue, memory, ctx);
                let Some(actors) = self.actors_of(model) else { return };
                actors.dispatchers[*route] = dispatcher;
                actors.wire();
            }
            ActorId::Account { provider, generation } => {
                let Some(account) = self.accounts.get(provider).filter(|a| a.generation == *generation) else { return };
                let (settings, client, restarts) =
                    (account.settings.clone(), account.provider.clone(), account.restarts);
                let address = self.start_account(settings, client, restarts, ctx);
                // Each of its dispatchers is replaced too: they hold the dead address.
                let offered = self.models.values_mut().filter_map(|entry| entry.actors.as_mut());
                for actors in offered.chain(self.leaving.iter_mut().map(|(_, actors)| actors)) {
                    for dispatcher in &mut actors.dispatchers {
                        if &dispatcher.blueprint.route.provider_name == provider {
                            dispatcher.blueprint.account = address.recipient();
                            dispatcher.account = address.clone();
                            dispatcher.address.do_send(Stop);
                        }
                    }
                }
            }
        }
    }

    fn actors_of(&mut self, model: &str) -> Option<&mut ModelActors> {
        self.models.get_mut(model)?.actors.as_mut()
    }

    /// Says whether an actor was in service when it ended: it had been neither withdrawn nor replaced.
    fn knows(&self, who: &ActorId) -> bool {
        match who {
            ActorId::Queue { model, generation } => {
                self.models.get(model).is_some_and(|entry| entry.queue_life() == Some(*generation))
            }
            ActorId::Dispatcher { model, route, generation } => {
                let entry = self.models.get(model).and_then(|entry| entry.dispatchers().get(*route));
                entry.is_some_and(|dispatcher| dispatcher.generation == *generation)
            }
            ActorId::Account { provider, generation } => {
                self.accounts.get(provider).is_some_and(|entry| entry.generation == *generation)
            }
        }
    }
}
