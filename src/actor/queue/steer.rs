//! Which route a job goes to, and which jobs no route can take in the time they may wait.

use std::time::Duration;

use super::{QueueActor, Seat};
use crate::actor::capacity::RouteView;
use crate::actor::error::Error;
use crate::actor::lease::Waiter;
use crate::actor::provider::Failure;
use crate::core::fair_queue::Dispatch;
use crate::core::outcome::Outcome;
use crate::core::time::Time;

/// How long a job lets slots of a route pass at which it has failed, while another route may have one soon.
const PASS: Duration = Duration::from_millis(100);
/// How often it does so where it may go to any.
const MOST_PASSES: u8 = 20;

impl QueueActor {
    /// Returns when the next route opens, where all are closed for longer than a request may wait for it.
    pub(super) fn closed(&self, now: Time, deadline: Time) -> Option<Duration> {
        let hopeless = |view: &RouteView| {
            let until = view.closed_until();
            until > now && (view.confirmed_down || until > deadline)
        };
        let all = !self.routes.is_empty() && self.routes.iter().all(|seat| hopeless(&seat.view));
        let opens = self.routes.iter().map(|seat| seat.view.closed_until()).min();
        opens.filter(|_| all).map(|opens| opens.since(now))
    }

    /// Tells who waits in vain that no route opens in time: now, and not when the time is up.
    pub(super) fn shed_hopeless(&mut self, now: Time) {
        let opens = self.routes.iter().map(|seat| seat.view.closed_until()).min();
        let Some(opens) = opens.filter(|opens| *opens > now && *opens > self.hopeless_until) else { return };
        self.hopeless_until = opens;
        for waiter in self.queue.shed_before(now, opens) {
            waiter.refuse(Error::NoCapacity { retry_after: opens.since(now) });
        }
    }

    /// Decides where a job goes that was taken out for the route `index`: there, or, where it has failed there, to
    /// another route. `None` where it waits for one, or no route is left for it.
    pub(super) fn steer(
        &mut self,
        now: Time,
        index: usize,
        dispatch: Dispatch<Waiter>,
    ) -> Option<(usize, Dispatch<Waiter>)> {
        let past = dispatch.payload.past;
        if !past.has_tried(index) {
            return Some((index, dispatch));
        }
        let credit = |seat: &Seat| seat.limit.saturating_sub(seat.assigned);
        let untried = || self.routes.iter().enumerate().filter(|(route, _)| !past.has_tried(*route));
        let free = untried().filter(|(_, seat)| credit(seat) > 0).max_by_key(|(_, seat)| credit(seat));
        if let Some((other, _)) = free {
            #[allow(clippy::cast_possible_truncation, reason = "a handful of routes")]
            self.queue.hand_over(dispatch.key, other as u32);
            return Some((other, dispatch));
        }
        // A route that opens in time is waited for where no other will do; else only one that is open.
        let hopes = |view: &RouteView| {
            let until = view.closed_until();
            !view.paused && if past.elsewhere { until <= dispatch.deadline } else { until <= now }
        };
        let hope = untried().any(|(_, seat)| hopes(&seat.view));
        if hope && (past.elsewhere || past.passed < MOST_PASSES) {
            let mut waiter = dispatch.payload;
            waiter.past.passed = past.passed.saturating_add(1);
            if let Err(waiter) = self.queue.requeue(now, dispatch.key, now + PASS, Duration::ZERO, waiter) {
                waiter.refuse(Error::Stopped);
            }
            return None;
        }
        if past.elsewhere {
            self.end(now, dispatch);
            return None;
        }
        Some((index, dispatch))
    }

    /// Ends a job that every route has refused; its caller knows with which words.
    fn end(&mut self, now: Time, dispatch: Dispatch<Waiter>) {
        let last = Box::new(Failure::new(Outcome::Rejected, "no other route can take it"));
        dispatch.payload.refuse(Error::Rejected(last));
        self.queue.complete(now, dispatch.key, None);
    }
}
