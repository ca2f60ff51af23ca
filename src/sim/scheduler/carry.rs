//! Messages between the machines of one scheduler, in the order in which they were sent.

use super::message::{Flight, LIFE, Message, Right, Step, position};
use super::{Scheduler, Side};
use crate::core::account;
use crate::core::broker::{Assigned, Input, Output, Ride};
use crate::core::outcome::Outcome;
use crate::core::route::{self, Grant, Surroundings};
use crate::core::time::Time;

impl<J: Ride> Scheduler<J> {
    /// Carries a message, and all that follow from it.
    pub(super) fn carry(&mut self, message: Message<J>, now: Time) {
        self.mail.push_back(message);
        while let Some(message) = self.mail.pop_front() {
            match message {
                Message::Broker(input) => {
                    self.broker.handle(input, now);
                    while let Some(output) = self.broker.poll_output() {
                        self.put_out(output, now);
                    }
                }
                Message::Route(at, input) => self.hand_route(at, input, now),
                Message::Account(at, input) => self.hand_account(at, input, now),
            }
        }
    }

    fn put_out(&mut self, output: Output<J>, now: Time) {
        match output {
            Output::Assign { route: at, jobs } => match self.sides.get_mut(at) {
                Some(Side::Route { .. }) => {
                    self.mail.push_back(Message::Route(at, route::Input::Assign { broker: LIFE, jobs }));
                }
                Some(Side::Gates(gates, given)) => {
                    for Assigned { key, cost: charged, mut job, .. } in jobs {
                        *given += 1;
                        job.set_past(job.past().with(at));
                        let right = Right::Plain { key, charged, sent: gates.dispatch(now) };
                        self.steps.push_back(Step::Send(Flight { job, at: now, route: at, right }));
                    }
                }
                None => {}
            },
            Output::Refuse { job, refused } => self.steps.push_back(Step::Refuse { job, refused }),
            Output::Publish | Output::Reservations { .. } | Output::Retire => {}
        }
    }

    fn hand_route(&mut self, at: usize, input: route::Input<J>, now: Time) {
        let Some(Side::Route { route, account }) = self.sides.get_mut(at) else { return };
        route.observe(Surroundings { demand: self.broker.queue().has_ready(), slots: 0 });
        route.handle(input, now, &mut *self.random);
        while let Some(output) = route.poll_output() {
            match output {
                route::Output::Grant(Grant { mut job, lease, past, probe, sent, .. }) => {
                    job.set_past(past);
                    let right = Right::Lease { lease, probe };
                    self.steps.push_back(Step::Send(Flight { job, at: sent, route: at, right }));
                }
                route::Output::Refuse { job, refused } => self.steps.push_back(Step::Refuse { job, refused }),
                route::Output::Update(update) => self.mail.push_back(Message::Broker(Input::Update(update))),
                route::Output::Claim(claim) => {
                    self.mail.push_back(Message::Account(*account, account::Input::Claim(claim)));
                }
                route::Output::Signal(signal) => {
                    self.mail.push_back(Message::Account(*account, account::Input::Signal(signal)));
                }
                route::Output::Event(route::Event::Moved { change, .. }) => self.steps.push_back(Step::Moved(change)),
                route::Output::Event(route::Event::Settled { outcome: Outcome::Success, .. }) => {
                    if let Some(account) = self.accounts.get_mut(*account) {
                        account.succeeded(now);
                    }
                }
                route::Output::Event(_) => {}
            }
        }
    }

    fn hand_account(&mut self, at: usize, input: account::Input, now: Time) {
        let Some(account) = self.accounts.get_mut(at) else { return };
        account.handle(input, now);
        while let Some(output) = account.poll_output() {
            let (to, input) = match output {
                account::Output::Allowed { to, jobs } => (to, route::Input::Allowed { jobs }),
                account::Output::Reopen { to } => (to, route::Input::Reopen),
                account::Output::Hold { to, until, suspension } => (to, route::Input::Hold { until, suspension }),
                account::Output::Lift { to } => (to, route::Input::Lift),
                account::Output::Confirmed => continue,
            };
            self.mail.push_back(Message::Route(position(to), input));
        }
    }
}
