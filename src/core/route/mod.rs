//! A route of a model is one machine: it paces itself by its gates, pulls jobs with credits, and learns from how they
//! end.
//!
//! A [`Route`] owns the [`Gates`], the leases of the attempts under way, the jobs that wait for the account's leave, and
//! the decisions about an attempt that ended: whose matter its answer is, whether the route is suspended, and whether the
//! request is tried again. Its counterparts are the [broker](super::broker) of its model and its
//! [account](super::account).
//!
//! # The order that every driver keeps
//!
//! ```text
//! route.observe(surroundings);                       // 1. what changed outside
//! route.handle(input, now, random);                  // 2. one input
//! while let Some(output) = route.poll_output()       // 3. all that it puts out, in that order
//! route.poll_timeout()                               // 4. when to call with Input::Timeout, and why
//! ```
//!
//! `now` never goes back. Nothing is asked of the route between 2 and the end of 3. Each input does what is due at `now`
//! before it returns, so a timeout that is served late, or by another input, does no harm. A new route begins with
//! [`Input::Timeout`]. A job that the route drops is one that its broker does not know any more: its caller submits it
//! anew.

mod claims;
mod config;
mod gates;
mod land;
mod leave;
mod memory;
mod message;
mod tell;
#[cfg(test)]
mod tests;
mod told;

use std::collections::VecDeque;
use std::time::Duration;

use self::claims::Claims;
pub use self::config::RouteConfig;
pub use self::gates::{Gates, Reason, Settled, Ticket};
pub use self::memory::Memory;
pub use self::message::{Event, Grant, Input, Output, Settle, Surroundings};
use self::told::{Suspension, Told};
use super::broker::{Assigned, Ended, Refused, Ride};
use super::cost::Cost;
use super::health::RouteState;
use super::key::Key;
use super::lease::Leases;
use super::outcome::Outcome;
use super::past::Past;
use super::report::Report;
use super::time::Time;
use super::verdict::Blame;

/// Time by which a lease outlives its attempt's timeout, 5 s: its holder settles first, unless nobody polls it any more.
const LEASE_GRACE: Duration = Duration::from_secs(5);
/// Retry-after of a job whose wait ended on the way from the queue to its route.
const EXPIRED: Duration = Duration::from_secs(1);

/// The attempt that a lease stands for.
#[derive(Debug)]
struct Held {
    /// The broker's life that knows the job.
    broker: u32,
    job: Key,
    /// The charge of its tenant so far.
    charged: Cost,
    ticket: Ticket,
    attempt: u32,
}

/// A route leads to one model. `J` rides along with each job.
#[derive(Debug)]
pub struct Route<J> {
    config: RouteConfig,
    /// The route's own life, and that of the broker from which it counts its credits.
    life: u32,
    broker: u32,
    gates: Gates,
    blame: Blame,
    suspension: Option<Suspension>,
    leases: Leases<Held>,
    /// Leases that ended by time and whose holders still have them.
    expired: usize,
    claims: Claims<J>,
    told: Told,
    ended: Vec<Ended<J>>,
    outputs: VecDeque<Output<J>>,
    around: Surroundings,
    now: Time,
}

impl<J: Ride> Route<J> {
    /// Builds the route's life `life`, which begins with what an earlier one learned and counts credits from the broker's
    /// life `broker`.
    #[must_use]
    pub fn new(config: RouteConfig, memory: Memory, life: u32, broker: u32, now: Time) -> Self {
        Self {
            gates: Gates::recalled(config.window, memory, now),
            config,
            life,
            broker,
            blame: Blame::default(),
            suspension: None,
            leases: Leases::new(),
            expired: 0,
            claims: Claims::new(life.into()),
            told: Told::new(),
            ended: Vec::new(),
            outputs: VecDeque::new(),
            around: Surroundings::default(),
            now,
        }
    }

    /// Takes note of what changed outside.
    pub fn observe(&mut self, around: Surroundings) {
        self.around = around;
    }

    /// Takes one input and does what is due at `now`. `random` draws from [0, 1): pauses are spread by it from those of
    /// other routes.
    pub fn handle(&mut self, input: Input<J>, now: Time, random: &mut dyn FnMut() -> f64) {
        self.now = now;
        match input {
            Input::Assign { broker, jobs } => self.assign(now, broker, jobs),
            Input::Allowed { jobs } => self.allowed(now, jobs),
            Input::Reopen => self.claims.full = false,
            Input::Settle(settle) => self.settle(now, settle, random),
            Input::Raise { life, lease, charged } => self.raise(now, life, lease, charged),
            Input::Hold { until, suspension } => {
                self.gates.hold(now, until, random());
                self.suspend(now, suspension);
                self.event(Event::Held { wait: until.since(now) });
            }
            Input::Lift => {
                let was_held = self.suspension.is_some() || self.claims.full || self.gates.are_closed(now);
                self.gates.release(now);
                (self.suspension, self.claims.full) = (None, false);
                if was_held {
                    self.event(Event::Lifted);
                }
            }
            Input::Recount => self.unclaim(),
            Input::NewBroker { life } => {
                self.broker = life;
                self.told = Told::new();
                // Jobs of the old broker: dropping them tells their callers to submit anew.
                self.ended.clear();
                self.claims.clear();
            }
            Input::Reconfigure(config) => {
                let change = self.gates.reconfigure(config.window, now);
                self.config = config;
                self.moved(change);
            }
            Input::Timeout => {}
        }
        self.act(now, random);
    }

    /// Returns the next of what the last input led to.
    pub fn poll_output(&mut self) -> Option<Output<J>> {
        self.outputs.pop_front()
    }

    /// Returns when the route wants [`Input::Timeout`], and for which reason; `None` while only inputs can change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let lease = self.leases.poll_timeout().map(|at| (at, Reason::Lease));
        lease.into_iter().chain(self.gates.poll_timeout(self.now)).min_by_key(|(at, _)| *at)
    }

    /// Returns the gates, to look at.
    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// Returns the leases that are out, those of earlier lives left out.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.leases.len()
    }

    /// Does what is due, and tells the broker what has changed. Every input ends here.
    fn act(&mut self, now: Time, random: &mut dyn FnMut() -> f64) {
        while let Some(held) = self.leases.expire(now) {
            self.expired += 1;
            self.event(Event::LeaseExpired);
            self.land(now, held, Report::new(Outcome::Cancelled), None, random);
        }
        let change = self.gates.advance(now);
        self.moved(change);
        self.suspension = self.suspension.filter(|suspension| suspension.until > now);
        self.suspend_when_spent(now);
        self.update(now);
    }

    /// Returns slots that leases of earlier lives hold: their calls still occupy the provider.
    fn others(&self) -> u32 {
        let here = self.leases.len() + self.expired;
        u32::try_from(self.around.slots.saturating_sub(here)).unwrap_or(u32::MAX)
    }

    fn in_flight(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX).saturating_add(self.others())
    }

    /// Returns how many jobs may be sent now: the narrowest gate.
    fn credits(&self, now: Time) -> u32 {
        if self.config.paused || self.claims.are_pending() { 0 } else { self.gates.credits(now, self.others()) }
    }

    fn assign(&mut self, now: Time, broker: u32, jobs: Vec<Assigned<J>>) {
        if broker != self.broker {
            // From a broker that is no more: dropping the jobs tells their callers to submit anew.
            return;
        }
        self.told.assigned += jobs.len() as u64;
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            if self.config.limited && !self.claims.full {
                self.claims.staged.push_back(job);
            } else if self.credits(now) > 0 {
                self.dispatch(now, job, jobs.len() > 0);
            } else {
                // The window shrank while the job was on its way.
                self.ended.push(Ended::Unsent { key: job.key, job: job.job });
            }
        }
        self.claim();
    }

    /// Sends one job: its caller gets a lease and makes the call. `more`: others came with it that go next.
    fn dispatch(&mut self, now: Time, assigned: Assigned<J>, more: bool) {
        let Assigned { key, cost, deadline, payer, job, .. } = assigned;
        if job.is_gone() {
            self.ended.push(Ended::Unsent { key, job });
            return self.give_back(cost);
        }
        let past = job.past();
        let most = self.config.max_attempts;
        let refused = if deadline <= now {
            Some(Refused::Expired { retry_after: EXPIRED })
        } else if !past.allows_another(most) {
            // Its last attempt failed under an earlier life of this route or of the broker.
            Some(Refused::Exhausted { attempts: past.attempts.into(), retry_after: self.config.backoff.base })
        } else {
            None
        };
        if let Some(refused) = refused {
            let (outcome, service) = (Outcome::Cancelled, Duration::ZERO);
            self.outputs.push_back(Output::Refuse { job, refused });
            self.ended.push(Ended::Done { key, outcome, charged: cost, cost: None, service });
            return self.give_back(cost);
        }
        let probe = self.gates.state(now) == RouteState::Probing;
        let ticket = self.gates.dispatch(now, f64::from(cost.units()), payer, more || self.around.demand);
        let made = Past { attempts: past.attempts.saturating_add(1), ..past };
        let attempt = u32::from(made.attempts);
        let held = Held { broker: self.broker, job: key, charged: cost, ticket, attempt };
        let timeout = self.config.timeout;
        let lease = self.leases.issue(now + timeout + LEASE_GRACE, held);
        self.around.slots += 1;
        self.outputs.push_back(Output::Grant(Grant {
            job,
            lease,
            attempt,
            last: !made.allows_another(most),
            past: past.with(self.config.index),
            probe,
            charged: cost,
            timeout,
            sent: now,
        }));
    }

    fn settle(&mut self, now: Time, settle: Settle<J>, random: &mut dyn FnMut() -> f64) {
        let Settle { life, lease, report, retry } = settle;
        let here = life == self.life;
        if let Some(held) = self.leases.settle(lease).filter(|_| here) {
            return self.land(now, held, report, retry, random);
        }
        if here {
            self.expired = self.expired.saturating_sub(1);
        }
        // The account was told of that slot too.
        self.unclaim();
        // The broker may not know the job any more. Where it is to be tried again, dropping it has its caller submit it
        // anew.
        if let Some(job) = retry.filter(|job| !job.past().allows_another(self.config.max_attempts)) {
            let refused = self.exhausted(job.past().attempts.into(), &report);
            self.outputs.push_back(Output::Refuse { job, refused });
        }
    }

    /// Takes note that an attempt goes on: its holder is there, and its charge may exceed the prediction.
    fn raise(&mut self, now: Time, life: u32, lease: Key, charged: Cost) {
        if life != self.life {
            return;
        }
        self.leases.renew(lease, now + self.config.timeout + LEASE_GRACE);
        let Some(held) = self.leases.get_mut(lease) else { return };
        let more = u64::from(charged.units()).saturating_sub(u64::from(held.charged.units()));
        held.charged = charged;
        if more > 0 && held.broker == self.broker {
            self.ended.push(Ended::Raised { key: held.job, more: Cost::new(more) });
        }
    }
}
