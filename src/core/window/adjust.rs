//! Moves of the window without an answer: by time alone, and by new settings.

use super::config::WindowConfig;
use super::state::State;
use super::{Change, ChangeKind, Window};
use crate::core::time::Time;

impl Window {
    /// Takes new bounds. What was learned stays, clamped to them.
    pub fn reconfigure(&mut self, config: WindowConfig, now: Time) -> Option<Change> {
        let from = self.limit();
        let retarget = config.latency_target != self.config.latency_target;
        self.config = config;
        if retarget {
            self.retarget(now);
        }
        let home = self.config.clamp(self.home());
        self.refusals.reconfigure(&config);
        if self.state.rises() {
            self.load.set_limit(home);
        } else {
            self.probing.soon();
            let _moved = self.hold(now, home, ChangeKind::Reconfigured);
        }
        let to = self.limit();
        (from != to).then_some(Change { kind: ChangeKind::Reconfigured, from, to })
    }

    /// Notes that nothing could be sent until `until`, which is past: that was no idleness.
    pub fn rested(&mut self, until: Time) {
        self.idle.rested(until);
    }

    /// Applies what the passing of time alone changes: idle decay. May be called
    /// at any time; [`on_dispatch`](Window::on_dispatch) does.
    pub fn advance(&mut self, now: Time) -> Option<Change> {
        if self.in_flight() > 0 {
            self.idle.busy(now);
            return None;
        }
        let halvings = self.idle.halvings(now, self.shape.p95());
        let floor = self.config.clamp(self.config.initial.max(self.idle.peak()));
        let home = self.home();
        let to = home.checked_shr(halvings).unwrap_or(0).max(floor);
        if halvings == 0 || to >= home {
            return None;
        }
        if !self.state.rises() {
            self.ascent.restart(now);
            self.state = State::SlowStart { until: home };
        }
        self.set(to, ChangeKind::IdleDecay)
    }
}
