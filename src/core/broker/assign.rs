//! Assignment of jobs to routes.

use std::time::Duration;

use super::routes::holder;
use super::{Assigned, Broker, Refused, Ride, Time};
use crate::core::fair_queue::Dispatch;

/// How long a job lets slots of a route pass at which it has failed, while another route may have one soon.
const PASS: Duration = Duration::from_millis(100);
/// Slots that a job lets pass at most, where it may go to any route.
const MOST_PASSES: u8 = 20;

impl<J: Ride> Broker<J> {
    /// Hands jobs to the routes that have credit, to the one with the most first.
    pub(super) fn answer_credits(&mut self, now: Time) {
        while let Some(route) = self.routes.most_credit() {
            let Some(dispatch) = self.queue.pop(now, holder(route)) else { break };
            if dispatch.payload.is_gone() {
                // The notice is still on its way.
                self.forget(now, dispatch.key, dispatch.payload);
                continue;
            }
            let Some((route, dispatch)) = self.steer(now, route, dispatch) else { continue };
            let Dispatch { key, mut cost, deadline, waited, payload: job } = dispatch;
            let known = &self.known[key.index()];
            let (payer, promised) = (known.expected.payer(), known.promised());
            let priced = self.costs.price(known.expected);
            if priced != cost && job.past().attempts == 0 {
                cost = priced;
                self.queue.reprice(key, cost);
            }
            self.routes.all[route].assign(Assigned { key, cost, deadline, payer, waited, promised, job });
        }
        self.outputs.extend(self.routes.flush());
    }

    /// Decides where a job goes that was taken out for a route: there, or, where it has failed there, to another one.
    /// `None` where it waits for another, or no route is left for it.
    fn steer(&mut self, now: Time, route: usize, mut dispatch: Dispatch<J>) -> Option<(usize, Dispatch<J>)> {
        let past = dispatch.payload.past();
        if !past.has_tried(route) {
            return Some((route, dispatch));
        }
        let untried = || self.routes.all.iter().enumerate().filter(|(route, _)| !past.has_tried(*route));
        let free = untried().filter(|(_, credits)| credits.open() > 0).max_by_key(|(_, credits)| credits.open());
        if let Some((other, _)) = free {
            self.queue.hand_over(dispatch.key, holder(other));
            return Some((other, dispatch));
        }
        // A route that opens in time is waited for where no other will do; else only one that is open.
        let patience = if past.elsewhere { dispatch.deadline } else { now };
        let hope = untried().any(|(_, credits)| !credits.view.paused && credits.view.closed_until() <= patience);
        if hope && (past.elsewhere || past.passed < MOST_PASSES) {
            dispatch.payload.set_past(past.passing());
            if let Err(job) = self.queue.requeue(now, dispatch.key, now + PASS, Duration::ZERO, dispatch.payload) {
                self.refuse(job, Refused::Unknown);
            }
            return None;
        }
        if past.elsewhere {
            self.queue.complete(now, dispatch.key, None);
            self.refuse(dispatch.payload, Refused::Final);
            return None;
        }
        Some((route, dispatch))
    }
}
