//! Takes settings over: starts what is new, changes what runs, withdraws what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix::{AsyncContext, Context};

use super::Supervisor;
use super::entry::{DispatcherEntry, ModelActors, ModelEntry};
use crate::actor::dispatcher::Blueprint;
use crate::actor::messages::{NewQueue, Reconfigure};
use crate::config::{ModelSettings, RouteSettings, Settings};
use crate::core::route::Memory;
use crate::engine::shared::model::Model;
use crate::engine::ticket::door::Door;
use crate::engine::ticket::gate::Gate;
use crate::engine::ticket::lease::Route;
use crate::engine::ticket::lease::RouteMessage;
use crate::engine::ticket::messages::{QueueMessage, Relimit};
use crate::engine::view::capacity::RouteCapacity;
use crate::engine::view::start::StartError;

/// State that a route takes over from the one in its place before.
#[derive(Default)]
struct Inherited {
    memory: Option<Memory>,
    slots: Arc<Gate>,
    door: Arc<Door<RouteMessage>>,
}

impl Supervisor {
    /// Runs on these settings from here on.
    pub(super) fn apply(&mut self, settings: &Arc<Settings>, ctx: &mut Context<Self>) -> Result<(), StartError> {
        // Everything that can fail comes first, so that a refused change changes nothing.
        let mut clients = BTreeMap::new();
        for (name, provider) in &settings.providers {
            if self.accounts.get(name).is_none_or(|account| account.settings != *provider) {
                let client = (self.factory)(provider)
                    .map_err(|source| StartError::Provider { account: name.clone(), source })?;
                clients.insert(name.clone(), client);
            }
        }
        let changed: BTreeSet<Arc<str>> = clients.keys().cloned().collect();
        for (name, client) in clients {
            self.start_account(settings.providers[&name].clone(), client, 0, ctx);
        }
        let before = self.shared.settings();
        self.shared.set_settings(settings.clone());
        self.withdraw(&before, settings, &changed);
        for (name, model) in &settings.models {
            match self.models.remove(name) {
                Some(entry) => {
                    let entry = self.change_model(entry, model, &changed, ctx);
                    self.models.insert(name.clone(), entry);
                }
                None => self.start_model(model, None, ctx),
            }
            if self.has_to_show(model) {
                self.start_actors(name, ctx);
            }
        }
        for entry in self.models.values() {
            // One without actors has no tenants.
            entry.model.queue.send(QueueMessage::Relimit(Relimit { settings: settings.clone(), only: None }));
        }
        // An account ends when the last dispatcher that knows it does.
        self.accounts.retain(|name, _| settings.providers.contains_key(name));
        Ok(())
    }

    /// Withdraws models that the new settings no longer name. Models created on demand are withdrawn too if their template
    /// or its provider has changed.
    fn withdraw(&mut self, before: &Settings, settings: &Settings, changed: &BTreeSet<Arc<str>>) {
        let same = before.unknown_models == settings.unknown_models
            && settings.unknown_models.as_ref().is_none_or(|unknown| !changed.contains(&unknown.provider));
        let stays = |name: &Arc<str>, entry: &ModelEntry| match settings.models.contains_key(name) {
            true => entry.on_demand.is_none(),
            false => entry.on_demand.is_some() && same,
        };
        let gone: Vec<_> = self.models.iter().filter(|(name, entry)| !stays(name, entry)).collect();
        let gone: Vec<Arc<str>> = gone.into_iter().map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| self.offer_no_longer(name));
    }

    /// Gives a model its new settings; its queue and what waits there stay.
    fn change_model(
        &mut self,
        mut entry: ModelEntry,
        settings: &Arc<ModelSettings>,
        changed: &BTreeSet<Arc<str>>,
        ctx: &mut Context<Self>,
    ) -> ModelEntry {
        entry.model.set_settings(settings.clone());
        match &mut entry.actors {
            Some(actors) => self.change_actors(&entry.model, actors, changed, ctx),
            None => self.show_resting(&entry.model),
        }
        entry
    }

    fn change_actors(
        &mut self,
        model: &Model,
        actors: &mut ModelActors,
        changed: &BTreeSet<Arc<str>>,
        ctx: &mut Context<Self>,
    ) {
        let (settings, views) = (model.settings(), model.capacity.borrow().routes.clone());
        actors.queue.address.do_send(Reconfigure(settings.clone()));
        let mut old: Vec<Option<DispatcherEntry>> = actors.dispatchers.drain(..).map(Some).collect();
        let is_at = |route: &RouteSettings, old: &Option<DispatcherEntry>| {
            let old = old.as_ref().map(|old| &old.blueprint.route);
            old.is_some_and(|old| old.provider_name == route.provider && old.upstream == route.model)
        };
        let mut rewired = old.len() != settings.routes.len();
        for (index, route) in settings.routes.iter().enumerate() {
            let found = old.iter().position(|old| is_at(route, old));
            let known = found.and_then(|place| Some((place, old[place].take()?)));
            let next = match known {
                Some((place, same)) if place == index && !changed.contains(&route.provider) => Some(same),
                known => {
                    rewired = true;
                    let memory = known.as_ref().and_then(|(place, _)| views.get(*place)).map(RouteCapacity::memory);
                    let mut inherited = Inherited { memory, ..Inherited::default() };
                    if let Some((_, dispatcher)) = known {
                        dispatcher.stop();
                        // Attempts under way there still occupy the provider, and say here when they end.
                        inherited.slots = dispatcher.blueprint.slots.clone();
                        inherited.door = dispatcher.blueprint.route.dispatcher.clone();
                    }
                    self.start_route(model, index, actors.queue.for_dispatchers(), inherited, ctx)
                }
            };
            actors.dispatchers.extend(next);
        }
        old.iter().flatten().for_each(DispatcherEntry::stop);
        actors.reconfigure_dispatchers(model);
        if rewired {
            actors.wire();
        }
    }

    /// Says whether a model has something to show before its first request: reservations, or an account that is
    /// suspended.
    fn has_to_show(&self, settings: &ModelSettings) -> bool {
        let is_suspended =
            |route: &RouteSettings| self.accounts.get(&route.provider).is_some_and(|account| account.was_suspended);
        !settings.reserve.is_empty() || settings.routes.iter().any(is_suspended)
    }

    /// Offers a model. Its actors begin with its first request; at once where that is why it is offered.
    pub(super) fn start_model(
        &mut self,
        settings: &Arc<ModelSettings>,
        on_demand: Option<Arc<str>>,
        ctx: &mut Context<Self>,
    ) {
        let model = Arc::new(self.shared.new_model(settings.clone()));
        let name = model.name.clone();
        let at_once = on_demand.is_some();
        self.show_resting(&model);
        let entry = ModelEntry { model: model.clone(), actors: None, on_demand, restarts: 0 };
        entry.rest(ctx.address().recipient());
        self.shared.models.insert(name.clone(), model);
        self.models.insert(name.clone(), entry);
        if at_once {
            self.start_actors(&name, ctx);
        }
    }

    /// Starts the actors of a model that has none.
    pub(super) fn start_actors(&mut self, name: &str, ctx: &mut Context<Self>) {
        let Some(entry) = self.models.get(name).filter(|entry| entry.actors.is_none()) else { return };
        let (model, on_demand) = (entry.model.clone(), entry.on_demand.is_some());
        let queue = self.start_queue(&model, on_demand, ctx);
        let mut dispatchers = Vec::new();
        for index in 0..model.settings().routes.len() {
            dispatchers.extend(self.start_route(&model, index, queue.for_dispatchers(), Inherited::default(), ctx));
        }
        let actors = ModelActors { queue, dispatchers };
        actors.wire();
        actors.open_door(&model);
        if let Some(entry) = self.models.get_mut(name) {
            entry.actors = Some(actors);
        }
    }

    /// Shows a model without actors as they would begin.
    fn show_resting(&self, model: &Arc<Model>) {
        model.show_resting(|route| self.learned.memory(&model.name, &route.provider, &route.model));
    }

    /// Starts the dispatcher of a route, with the memory and the leases of an earlier one where there was one.
    fn start_route(
        &mut self,
        model: &Model,
        index: usize,
        queue: NewQueue,
        inherited: Inherited,
        ctx: &mut Context<Self>,
    ) -> Option<DispatcherEntry> {
        let settings = model.settings();
        let route = settings.routes.get(index)?;
        // The settings were validated: a route names a provider that there is.
        let account = self.accounts.get(&route.provider)?;
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let address = account.address.clone();
        let Inherited { memory, slots, door } = inherited;
        let blueprint = Blueprint {
            clock: self.shared.clock,
            model: model.name.clone(),
            index,
            route: Arc::new(Route {
                provider_name: route.provider.clone(),
                upstream: route.model.clone(),
                provider: account.provider.clone(),
                dispatcher: door,
            }),
            settings: settings.clone(),
            stats: model.stats.clone(),
            tap: model.tap.clone(),
            backlog: model.backlog.clone(),
            slots,
            account: account.address.recipient(),
            account_limited: account.is_limited(),
            account_success: account.success.clone(),
            seed: self.seed,
        };
        let earlier = || self.learned.memory(&model.name, &route.provider, &route.model);
        let memory = memory.filter(|memory| memory.window.is_some()).unwrap_or_else(earlier);
        Some(self.start_dispatcher(blueprint, address, queue, memory, ctx))
    }
}
