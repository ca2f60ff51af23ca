//! A route asks its account's leave, and gives back what it does not use.

use super::message::Output;
use super::{Ended, Route};
use crate::core::account::{Claim, Signal};
use crate::core::broker::{Assigned, Ride};
use crate::core::cost::Cost;
use crate::core::time::Time;

impl<J: Ride> Route<J> {
    /// Asks the account's leave for what is staged, unless it is being asked already: then what came since follows.
    pub(super) fn claim(&mut self) {
        if !self.claims.begin() {
            return;
        }
        let tokens = |job: &Assigned<J>| self.gates.predict_tokens(f64::from(job.cost.units()));
        let tokens = self.claims.staged.iter().map(tokens).collect();
        let claim = Claim { member: self.claims.member, slots: self.in_flight(), tokens };
        self.outputs.push_back(Output::Claim(claim));
    }

    /// Sends what the account allowed, and returns the rest to its place in the queue.
    pub(super) fn allowed(&mut self, now: Time, jobs: usize) {
        let asked = self.claims.end(jobs);
        for index in 0..asked {
            let Some(job) = self.claims.staged.pop_front() else { break };
            if index < jobs {
                self.dispatch(now, job, index + 1 < jobs);
            } else {
                self.ended.push(Ended::Unsent { key: job.key, job: job.job });
            }
        }
        if self.claims.full {
            // What came since would be refused as well.
            let rest = self.claims.staged.drain(..).map(|job| Ended::Unsent { key: job.key, job: job.job });
            self.ended.extend(rest);
            self.unclaim();
        }
        self.claim();
    }

    /// Returns the slots of the account that this route uses, jobs that wait for its leave included.
    pub(super) fn slots(&self) -> u32 {
        self.in_flight().saturating_add(u32::try_from(self.claims.staged.len()).unwrap_or(u32::MAX))
    }

    /// Tells the account that fewer slots are used than it allowed.
    pub(super) fn unclaim(&mut self) {
        if self.config.limited {
            let signal = Signal::slots(self.claims.member, self.slots());
            self.outputs.push_back(Output::Signal(signal));
        }
    }

    /// Tells the account of its slots, and that a job of `cost` that it allowed was not sent.
    pub(super) fn give_back(&mut self, cost: Cost) {
        if self.config.limited {
            let unused = Some(self.gates.predict_tokens(f64::from(cost.units())));
            let signal = Signal { unused, ..Signal::slots(self.claims.member, self.slots()) };
            self.outputs.push_back(Output::Signal(signal));
        }
    }
}
