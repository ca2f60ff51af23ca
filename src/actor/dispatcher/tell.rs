//! What a dispatcher tells listeners beside its own work.

use std::time::Duration;

use super::Dispatcher;
use crate::actor::events::EventKind;
use crate::core::window::Change;

impl Dispatcher {
    /// Counts a move of the window and tells of it.
    pub(super) fn window_changed(&self, change: Change) {
        let Change { kind, from, to } = change;
        self.stats.window_change(kind);
        tracing::debug!(route = self.index, kind = kind.as_str(), from, to, "window");
        self.tap.tell(|| EventKind::WindowChanged { provider: self.route.provider_name.clone(), kind, from, to });
    }

    /// Tells that nothing is sent for so long.
    pub(super) fn held(&self, wait: Duration) {
        self.tap.tell(|| EventKind::Held { provider: self.route.provider_name.clone(), wait });
    }
}
