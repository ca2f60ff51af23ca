//! What an operator sets about a model while it runs.

use std::sync::Arc;

use actix::{Handler, Message};

use super::messages::{Lift, Reconfigure};
use super::supervisor::{ModelEntry, Supervisor};
use crate::config::ModelSettings;
use crate::core::window::WindowConfig;

/// An operator's wish about one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Dispatch nothing more; what is in flight ends, what comes waits.
    Pause,
    /// Dispatch again.
    Resume,
    /// Hold each route's window at this many requests, at least 1.
    Pin(u32),
    /// Let the windows learn again, within the configured bounds.
    Unpin,
    /// Lift what holds the routes, and their accounts: holds, suspensions, spent quotas, learned rates, the breaker's
    /// rest. One request goes at once. Resuming does so too.
    Release,
}

/// What stands in force of those wishes. It outlives reloads and restarts of actors, not the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Override {
    /// Whether nothing is dispatched.
    pub paused: bool,
    /// Requests each route's window is held at.
    pub window: Option<u32>,
}

impl Override {
    fn with(self, action: Action) -> Self {
        match action {
            Action::Pause => Self { paused: true, ..self },
            Action::Resume => Self { paused: false, ..self },
            Action::Pin(window) => Self { window: Some(window.max(1)), ..self },
            Action::Unpin => Self { window: None, ..self },
            Action::Release => self,
        }
    }

    /// Lays the override over what is configured.
    pub(super) fn over(self, configured: &Arc<ModelSettings>) -> Arc<ModelSettings> {
        if self == Self::default() {
            return configured.clone();
        }
        let pinned =
            self.window.map(|window| WindowConfig { initial: window, min: window, max: window, ..configured.window });
        let window = pinned.unwrap_or(configured.window);
        Arc::new(ModelSettings { paused: self.paused, window, ..ModelSettings::clone(configured) })
    }
}

impl ModelEntry {
    /// Gives the dispatchers, now and in later lives, the model's settings with the override over them.
    pub(super) fn reconfigure_dispatchers(&mut self) {
        let settings = self.model.operator().over(&self.model.settings());
        for dispatcher in &mut self.dispatchers {
            dispatcher.blueprint.settings = settings.clone();
            dispatcher.address.do_send(Reconfigure(settings.clone()));
        }
    }
}

/// Handle → supervisor: an operator's wish; answers what is in force, `None` where no such model runs.
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

    fn handle(&mut self, operate: Operate, _: &mut Self::Context) -> Option<Override> {
        let entry = self.models.get_mut(&operate.model)?;
        let standing = entry.model.operator().with(operate.action);
        if matches!(operate.action, Action::Release | Action::Resume) {
            for dispatcher in &entry.dispatchers {
                // The account first: what a dispatcher claims after is let.
                dispatcher.blueprint.account.do_send(Lift);
                dispatcher.address.do_send(Lift);
            }
        }
        entry.model.set_operator(standing);
        entry.reconfigure_dispatchers();
        // What stands shows in the queue's snapshots, also where no route changes by it.
        entry.model.send(Reconfigure(entry.model.settings()));
        tracing::info!(model = %operate.model, action = ?operate.action, "an operator has spoken");
        Some(standing)
    }
}
