//! Settings that an operator makes on a model while it runs.

use std::sync::Arc;

use crate::config::ModelSettings;
use crate::core::window::WindowConfig;

/// An operator's wish about one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

/// Operator's settings in force on a model. They outlive reloads and restarts of actors, not the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Override {
    /// Whether nothing is dispatched.
    pub paused: bool,
    /// Requests each route's window is held at.
    pub window: Option<u32>,
}

impl Override {
    pub(crate) fn with(self, action: Action) -> Self {
        match action {
            Action::Pause => Self { paused: true, ..self },
            Action::Resume => Self { paused: false, ..self },
            Action::Pin(window) => Self { window: Some(window.max(1)), ..self },
            Action::Unpin => Self { window: None, ..self },
            Action::Release => self,
        }
    }

    /// Lays the override over what is configured.
    pub(crate) fn over(self, configured: &Arc<ModelSettings>) -> Arc<ModelSettings> {
        if self == Self::default() {
            return configured.clone();
        }
        let pinned =
            self.window.map(|window| WindowConfig { initial: window, min: window, max: window, ..configured.window });
        let window = pinned.unwrap_or(configured.window);
        Arc::new(ModelSettings { paused: self.paused, window, ..ModelSettings::clone(configured) })
    }
}
