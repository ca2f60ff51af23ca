//! A route tells its broker of credits and state, and people of events.

use super::message::{Event, Output};
use super::told::Suspension;
use super::{Ended, Route};
use crate::core::broker::{Ride, RouteView, Update};
use crate::core::pacer::SUSPENSION;
use crate::core::time::Time;
use crate::core::window::Change;

/// Why a route with a spent budget is suspended.
const SPENT: &str = "the provider's quota is used up until its reset";

impl<J: Ride> Route<J> {
    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Tells of a move of the window.
    pub(super) fn moved(&mut self, change: Option<Change>) {
        if let Some(change) = change {
            self.event(Event::Moved { change, probe_in: self.gates.window().probe_in() });
        }
    }

    fn view(&self, now: Time) -> RouteView {
        let view = self.gates.view(now);
        RouteView {
            in_flight: self.in_flight(),
            hold_until: view.hold_until.max(self.suspension.map_or(Time::ZERO, |suspension| suspension.until)),
            suspension: self.suspension.map(|suspension| suspension.reason),
            paused: self.config.paused,
            ..view
        }
    }

    /// Tells the broker of credits, state and jobs, where any of them has changed.
    pub(super) fn update(&mut self, now: Time) {
        let limit = self.told.assigned + u64::from(self.credits(now));
        let view = self.view(now);
        if view.misses_target && !self.told.view.misses_target {
            self.event(Event::MissesTarget { window: view.window });
        }
        if limit == self.told.limit && view == self.told.view && self.ended.is_empty() {
            return;
        }
        (self.told.limit, self.told.view) = (limit, view);
        let ended: Vec<Ended<J>> = std::mem::take(&mut self.ended);
        let (route, life) = (self.config.index, self.life);
        self.outputs.push_back(Output::Update(Update { route, life, limit, view, ended }));
    }

    /// Marks the route as suspended for as long as it is held, where there is a reason.
    pub(super) fn suspend(&mut self, now: Time, reason: Option<&'static str>) {
        let Some(reason) = reason else { return };
        let until = self.gates.hold_until();
        if self.suspension.is_none() {
            self.event(Event::Suspended { wait: until.since(now), reason });
        }
        self.suspension = Some(Suspension { until, reason });
    }

    /// Suspends the route while a budget that its answers told of is spent for long.
    pub(super) fn suspend_when_spent(&mut self, now: Time) {
        let spent = self.gates.spent_until(now).filter(|until| until.since(now) >= SUSPENSION);
        let longer = |until: &Time| self.suspension.is_none_or(|known| known.until < *until);
        let Some(until) = spent.filter(longer) else { return };
        if self.suspension.is_none() {
            let wait = until.since(now);
            self.event(Event::Suspended { wait, reason: SPENT });
            self.event(Event::Held { wait });
        }
        self.suspension = Some(Suspension { until, reason: SPENT });
    }
}
