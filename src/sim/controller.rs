//! Who decides how many requests go: fairflow, its rivals, and an oracle.

use std::fmt;

use super::rivals::{Aimd, Arc, Envoy, Fixed, Gradient2, Limited, Rule, Vegas};
use super::scenario::Scenario;
use crate::core::broker::RouteView;
use crate::core::pacer::Pacer;
use crate::core::report::Report;
use crate::core::route::{self, Ticket};
use crate::core::time::Time;
use crate::core::window::{Change, Window, WindowConfig};

/// A controller by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Controller {
    /// All gates of a fairflow route.
    Fairflow,
    /// Vector's adaptive request concurrency.
    VectorArc,
    /// Netflix concurrency-limits: AIMD with the published constants.
    NetflixAimd,
    /// The same with its floor lowered to 1 and its latency limit off: the best that can be made of it here.
    NetflixAimdFloor1,
    /// Netflix concurrency-limits: Vegas.
    NetflixVegas,
    /// Netflix concurrency-limits: Gradient2.
    Gradient2,
    /// Envoy's adaptive concurrency filter.
    Envoy,
    /// A fixed limit, as tower's `ConcurrencyLimit`.
    Fixed(u32),
    /// The same with a retry budget, as tower's `Budget`: a retry beyond it fails.
    FixedBudget(u32),
    /// Knows at each instant what the provider could serve.
    Oracle,
}

impl Controller {
    /// All that are compared, fairflow first; the oracle is what they are measured against.
    pub const ALL: [Self; 13] = [
        Self::Fairflow,
        Self::VectorArc,
        Self::NetflixAimd,
        Self::NetflixAimdFloor1,
        Self::NetflixVegas,
        Self::Gradient2,
        Self::Envoy,
        Self::Fixed(4),
        Self::Fixed(24),
        Self::Fixed(200),
        Self::FixedBudget(4),
        Self::FixedBudget(24),
        Self::FixedBudget(200),
    ];

    pub(super) fn gates(self, scenario: &Scenario, seed: u64) -> Box<dyn Gates> {
        fn limited<R: Rule + 'static>(rule: R) -> Box<dyn Gates> {
            Box::new(Limited::new(rule))
        }
        match self {
            Self::Fairflow => {
                let config = scenario.window.config();
                let window = match scenario.remembered {
                    Some(limit) => Window::remembered(config, limit),
                    None => Window::new(config),
                };
                Box::new(Ours::new(window))
            }
            Self::VectorArc => limited(Arc::new()),
            Self::NetflixAimd => limited(Aimd::published()),
            Self::NetflixAimdFloor1 => limited(Aimd::floor_1()),
            Self::NetflixVegas => limited(Vegas::new(seed)),
            Self::Gradient2 => limited(Gradient2::new()),
            Self::Envoy => limited(Envoy::new(seed)),
            Self::Fixed(limit) | Self::FixedBudget(limit) => limited(Fixed(limit)),
            Self::Oracle => Box::new(Oracle::default()),
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Fairflow => "fairflow",
            Self::VectorArc => "Vector ARC",
            Self::NetflixAimd => "Netflix AIMD",
            Self::NetflixAimdFloor1 => "Netflix AIMD, floor 1",
            Self::NetflixVegas => "Netflix Vegas",
            Self::Gradient2 => "Netflix Gradient2",
            Self::Envoy => "Envoy gradient",
            Self::Fixed(limit) => return write!(f, "fixed {limit}"),
            Self::FixedBudget(limit) => return write!(f, "fixed {limit}, budget"),
            Self::Oracle => "oracle",
        };
        f.write_str(name)
    }
}

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

#[derive(Default)]
struct Oracle {
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
