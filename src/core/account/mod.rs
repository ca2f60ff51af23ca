//! A provider account: the limits that its routes share.

mod line;
mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::line::Line;
pub use self::message::{Claim, Limited, Member, Signal, Used};
use super::escalation::Escalation;
use super::pacer::{Budgets, MeanTokens, Pacer, Rates, SUSPENSION};
use super::time::Time;
use super::verdict::{Evidence, REST, Verdict};

/// Why routes are held whose account has no budget left.
const SPENT: &str = "the account's budget of the day is spent";

/// Known limits of an account; a missing one is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AccountConfig {
    /// Requests in flight over all routes, at least 1.
    pub max_in_flight: Option<u32>,
    /// Rates.
    pub rates: Rates,
    /// Budgets of long windows.
    pub budgets: Budgets,
}

impl AccountConfig {
    /// Says whether it has any limit, so that its routes have to ask its leave.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        *self != Self::default()
    }
}

/// Inputs of an account.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A route uses the account from here on.
    Join(Member),
    /// A route is no more.
    Leave(Member),
    /// A route asks leave for jobs.
    Claim(Claim),
    /// A route tells of its slots and of an attempt that ended.
    Signal(Signal),
    /// An operator lifts what holds the account.
    Lift,
    /// The time of [`poll_timeout`](Account::poll_timeout) has come.
    Timeout,
}

/// Outputs of an account, for its routes.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// The answer to a claim: so many of its jobs may go. When fewer than claimed, none more until [`Output::Reopen`].
    Allowed {
        /// The route.
        to: Member,
        /// How many may go, the first ones.
        jobs: usize,
    },
    /// The account may have room again.
    Reopen {
        /// The route that waited longest.
        to: Member,
    },
    /// Nothing may be sent before a time, by any route.
    Hold {
        /// The route that is told.
        to: Member,
        /// The end of the hold.
        until: Time,
        /// Why the routes are suspended, where it is more than a pause.
        suspension: Option<&'static str>,
    },
    /// An operator lifts what holds the route.
    Lift {
        /// The route that is told.
        to: Member,
    },
    /// Several met the same refusal with no success between: the account is held for it. For people.
    Confirmed,
}

/// Why an account wants to be called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its hold ends.
    Hold,
    /// Its pacer has room for another request.
    Pacer,
}

/// The limits that the routes of one provider account share.
///
/// An account grants claims while there is room and answers at once; a route that was refused hands its jobs back to
/// their queue and is told, in turn, when there is room again. So nothing is reserved, hoarded or prefetched.
///
/// # The order that every driver keeps
///
/// ```text
/// account.succeeded(at);                             // 1. when a route last succeeded, where that is newer
/// account.handle(input, now);                        // 2. one input
/// while let Some(output) = account.poll_output()     // 3. all that it puts out, in that order
/// account.poll_timeout()                             // 4. when to call with Input::Timeout, and why
/// ```
///
/// `now` never goes back.
#[derive(Debug)]
pub struct Account {
    line: Line,
    pacer: Pacer,
    /// Nothing is allowed before then. Each route holds too, and sends its own canary after.
    hold_until: Time,
    /// Why it is held, where that is more than a pause.
    suspension: Option<&'static str>,
    escalation: Escalation,
    evidence: Evidence,
    /// When any of its routes last succeeded.
    success: Time,
    mean_tokens: MeanTokens,
    outputs: VecDeque<Output>,
    now: Time,
}

impl Account {
    /// Builds an account with these limits and no routes.
    #[must_use]
    pub fn new(config: AccountConfig, now: Time) -> Self {
        Self {
            line: Line::new(config.max_in_flight),
            pacer: Pacer::new(config.rates, now).with_budgets(config.budgets, now),
            hold_until: Time::ZERO,
            suspension: None,
            escalation: Escalation::default(),
            evidence: Evidence::default(),
            success: Time::ZERO,
            mean_tokens: MeanTokens::default(),
            outputs: VecDeque::new(),
            now,
        }
    }

    /// Notes that a route last succeeded at `at`: a success contradicts what is suspected of the account.
    pub fn succeeded(&mut self, at: Time) {
        self.success = self.success.max(at);
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Time) {
        self.now = now;
        match input {
            Input::Join(member) => self.join(now, member),
            Input::Leave(member) => self.line.leave(member),
            Input::Claim(claim) => self.claim(now, &claim),
            Input::Signal(signal) => self.signal(now, signal),
            Input::Lift => self.lift(now),
            Input::Timeout => {}
        }
        self.stop_when_spent(now);
        self.reopen(now);
    }

    /// Returns the next thing to pass on, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when the account next has something to do by itself, and why; `None` where nothing waits for that.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let now = self.now;
        let paced = (self.pacer.ready_at(now, self.mean_tokens.get()), Reason::Pacer);
        let last = if self.hold_until > paced.0 { (self.hold_until, Reason::Hold) } else { paced };
        Some(last).filter(|(at, _)| *at > now && self.line.is_waited_for())
    }

    /// Takes a route in; it is told of a hold that the others were told of before.
    fn join(&mut self, now: Time, to: Member) {
        self.line.join(to);
        if self.hold_until > now {
            self.outputs.push_back(Output::Hold { to, until: self.hold_until, suspension: self.suspension });
        }
    }

    /// Has all routes of the account send nothing before `until`.
    fn hold(&mut self, until: Time, suspension: Option<&'static str>) {
        if until >= self.hold_until {
            (self.hold_until, self.suspension) = (until, suspension);
        }
        self.outputs.extend(self.line.members().map(|to| Output::Hold { to, until, suspension }));
    }

    fn room(&self, now: Time) -> u32 {
        if self.hold_until > now { 0 } else { self.line.free().min(self.pacer.allowance(now, self.mean_tokens.get())) }
    }

    /// Suspends the account where its budget is spent for long: jobs that wait are told, and other routes are used.
    fn stop_when_spent(&mut self, now: Time) {
        let spent = self.pacer.spent_until(now, self.mean_tokens.get());
        if let Some(until) = spent.filter(|until| until.since(now) >= SUSPENSION && *until > self.hold_until) {
            self.hold(until, Some(SPENT));
        }
    }

    /// Tells routes that wait that there is room, one per free place, the longest waiting first.
    fn reopen(&mut self, now: Time) {
        if !self.line.is_waited_for() {
            return;
        }
        for _ in 0..self.room(now) {
            let Some(to) = self.line.next() else { break };
            self.outputs.push_back(Output::Reopen { to });
        }
    }

    fn claim(&mut self, now: Time, claim: &Claim) {
        let to = claim.member;
        if !self.line.set(to, claim.slots) {
            return;
        }
        let mut jobs = 0;
        for tokens in &claim.tokens {
            if self.room(now) == 0 {
                break;
            }
            self.mean_tokens.note(*tokens);
            self.pacer.take(now, *tokens);
            self.line.take(to);
            jobs += 1;
        }
        self.outputs.push_back(Output::Allowed { to, jobs });
        if jobs < claim.tokens.len() {
            self.line.wait(to);
        }
    }

    fn signal(&mut self, now: Time, signal: Signal) {
        if !self.line.set(signal.member, signal.slots) {
            return;
        }
        if let Some(Used { predicted, actual }) = signal.used {
            self.pacer.reconcile(now, predicted, actual);
        }
        if let Some(tokens) = signal.unused {
            self.pacer.put_back(now, tokens);
        }
        if let Some(Limited { sent, stated, scope, suspension }) = signal.limited {
            if let Some(stated) = stated.filter(|_| scope.is_account()) {
                self.hold(now + stated, suspension);
            } else if let Some(until) = self.escalation.on_signal(now, signal.member, sent, stated, self.success) {
                self.hold(until, None);
            }
        }
        if let Some(suspicion) = signal.suspicion
            && self.evidence.suspect(now, suspicion, self.success)
        {
            self.outputs.push_back(Output::Confirmed);
            self.hold(now + REST, Some(Verdict::of_status(403).reason()));
        }
    }

    fn lift(&mut self, now: Time) {
        if self.hold_until > now || self.pacer.spent_until(now, self.mean_tokens.get()).is_some() {
            // What held the account held all of its routes.
            self.outputs.extend(self.line.members().map(|to| Output::Lift { to }));
        }
        self.hold_until = now;
        (self.escalation, self.evidence) = (Escalation::default(), Evidence::default());
        self.pacer.release(now);
    }
}
