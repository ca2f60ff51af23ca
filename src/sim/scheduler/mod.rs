//! A scheduler carries one model as one engine does: its broker, its routes and their accounts.
//!
//! What the engine's actors carry between these by messages is carried here by messages too, one after the other; the
//! machines of `core` decide. In place of each route, a rival's gates can stand behind the same broker. A driver hands in
//! what happens, asks [`next`](Scheduler::next) for steps until there are none, and calls again at
//! [`poll_timeout`](Scheduler::poll_timeout) with [`Input::Timeout`].

mod carry;
mod message;

use std::collections::VecDeque;

pub use self::message::{Flight, Step};
use self::message::{LIFE, Message, Right, life, member};
use super::gates::{Gates, Inside};
use crate::core::account::{self, Account, AccountConfig};
use crate::core::broker::{Broker, BrokerConfig, Ended, Input, Ride, RouteView, Update};
use crate::core::report::Report;
use crate::core::route::{self, Memory, Route, RouteConfig, Settle};
use crate::core::time::Time;

/// A route at its start.
#[derive(Debug, Clone, Copy)]
pub struct RouteStart {
    /// Its settings; the scheduler says which one it is and whether its account has limits.
    pub config: RouteConfig,
    /// The memory that the route begins with.
    pub memory: Memory,
    /// The position of its account; `None` for one of its own without limits.
    pub account: Option<usize>,
}

/// A side stands behind the broker in the place of one route.
enum Side<J> {
    Route {
        route: Box<Route<J>>,
        account: usize,
    },
    /// A rival's gates, and how many jobs they were given.
    Gates(Box<dyn Gates>, u64),
}

/// The scheduler of one model.
pub struct Scheduler<J> {
    broker: Broker<J>,
    sides: Vec<Side<J>>,
    accounts: Vec<Account>,
    limited: Vec<bool>,
    mail: VecDeque<Message<J>>,
    steps: VecDeque<Step<J>>,
    random: Box<dyn FnMut() -> f64>,
}

impl<J> std::fmt::Debug for Scheduler<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl<J: Ride> Scheduler<J> {
    /// Builds the scheduler of a model at [`Time::ZERO`]. `random` draws from [0, 1).
    #[must_use]
    pub fn new(
        broker: BrokerConfig,
        routes: Vec<RouteStart>,
        accounts: Vec<AccountConfig>,
        random: impl FnMut() -> f64 + 'static,
    ) -> Self {
        let mut configs = accounts;
        let mut sides = Vec::new();
        let count = routes.len();
        for (index, RouteStart { config, memory, account }) in routes.into_iter().enumerate() {
            let account = account.filter(|account| *account < configs.len()).unwrap_or_else(|| {
                configs.push(AccountConfig::default());
                configs.len() - 1
            });
            let limited = configs.get(account).is_some_and(AccountConfig::is_limited);
            let config = RouteConfig { index, routes: count, limited, ..config };
            let route = Box::new(Route::new(config, memory, life(index), LIFE, Time::ZERO));
            sides.push(Side::Route { route, account });
        }
        Self::with(broker, sides, configs, Box::new(random))
    }

    /// Builds the scheduler of a model before a rival's gates, one for each route.
    pub(super) fn before(broker: BrokerConfig, gates: Vec<Box<dyn Gates>>) -> Self {
        let sides = gates.into_iter().map(|gates| Side::Gates(gates, 0)).collect();
        Self::with(broker, sides, Vec::new(), Box::new(|| 0.0))
    }

    fn with(
        broker: BrokerConfig,
        sides: Vec<Side<J>>,
        accounts: Vec<AccountConfig>,
        random: Box<dyn FnMut() -> f64>,
    ) -> Self {
        let mut scheduler = Self {
            broker: Broker::new(broker, Time::ZERO),
            limited: accounts.iter().map(AccountConfig::is_limited).collect(),
            accounts: accounts.into_iter().map(|config| Account::new(config, Time::ZERO)).collect(),
            mail: VecDeque::new(),
            steps: VecDeque::new(),
            random,
            sides,
        };
        scheduler.join();
        scheduler.handle(Input::Wire((0..scheduler.sides.len()).map(life).collect()), Time::ZERO);
        scheduler.handle(Input::Timeout, Time::ZERO);
        scheduler
    }

    /// Hands the broker an input; a timeout goes to routes and accounts too.
    pub fn handle(&mut self, input: Input<J>, now: Time) {
        let timeout = matches!(input, Input::Timeout);
        self.carry(Message::Broker(input), now);
        if timeout {
            for route in 0..self.sides.len() {
                match self.sides.get(route) {
                    Some(Side::Route { .. }) => self.carry(Message::Route(route, route::Input::Timeout), now),
                    _ => self.tell_broker(route, 0, Vec::new(), now),
                }
            }
            for account in 0..self.accounts.len() {
                self.carry(Message::Account(account, account::Input::Timeout), now);
            }
        }
    }

    /// Takes new settings of the route at `config.index`; what was learned stays.
    pub fn reconfigure_route(&mut self, config: RouteConfig, now: Time) {
        let Some(Side::Route { account, .. }) = self.sides.get(config.index) else { return };
        let limited = self.limited.get(*account).copied().unwrap_or_default();
        let config = RouteConfig { routes: self.sides.len(), limited, ..config };
        self.carry(Message::Route(config.index, route::Input::Reconfigure(config)), now);
    }

    /// Returns the next step, or `None` when there is nothing to do until something happens.
    pub fn next(&mut self, now: Time) -> Option<Step<J>> {
        self.next_inside(now, |_| Inside::default())
    }

    /// As [`next`](Self::next), for a rival that may look inside the providers of its routes.
    ///
    /// Gates give their credits one at a time, those with the most first, while they are open and a job waits: none
    /// outlives the call.
    pub(super) fn next_inside(&mut self, now: Time, inside: impl Fn(usize) -> Inside) -> Option<Step<J>> {
        if self.steps.is_empty() && !self.broker.queue().is_empty() {
            for (_, route) in self.open_gates(now, inside) {
                let before = self.given(route);
                self.tell_broker(route, 1, Vec::new(), now);
                if self.given(route) == before {
                    // Nothing that waits may have this slot.
                    self.tell_broker(route, 0, Vec::new(), now);
                }
                if !self.steps.is_empty() {
                    break;
                }
            }
        }
        self.steps.pop_front()
    }

    /// Ends an attempt: its slot is free, and its job leaves or, where `again` says so, may be tried again. The time is that
    /// from which a rival's job may; the route decides by itself.
    pub fn settle(&mut self, now: Time, flight: Flight<J>, report: Report, again: Option<Time>) {
        let Flight { mut job, at, route, right } = flight;
        match right {
            Right::Lease { lease, probe } => {
                job.set_past(job.past().after(&report, probe));
                let retry = again.map(|_| job);
                let settle = Settle { life: life(route), lease, report, retry };
                self.carry(Message::Route(route, route::Input::Settle(settle)), now);
            }
            Right::Plain { key, charged, sent } => {
                let (Report { outcome, cost, .. }, service) = (report, now.since(at));
                if let Some(Side::Gates(gates, _)) = self.sides.get_mut(route) {
                    gates.settle(now, sent, report);
                }
                let ended = match again {
                    None => Ended::Done { key, outcome, charged, cost, service },
                    Some(not_before) => Ended::Retry { key, outcome, not_before, service, job },
                };
                self.tell_broker(route, 0, vec![ended], now);
            }
        }
    }

    /// Returns when the scheduler wants to be called with [`Input::Timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let routes = self.sides.iter().filter_map(|side| match side {
            Side::Route { route, .. } => route.poll_timeout().map(|(at, _)| at),
            Side::Gates(..) => None,
        });
        let accounts = self.accounts.iter().filter_map(|account| account.poll_timeout().map(|(at, _)| at));
        let waited_for = routes.chain(accounts).min().filter(|_| !self.broker.queue().is_empty());
        waited_for.into_iter().chain(self.broker.poll_timeout().map(|(at, _)| at)).min()
    }

    /// Returns the broker, to look at.
    #[must_use]
    pub fn broker(&self) -> &Broker<J> {
        &self.broker
    }

    /// Returns how many requests may be in flight, over all routes.
    #[must_use]
    pub fn window(&self) -> u32 {
        let windows = self.sides.iter().map(|side| match side {
            Side::Route { route, .. } => route.gates().window().limit(),
            Side::Gates(gates, _) => gates.limit(),
        });
        windows.sum()
    }

    /// Returns how many requests are in flight, over all routes.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        let counts = self.sides.iter().map(|side| match side {
            Side::Route { route, .. } => route.gates().window().in_flight(),
            Side::Gates(gates, _) => gates.in_flight(),
        });
        counts.sum()
    }

    /// Returns the gates that are open, those with the most credits first; of several the last, as the broker does.
    fn open_gates(&mut self, now: Time, inside: impl Fn(usize) -> Inside) -> Vec<(u32, usize)> {
        let credits = |(route, side): (usize, &mut Side<J>)| match side {
            Side::Gates(gates, _) => Some((gates.credits(now, inside(route)), route)),
            Side::Route { .. } => None,
        };
        let mut open: Vec<(u32, usize)> = self.sides.iter_mut().enumerate().filter_map(credits).collect();
        open.retain(|(credits, _)| *credits > 0);
        open.sort_unstable_by(|a, b| b.cmp(a));
        open
    }

    /// Returns how many jobs a rival's gates were given.
    fn given(&self, route: usize) -> u64 {
        match self.sides.get(route) {
            Some(Side::Gates(_, given)) => *given,
            _ => 0,
        }
    }

    /// Tells the broker of a rival's gates: `credits` more jobs may come, and jobs have ended.
    fn tell_broker(&mut self, route: usize, credits: u64, ended: Vec<Ended<J>>, now: Time) {
        let Some(Side::Gates(gates, given)) = self.sides.get(route) else { return };
        let view = RouteView { window: gates.limit(), in_flight: gates.in_flight(), ..RouteView::new() };
        let update = Update { route, life: life(route), limit: given + credits, view, ended };
        self.carry(Message::Broker(Input::Update(update)), now);
    }

    /// Has every route use its account.
    fn join(&mut self) {
        for (route, side) in self.sides.iter().enumerate() {
            if let Side::Route { account, .. } = side {
                let join = account::Input::Join(member(route));
                self.mail.push_back(Message::Account(*account, join));
            }
        }
    }
}
