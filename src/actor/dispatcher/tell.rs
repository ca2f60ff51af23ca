//! What a dispatcher tells listeners beside its own work.

use std::time::Duration;

use super::Dispatcher;
use crate::core::broker::RouteView;
use crate::core::pacer::SUSPENSION;
use crate::core::time::Time;
use crate::core::window::Change;
use crate::engine::view::events::EventKind;

/// Why a route with a spent budget is suspended.
const SPENT: &str = "the provider's quota is used up until its reset";

impl Dispatcher {
    /// Returns what the queue is told of the route.
    pub(super) fn view(&self) -> RouteView {
        RouteView {
            window: self.gates.window().limit(),
            in_flight: self.in_flight(),
            state: self.gates.state(self.clock.now()),
            hold_until: self.gates.hold_until().max(self.suspension.map_or(Time::ZERO, |(until, _)| until)),
            suspension: self.suspension.map(|(_, reason)| reason),
            confirmed_down: self.gates.confirmed_down(),
            paused: self.settings.paused,
            rate: self.gates.refused_rate(),
            misses_target: self.gates.window().misses_target(),
            phase: self.gates.window().phase(),
        }
    }

    /// Says when the latency target begins to be out of reach.
    pub(super) fn tell_target(&self, view: &RouteView) {
        if view.misses_target && !self.told_view.misses_target {
            let (provider, target) = (&self.route.provider_name, self.settings.window.latency_target);
            tracing::warn!(route = self.index, %provider, ?target, window = view.window,
                "requests take longer than window.latency_target although the window is at its minimum");
        }
    }

    /// Marks the route as suspended for as long as it is held.
    pub(super) fn suspend(&mut self, now: Time, reason: Option<&'static str>) {
        let Some(reason) = reason else { return };
        let until = self.gates.hold_until();
        if self.suspension.is_none() {
            let (provider, seconds) = (&self.route.provider_name, until.seconds_since(now));
            tracing::warn!(route = self.index, %provider, seconds, "the route is suspended: {reason}");
        }
        self.suspension = Some((until, reason));
    }

    /// Suspends the route while a budget that its answers told of is spent for long.
    pub(super) fn stop_when_spent(&mut self, now: Time) {
        let spent = self.gates.spent_until(now).filter(|until| until.since(now) >= SUSPENSION);
        let Some(until) = spent.filter(|until| self.suspension.is_none_or(|(known, _)| known < *until)) else { return };
        if self.suspension.is_none() {
            let (provider, seconds) = (&self.route.provider_name, until.seconds_since(now));
            tracing::warn!(route = self.index, %provider, seconds, "the route is suspended: {SPENT}");
            self.held(until.since(now));
        }
        self.suspension = Some((until, SPENT));
    }

    /// Counts a move of the window and tells of it.
    pub(super) fn window_changed(&self, change: Change) {
        let Change { kind, from, to } = change;
        self.stats.window_change(kind);
        tracing::debug!(route = self.index, kind = kind.as_str(), from, to, "window");
        let probe_in = self.gates.window().probe_in();
        self.tap.decide(|| {
            let provider = self.route.provider_name.clone();
            EventKind::WindowChanged { provider, kind, from, to, probe_in }
        });
    }

    /// Tells that nothing is sent for so long.
    pub(super) fn held(&self, wait: Duration) {
        self.tap.decide(|| EventKind::Held { provider: self.route.provider_name.clone(), wait });
    }
}
