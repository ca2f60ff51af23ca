//! Operators' actions, carried out on a running model.

use std::sync::Arc;

use actix::{Context, Handler, Message};

use super::Supervisor;
use super::entry::{ModelActors, ModelEntry};
use crate::actor::cell::uninterrupted;
use crate::actor::messages::{Lift, Reconfigure};
use crate::engine::shared::model::Model;
use crate::engine::view::overrides::{Action, Override};

impl ModelActors {
    /// Gives the dispatchers, now and in later lives, the model's settings with the override over them.
    pub(super) fn reconfigure_dispatchers(&mut self, model: &Model) {
        let settings = model.operator().over(&model.settings());
        for dispatcher in &mut self.dispatchers {
            dispatcher.blueprint.settings = settings.clone();
            dispatcher.address.do_send(Reconfigure(settings.clone()));
        }
    }
}

/// Handle → supervisor: an operator's action on a model; answers the override in force, `None` where no such model runs.
#[derive(Debug)]
pub(crate) struct Operate {
    pub(crate) model: Arc<str>,
    pub(crate) action: Action,
}

impl Message for Operate {
    type Result = Option<Override>;
}

impl Handler<Operate> for Supervisor {
    type Result = Option<Override>;

    fn handle(&mut self, operate: Operate, ctx: &mut Self::Context) -> Option<Override> {
        uninterrupted(|| self.operate(&operate, ctx))
    }
}

impl Supervisor {
    fn operate(&mut self, operate: &Operate, ctx: &mut Context<Self>) -> Option<Override> {
        // What an operator sets is the actors' to show.
        self.start_actors(&operate.model, ctx);
        let ModelEntry { model, actors, .. } = self.models.get_mut(&operate.model)?;
        let actors = actors.as_mut()?;
        let standing = model.operator().with(operate.action);
        if matches!(operate.action, Action::Release | Action::Resume) {
            for dispatcher in &actors.dispatchers {
                // The account first: what a dispatcher claims after is let.
                dispatcher.account.do_send(Lift);
                dispatcher.address.do_send(Lift);
            }
        }
        model.set_operator(standing);
        actors.reconfigure_dispatchers(model);
        // What stands shows in the queue's snapshots, also where no route changes by it.
        actors.queue.address.do_send(Reconfigure(model.settings()));
        let done = match operate.action {
            Action::Pause => "model paused by operator",
            Action::Resume => "model resumed by operator",
            Action::Pin(_) => "windows pinned by operator",
            Action::Unpin => "windows unpinned by operator",
            Action::Release => "routes released by operator",
        };
        tracing::info!(model = %operate.model, window = standing.window, "{done}");
        Some(standing)
    }
}
