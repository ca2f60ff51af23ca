//! One model as one engine schedules it: its broker and its one route.
//!
//! What the engine's actors carry between the two by messages is carried here by calls; the machines of `core` decide. In
//! place of the route, a rival's gates can stand behind the same broker. A driver hands in what happens, asks
//! [`next`](Scheduler::next) for steps until there are none, and calls again at
//! [`poll_timeout`](Scheduler::poll_timeout) with [`Input::Timeout`].

use std::collections::VecDeque;

use super::gates::{Gates, Inside, Sent};
use crate::core::broker::{Assigned, Broker, BrokerConfig, Ended, Input, Output, Refused, Ride, RouteView, Update};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::report::Report;
use crate::core::route::{self, Memory, Route, RouteConfig, Settle, Surroundings};
use crate::core::time::Time;
use crate::core::window::Change;

/// The one life of the broker and of the route.
const LIFE: u32 = 1;

/// A step that a scheduler wants of its driver.
#[derive(Debug)]
pub enum Step<J> {
    /// An attempt is made.
    Send(Flight<J>),
    /// A job ends without an attempt under way.
    Refuse {
        /// The job.
        job: J,
        /// Why.
        refused: Refused,
    },
    /// The window moved.
    Moved(Change),
}

/// An attempt under way; [`Scheduler::settle`] ends it.
#[derive(Debug)]
pub struct Flight<J> {
    /// The job.
    pub job: J,
    /// When it was dispatched.
    pub at: Time,
    right: Right,
}

/// The right by which an attempt is under way.
#[derive(Debug, Clone, Copy)]
enum Right {
    /// A lease of the route.
    Lease { lease: Key, probe: bool },
    /// What a rival has to know again.
    Plain { key: Key, charged: Cost, sent: Sent },
}

/// What stands behind the broker.
enum Side<J> {
    Route(Box<Route<J>>),
    /// A rival's gates, and the jobs that they were given.
    Gates(Box<dyn Gates>, u64),
}

/// The scheduler of one model with one route.
pub struct Scheduler<J> {
    broker: Broker<J>,
    side: Side<J>,
    steps: VecDeque<Step<J>>,
    random: Box<dyn FnMut() -> f64>,
}

impl<J> std::fmt::Debug for Scheduler<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}

impl<J: Ride> Scheduler<J> {
    /// Builds the scheduler of a model at [`Time::ZERO`], whose route begins with what `memory` holds. `random` draws from
    /// [0, 1).
    #[must_use]
    pub fn new(
        broker: BrokerConfig,
        route: RouteConfig,
        memory: Memory,
        random: impl FnMut() -> f64 + 'static,
    ) -> Self {
        let route = Route::new(route, memory, LIFE, LIFE, Time::ZERO);
        Self::with(broker, Side::Route(Box::new(route)), Box::new(random))
    }

    /// Builds the scheduler of a model before a rival's gates.
    pub(super) fn before(broker: BrokerConfig, gates: Box<dyn Gates>) -> Self {
        Self::with(broker, Side::Gates(gates, 0), Box::new(|| 0.0))
    }

    fn with(broker: BrokerConfig, side: Side<J>, random: Box<dyn FnMut() -> f64>) -> Self {
        let broker = Broker::new(broker, Time::ZERO);
        let mut scheduler = Self { broker, side, steps: VecDeque::new(), random };
        scheduler.handle(Input::Wire(vec![LIFE]), Time::ZERO);
        scheduler.handle(Input::Timeout, Time::ZERO);
        scheduler
    }

    /// Hands the broker an input; a timeout goes to the route too.
    pub fn handle(&mut self, input: Input<J>, now: Time) {
        let timeout = matches!(input, Input::Timeout);
        self.broker.handle(input, now);
        self.collect(now);
        if timeout {
            match &self.side {
                Side::Route(_) => self.tell_route(route::Input::Timeout, now),
                Side::Gates(..) => self.tell_broker(0, Vec::new(), now),
            }
        }
    }

    /// Takes new settings of the route; what was learned stays.
    pub fn reconfigure_route(&mut self, config: RouteConfig, now: Time) {
        self.tell_route(route::Input::Reconfigure(config), now);
    }

    /// Returns the next step, or `None` when there is nothing to do until something happens.
    pub fn next(&mut self, now: Time) -> Option<Step<J>> {
        self.next_inside(now, Inside::default())
    }

    /// As [`next`](Self::next), for a rival that may look inside the provider.
    ///
    /// Gates give their credits one at a time, while they are open and a job waits: none outlives the call.
    pub(super) fn next_inside(&mut self, now: Time, inside: Inside) -> Option<Step<J>> {
        if self.steps.is_empty()
            && !self.broker.queue().is_empty()
            && let Side::Gates(gates, given) = &mut self.side
            && gates.credits(now, inside) > 0
        {
            let before = *given;
            self.tell_broker(1, Vec::new(), now);
            if matches!(self.side, Side::Gates(_, given) if given == before) {
                // Nothing that waits may have this slot.
                self.tell_broker(0, Vec::new(), now);
            }
        }
        self.steps.pop_front()
    }

    /// Ends an attempt: its slot is free, and its job leaves or, where `again` says so, may be tried again. The time is that
    /// from which a rival's job may; the route decides by itself.
    pub fn settle(&mut self, now: Time, flight: Flight<J>, report: Report, again: Option<Time>) {
        let Flight { mut job, at, right } = flight;
        match right {
            Right::Lease { lease, probe } => {
                job.set_past(job.past().after(&report, probe));
                let retry = again.map(|_| job);
                self.tell_route(route::Input::Settle(Settle { life: LIFE, lease, report, retry }), now);
            }
            Right::Plain { key, charged, sent } => {
                let (Report { outcome, cost, .. }, service) = (report, now.since(at));
                if let Side::Gates(gates, _) = &mut self.side {
                    gates.settle(now, sent, report);
                }
                let ended = match again {
                    None => Ended::Done { key, outcome, charged, cost, service },
                    Some(not_before) => Ended::Retry { key, outcome, not_before, service, job },
                };
                self.tell_broker(0, vec![ended], now);
            }
        }
    }

    /// Returns when the scheduler wants to be called with [`Input::Timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let route = match &self.side {
            Side::Route(route) => route.poll_timeout().map(|(at, _)| at),
            Side::Gates(..) => None,
        };
        let route = route.filter(|_| !self.broker.queue().is_empty());
        route.into_iter().chain(self.broker.poll_timeout().map(|(at, _)| at)).min()
    }

    /// Returns the broker, to look at.
    #[must_use]
    pub fn broker(&self) -> &Broker<J> {
        &self.broker
    }

    /// Returns how many requests may be in flight.
    #[must_use]
    pub fn window(&self) -> u32 {
        match &self.side {
            Side::Route(route) => route.gates().window().limit(),
            Side::Gates(gates, _) => gates.limit(),
        }
    }

    /// Returns how many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        match &self.side {
            Side::Route(route) => route.gates().window().in_flight(),
            Side::Gates(gates, _) => gates.in_flight(),
        }
    }

    /// Tells the broker of the gates: `credits` more jobs may come, and jobs have ended.
    fn tell_broker(&mut self, credits: u64, ended: Vec<Ended<J>>, now: Time) {
        let Side::Gates(gates, given) = &self.side else { return };
        let view = RouteView { window: gates.limit(), in_flight: gates.in_flight(), ..RouteView::new() };
        let update = Update { route: 0, life: LIFE, limit: given + credits, view, ended };
        self.broker.handle(Input::Update(update), now);
        self.collect(now);
    }

    /// Hands the route an input, and carries what follows.
    fn tell_route(&mut self, input: route::Input<J>, now: Time) {
        let Side::Route(route) = &mut self.side else { return };
        route.observe(Surroundings { demand: self.broker.queue().has_ready(), slots: 0 });
        route.handle(input, now, &mut *self.random);
        while let Side::Route(route) = &mut self.side
            && let Some(output) = route.poll_output()
        {
            match output {
                route::Output::Grant(route::Grant { job, lease, probe, sent, .. }) => {
                    let right = Right::Lease { lease, probe };
                    self.steps.push_back(Step::Send(Flight { job, at: sent, right }));
                }
                route::Output::Refuse { job, refused } => self.steps.push_back(Step::Refuse { job, refused }),
                route::Output::Event(route::Event::Moved { change, .. }) => self.steps.push_back(Step::Moved(change)),
                route::Output::Update(update) => self.broker.handle(Input::Update(update), now),
                route::Output::Claim(_) | route::Output::Signal(_) | route::Output::Event(_) => {}
            }
        }
        self.collect(now);
    }

    /// Carries what the broker puts out.
    fn collect(&mut self, now: Time) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Assign { jobs, .. } => match &mut self.side {
                    Side::Route(_) => self.tell_route(route::Input::Assign { broker: LIFE, jobs }, now),
                    Side::Gates(gates, given) => {
                        for Assigned { key, cost: charged, job, .. } in jobs {
                            *given += 1;
                            let right = Right::Plain { key, charged, sent: gates.dispatch(now) };
                            self.steps.push_back(Step::Send(Flight { job, at: now, right }));
                        }
                    }
                },
                Output::Refuse { job, refused } => self.steps.push_back(Step::Refuse { job, refused }),
                Output::Publish | Output::Reservations { .. } | Output::Retire => {}
            }
        }
    }
}
