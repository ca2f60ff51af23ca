//! The routes of a model as its broker sees them: what each may be given, and what it told of itself.

use super::message::Assigned;
use super::{Output, Time};
use crate::core::health::RouteState;
use crate::core::window::Phase;

/// A route's state, as it tells its broker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RouteView {
    /// Requests it may have in flight.
    pub window: u32,
    /// Requests it has in flight.
    pub in_flight: u32,
    /// The breaker's state.
    pub state: RouteState,
    /// End of the hold; in the past where there is none.
    pub hold_until: Time,
    /// Why the route is suspended, where it is.
    pub suspension: Option<&'static str>,
    /// Whether a probe of the closed route has failed too.
    pub confirmed_down: bool,
    /// Whether an operator has stopped it.
    pub paused: bool,
    /// Requests per second at which the provider refused last, where refusals told a rate.
    pub rate: Option<f64>,
    /// Whether service takes longer than the latency target although the window is at its minimum.
    pub misses_target: bool,
    /// What the window is doing.
    pub phase: Phase,
}

impl RouteView {
    /// Returns the view of a route that has told nothing yet: open, with no slot.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 0,
            in_flight: 0,
            state: RouteState::Open,
            hold_until: Time::ZERO,
            suspension: None,
            confirmed_down: false,
            paused: false,
            rate: None,
            misses_target: false,
            phase: Phase::SlowStart,
        }
    }

    /// Returns until when nothing can be sent; not after `now` where the route is usable.
    #[must_use]
    pub fn closed_until(&self) -> Time {
        match self.state {
            RouteState::Closed { until } => until.max(self.hold_until),
            _ => self.hold_until,
        }
    }
}

impl Default for RouteView {
    fn default() -> Self {
        Self::new()
    }
}

/// One route's credits and view, in its present life.
#[derive(Debug)]
pub(super) struct Credits<J> {
    life: u32,
    /// Jobs assigned in this life, and how many may be.
    assigned: u64,
    limit: u64,
    pub(super) view: RouteView,
    /// Jobs for it that are not put out yet.
    batch: Vec<Assigned<J>>,
}

impl<J> Credits<J> {
    fn new(life: u32) -> Self {
        Self { life, assigned: 0, limit: 0, view: RouteView::new(), batch: Vec::new() }
    }

    /// Returns how many jobs it may be given now.
    pub(super) fn open(&self) -> u64 {
        self.limit.saturating_sub(self.assigned)
    }

    pub(super) fn assign(&mut self, job: Assigned<J>) {
        self.assigned += 1;
        self.batch.push(job);
    }
}

/// The routes of one model.
#[derive(Debug)]
pub(super) struct Routes<J> {
    pub(super) all: Vec<Credits<J>>,
    /// The last opening of a route for which jobs were looked at that cannot wait for it.
    pub(super) hopeless_until: Time,
}

impl<J> Routes<J> {
    pub(super) const fn new() -> Self {
        Self { all: Vec::new(), hopeless_until: Time::ZERO }
    }

    pub(super) fn views(&self) -> impl Iterator<Item = &RouteView> {
        self.all.iter().map(|credits| &credits.view)
    }

    /// Takes a route's update; says whether it is from its present life.
    pub(super) fn update(&mut self, route: usize, life: u32, limit: u64, view: RouteView) -> bool {
        let Some(credits) = self.all.get_mut(route).filter(|credits| credits.life == life) else { return false };
        credits.limit = limit;
        credits.view = view;
        true
    }

    /// Puts the routes of those lives in place; returns the positions whose earlier life is over.
    pub(super) fn wire(&mut self, lives: &[u32]) -> Vec<u32> {
        let mut gone = Vec::new();
        for (route, life) in lives.iter().enumerate() {
            match self.all.get_mut(route) {
                None => self.all.push(Credits::new(*life)),
                Some(old) if old.life != *life => {
                    *old = Credits::new(*life);
                    gone.push(holder(route));
                }
                Some(_) => {}
            }
        }
        gone.extend((lives.len()..self.all.len()).map(holder));
        self.all.truncate(lives.len());
        gone
    }

    /// Returns the route with the most credit, where any has some: so a faster route serves more.
    pub(super) fn most_credit(&self) -> Option<usize> {
        let best = self.all.iter().enumerate().max_by_key(|(_, credits)| credits.open());
        best.filter(|(_, credits)| credits.open() > 0).map(|(route, _)| route)
    }

    /// Returns the first opening of a route, where there are any.
    pub(super) fn opens_at(&self) -> Option<Time> {
        self.views().map(RouteView::closed_until).min()
    }

    /// Puts out what the routes were given.
    pub(super) fn flush(&mut self) -> impl Iterator<Item = Output<J>> {
        let given = self.all.iter_mut().enumerate().filter(|(_, credits)| !credits.batch.is_empty());
        given.map(|(route, credits)| Output::Assign { route, jobs: std::mem::take(&mut credits.batch) })
    }
}

/// Returns the number by which the fair queue knows a route.
#[allow(clippy::cast_possible_truncation, reason = "a handful of routes")]
pub(super) const fn holder(route: usize) -> u32 {
    route as u32
}
