//! Jobs that need the account's leave: one claim at a time, so that each is counted there once.

use actix::{Context, Handler};

use super::Dispatcher;
use crate::actor::messages::{Allowed, Ended, Job};
use crate::core::account::{Claim, Signal};
use crate::core::cost::Cost;

impl Dispatcher {
    /// Asks the account's leave for what is staged, unless it is being asked already: then what came since follows.
    pub(super) fn claim(&mut self) {
        if self.claimed > 0 || self.staged.is_empty() {
            return;
        }
        let tokens = |job: &Job| self.gates.predict_tokens(f64::from(job.cost.units()));
        let tokens = self.staged.iter().map(tokens).collect();
        self.claimed = self.staged.len();
        self.account.do_send(Claim { member: self.member, slots: self.in_flight(), tokens });
    }

    /// Tells the account of its slots, and that a job of `cost` that it allowed was not sent.
    pub(super) fn give_back(&self, cost: Cost) {
        if self.account_limited {
            let unused = Some(self.gates.predict_tokens(f64::from(cost.units())));
            self.account.do_send(Signal { unused, ..self.slots_only() });
        }
    }

    /// A signal of how many slots are used, and nothing else.
    pub(super) fn slots_only(&self) -> Signal {
        Signal::slots(self.member, self.slots_used())
    }
}

impl Handler<Allowed> for Dispatcher {
    type Result = ();

    fn handle(&mut self, allowed: Allowed, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let claimed = std::mem::take(&mut self.claimed);
        self.account_full = allowed.jobs < claimed;
        for index in 0..claimed {
            let Some(job) = self.staged.pop_front() else { break };
            if index < allowed.jobs {
                self.dispatch(now, job, index + 1 < allowed.jobs);
            } else {
                self.ended.push(Ended::Unsent { key: job.key, job: job.job });
            }
        }
        if self.account_full {
            // What came since would be refused as well.
            let rest = self.staged.drain(..).map(|job| Ended::Unsent { key: job.key, job: job.job });
            self.ended.extend(rest);
            self.unclaim();
        }
        self.claim();
        self.turn(now, ctx);
    }
}
