//! One model as one engine schedules it: its broker, and the gates of its one route.
//!
//! What the engine's actors carry between the two by messages is carried here by calls; the machines of `core` decide.
//! A driver hands in what happens, asks [`next`](Scheduler::next) for steps until there are none, and calls again at
//! [`poll_timeout`](Scheduler::poll_timeout) with [`Input::Timeout`].

use std::collections::VecDeque;

use super::gates::{Gates, Inside, Ours, Sent};
use crate::core::broker::{Assigned, Broker, BrokerConfig, Ended, Input, Output, Refused, Ride, Update};
use crate::core::report::Report;
use crate::core::time::Time;
use crate::core::window::{Change, Window, WindowConfig};

/// The one life of the one route.
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
}

/// An attempt under way; [`Scheduler::settle`] ends it.
#[derive(Debug)]
pub struct Flight<J> {
    /// The job, as the broker gave it away.
    pub assigned: Assigned<J>,
    /// When it was dispatched.
    pub at: Time,
    sent: Sent,
}

/// The scheduler of one model with one route.
pub struct Scheduler<J> {
    broker: Broker<J>,
    gates: Box<dyn Gates>,
    /// Jobs that the route was given.
    given: u64,
    steps: VecDeque<Step<J>>,
}

impl<J> std::fmt::Debug for Scheduler<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scheduler").field("given", &self.given).finish_non_exhaustive()
    }
}

impl<J: Ride> Scheduler<J> {
    /// Builds the scheduler of a model whose route begins cold at [`Time::ZERO`].
    #[must_use]
    pub fn new(config: BrokerConfig, window: WindowConfig) -> Self {
        Self::before(config, Box::new(Ours::new(Window::new(window))))
    }

    /// Builds the scheduler of a model before a controller's gates.
    pub(super) fn before(config: BrokerConfig, gates: Box<dyn Gates>) -> Self {
        let mut scheduler = Self { broker: Broker::new(config, Time::ZERO), gates, given: 0, steps: VecDeque::new() };
        scheduler.handle(Input::Wire(vec![LIFE]), Time::ZERO);
        scheduler.tell(0, Vec::new(), Time::ZERO);
        scheduler
    }

    /// Hands the broker an input.
    pub fn handle(&mut self, input: Input<J>, now: Time) {
        self.broker.handle(input, now);
        self.collect(now);
    }

    /// Takes new bounds of the window; what was learned stays.
    pub fn set_window(&mut self, config: WindowConfig, now: Time) {
        self.gates.reconfigure(now, config);
        self.tell(0, Vec::new(), now);
    }

    /// Returns the next step, or `None` when there is nothing to do until something happens.
    pub fn next(&mut self, now: Time) -> Option<Step<J>> {
        self.next_inside(now, Inside::default())
    }

    /// As [`next`](Self::next), for a controller that may look inside the provider.
    ///
    /// Credits are given one at a time, while the gates are open and a job waits: none outlives the call.
    pub(super) fn next_inside(&mut self, now: Time, inside: Inside) -> Option<Step<J>> {
        if self.steps.is_empty() && !self.broker.queue().is_empty() && self.gates.credits(now, inside) > 0 {
            let given = self.given;
            self.tell(1, Vec::new(), now);
            if self.given == given {
                // Nothing that waits may have this slot.
                self.tell(0, Vec::new(), now);
            }
        }
        self.steps.pop_front()
    }

    /// Ends an attempt: its slot is free, and its job leaves, or waits for another one from `again` on. Returns the move of
    /// the window, if it moved. `random`: two numbers from [0, 1).
    pub fn settle(
        &mut self,
        now: Time,
        flight: Flight<J>,
        report: Report,
        again: Option<Time>,
        random: [f64; 2],
    ) -> Option<Change> {
        let Flight { assigned: Assigned { key, cost: charged, job, .. }, at, sent } = flight;
        let (Report { outcome, cost, .. }, service) = (report, now.since(at));
        let change = self.gates.settle(now, sent, report, self.broker.queue().has_ready(), random);
        let ended = match again {
            None => Ended::Done { key, outcome, charged, cost, service },
            Some(not_before) => Ended::Retry { key, outcome, not_before, service, job },
        };
        self.tell(0, vec![ended], now);
        change
    }

    /// Returns when the scheduler wants to be called with [`Input::Timeout`].
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        let gate = self.gates.poll_timeout(now).filter(|_| !self.broker.queue().is_empty());
        gate.into_iter().chain(self.broker.poll_timeout().map(|(at, _)| at)).min()
    }

    /// Returns the broker, to look at.
    #[must_use]
    pub fn broker(&self) -> &Broker<J> {
        &self.broker
    }

    /// Returns how many requests may be in flight.
    #[must_use]
    pub fn window(&self) -> u32 {
        self.gates.limit()
    }

    /// Returns how many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.gates.in_flight()
    }

    /// Tells the broker of the route: `credits` more jobs may come, and jobs have ended.
    fn tell(&mut self, credits: u64, ended: Vec<Ended<J>>, now: Time) {
        let (limit, view) = (self.given + credits, self.gates.view(now));
        self.handle(Input::Update(Update { route: 0, life: LIFE, limit, view, ended }), now);
    }

    fn collect(&mut self, now: Time) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Assign { jobs, .. } => {
                    for assigned in jobs {
                        self.given += 1;
                        let (cost, demand) = (f64::from(assigned.cost.units()), self.broker.queue().has_ready());
                        let sent = self.gates.dispatch(now, cost, demand);
                        self.steps.push_back(Step::Send(Flight { assigned, at: now, sent }));
                    }
                }
                Output::Refuse { job, refused } => self.steps.push_back(Step::Refuse { job, refused }),
                Output::Publish | Output::Reservations { .. } | Output::Retire => {}
            }
        }
    }
}
