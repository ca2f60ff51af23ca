//! The gates of one dispatcher: what decides when a request goes, and how many at once.

use crate::core::broker::RouteView;
use crate::core::pacer::Pacer;
use crate::core::report::Report;
use crate::core::route::{self, Ticket};
use crate::core::time::Time;
use crate::core::window::{Change, Window, WindowConfig};

/// What only the oracle may look at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inside {
    /// How many more requests the provider would serve at once.
    pub(super) room: u32,
    /// This replica's part of the capacity.
    pub(super) share: u32,
}

/// What a controller remembers of one dispatch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    Ours(Ticket),
    Plain { at: Time, in_flight: u32 },
}

/// All gates of one dispatcher.
pub(super) trait Gates {
    /// How many requests may be sent now.
    fn credits(&mut self, now: Time, inside: Inside) -> u32;
    fn dispatch(&mut self, now: Time, cost: f64, demand: bool) -> Sent;
    fn settle(&mut self, now: Time, sent: Sent, report: Report, demand: bool, random: [f64; 2]) -> Option<Change>;
    /// The limit on requests in flight.
    fn limit(&self) -> u32;
    fn in_flight(&self) -> u32;
    /// When a gate opens by itself.
    fn poll_timeout(&self, now: Time) -> Option<Time>;
    /// Takes new bounds, where there are any.
    fn reconfigure(&mut self, _: Time, _: WindowConfig) {}
    /// What the broker is told of the route.
    fn view(&self, _: Time) -> RouteView {
        RouteView { window: self.limit(), in_flight: self.in_flight(), ..RouteView::new() }
    }
}

/// The gates of a fairflow route.
pub(super) struct Ours {
    route: route::Gates,
}

impl Ours {
    pub(super) fn new(window: Window) -> Self {
        Self { route: route::Gates::new(window, Pacer::default()) }
    }
}

impl Gates for Ours {
    fn credits(&mut self, now: Time, _: Inside) -> u32 {
        self.route.credits(now, 0)
    }

    fn dispatch(&mut self, now: Time, cost: f64, demand: bool) -> Sent {
        Sent::Ours(self.route.dispatch(now, cost, 0, demand))
    }

    fn settle(&mut self, now: Time, sent: Sent, report: Report, demand: bool, random: [f64; 2]) -> Option<Change> {
        let Sent::Ours(ticket) = sent else { return None };
        self.route.settle(now, ticket, report, demand, random).change
    }

    fn limit(&self) -> u32 {
        self.route.window().limit()
    }

    fn in_flight(&self) -> u32 {
        self.route.window().in_flight()
    }

    fn poll_timeout(&self, now: Time) -> Option<Time> {
        self.route.poll_timeout(now).map(|(at, _)| at)
    }

    fn reconfigure(&mut self, now: Time, config: WindowConfig) {
        self.route.reconfigure(config, now);
    }

    fn view(&self, now: Time) -> RouteView {
        RouteView {
            window: self.limit(),
            in_flight: self.in_flight(),
            state: self.route.state(now),
            hold_until: self.route.hold_until(),
            confirmed_down: self.route.confirmed_down(),
            ..RouteView::new()
        }
    }
}

/// The gates that know what the provider could serve.
#[derive(Default)]
pub(super) struct Oracle {
    in_flight: u32,
    share: u32,
}

impl Gates for Oracle {
    fn credits(&mut self, _: Time, inside: Inside) -> u32 {
        self.share = inside.share;
        inside.room.min(inside.share.saturating_sub(self.in_flight))
    }

    fn dispatch(&mut self, at: Time, _: f64, _: bool) -> Sent {
        self.in_flight += 1;
        Sent::Plain { at, in_flight: self.in_flight }
    }

    fn settle(&mut self, _: Time, _: Sent, _: Report, _: bool, _: [f64; 2]) -> Option<Change> {
        self.in_flight -= 1;
        None
    }

    fn limit(&self) -> u32 {
        self.share
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn poll_timeout(&self, _: Time) -> Option<Time> {
        None
    }
}
