//! Restarts actors that ended in service.

use std::time::Duration;

use actix::{AsyncContext, Context, Handler};

use super::{ModelEntry, Supervisor};
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
                let heirs = self.models.get(model).into_iter().flat_map(|entry| &entry.dispatchers);
                heirs.for_each(|heir| heir.address.do_send(Recount));
            }
            // One that was withdrawn is not worth another life: its callers hear that the model is gone.
            let is_it = |entry: &ModelEntry| matches!(&who, ActorId::Queue { generation, .. } if entry.queue.life == *generation);
            if let Some(index) = self.leaving.iter().position(is_it) {
                self.leaving.swap_remove(index).stop();
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
                let Some(entry) = self.models.get(model).filter(|entry| entry.queue.life == *generation) else {
                    return;
                };
                let (shared, on_demand) = (entry.model.clone(), entry.on_demand.is_some());
                let new = self.start_queue(&shared, on_demand, ctx);
                let Some(entry) = self.models.get_mut(model) else { return };
                entry.queue = new;
                entry.wire();
                entry.open_door();
                for dispatcher in &entry.dispatchers {
                    dispatcher.address.do_send(entry.queue.for_dispatchers());
                }
            }
            ActorId::Dispatcher { model, route, generation } => {
                let Some(entry) = self.models.get(model) else { return };
                let Some(dead) = entry.dispatchers.get(*route).filter(|d| d.generation == *generation) else { return };
                let (blueprint, account) = (dead.blueprint.clone(), dead.account.clone());
                let queue = entry.queue.for_dispatchers();
                // The last snapshot remembers what was learned.
                let capacity = entry.model.capacity.borrow();
                let memory = capacity.routes.get(*route).map(RouteCapacity::memory).unwrap_or_default();
                drop(capacity);
                account.do_send(Leave { member: dead.member() });
                let dispatcher = self.start_dispatcher(blueprint, account, queue, memory, ctx);
                let Some(entry) = self.models.get_mut(model) else { return };
                entry.dispatchers[*route] = dispatcher;
                entry.wire();
            }
            ActorId::Account { provider, generation } => {
                let Some(account) = self.accounts.get(provider).filter(|a| a.generation == *generation) else { return };
                let (settings, client, restarts) =
                    (account.settings.clone(), account.provider.clone(), account.restarts);
                let address = self.start_account(settings, client, restarts, ctx);
                // Each of its dispatchers is replaced too: they hold the dead address.
                for entry in self.models.values_mut().chain(&mut self.leaving) {
                    for dispatcher in &mut entry.dispatchers {
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

    /// Says whether an actor was in service when it ended: it had been neither withdrawn nor replaced.
    fn knows(&self, who: &ActorId) -> bool {
        match who {
            ActorId::Queue { model, generation } => {
                self.models.get(model).is_some_and(|entry| entry.queue.life == *generation)
            }
            ActorId::Dispatcher { model, route, generation } => {
                let entry = self.models.get(model).and_then(|entry| entry.dispatchers.get(*route));
                entry.is_some_and(|dispatcher| dispatcher.generation == *generation)
            }
            ActorId::Account { provider, generation } => {
                self.accounts.get(provider).is_some_and(|entry| entry.generation == *generation)
            }
        }
    }
}
