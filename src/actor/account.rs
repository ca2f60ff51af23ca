//! One provider account: the limits that its models share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Recipient};

use super::clock::{Clock, Mark};
use super::dispatcher::Dispatcher;
use super::messages::{Allowed, Claim, Died, Hold, Join, Leave, Lift, Limited, Reopen, Signal, Who};
use super::supervisor::Obituary;
use super::timer::{HasTimer, Timer};
use crate::config::ProviderSettings;
use crate::core::escalation::Escalation;
use crate::core::pacer::{Pacer, SUSPENSION};
use crate::core::time::Time;
use crate::core::verdict::{Evidence, REST, Verdict};

/// A dispatcher on this account.
#[derive(Debug)]
struct Member {
    dispatcher: Addr<Dispatcher>,
    slots: u32,
    /// Refused for want of room, and not told yet that there is some again.
    waiting: bool,
}

/// The account actor of one provider.
///
/// It grants claims while there is room and says so at once; a dispatcher that was refused hands its jobs back to
/// their queue and is told, in turn, when there is room again. So nothing is reserved, hoarded or prefetched.
pub(crate) struct AccountActor {
    clock: Clock,
    name: Arc<str>,
    max_in_flight: Option<u32>,
    pacer: Pacer,
    /// Nothing is allowed before then. Each dispatcher holds too, and sends its own canary after.
    hold_until: Time,
    members: BTreeMap<u64, Member>,
    /// Who waits for room, the longest first.
    line: VecDeque<u64>,
    escalation: Escalation,
    evidence: Evidence,
    /// When any of its models last succeeded.
    success: Mark,
    mean_tokens: f64,
    timer: Timer,
    _obituary: Obituary,
}

impl AccountActor {
    pub(crate) fn new(
        clock: Clock,
        settings: &ProviderSettings,
        success: Mark,
        generation: u32,
        supervisor: Recipient<Died>,
    ) -> Self {
        Self {
            clock,
            name: settings.name.clone(),
            max_in_flight: settings.max_in_flight,
            pacer: Pacer::new(settings.rates, clock.now()).with_budgets(settings.budgets, clock.now()),
            hold_until: Time::ZERO,
            members: BTreeMap::new(),
            line: VecDeque::new(),
            escalation: Escalation::default(),
            evidence: Evidence::default(),
            success,
            mean_tokens: 1.0,
            timer: Timer::default(),
            _obituary: Obituary::new(supervisor, Who::Account { provider: settings.name.clone(), generation }),
        }
    }

    /// Has all routes of the account send nothing before `until`.
    fn hold(&mut self, until: Time, suspension: Option<&'static str>) {
        self.hold_until = self.hold_until.max(until);
        for member in self.members.values() {
            member.dispatcher.do_send(Hold { until, suspension });
        }
    }

    fn room(&self, now: Time) -> u32 {
        let used: u32 = self.members.values().map(|member| member.slots).sum();
        let slots = self.max_in_flight.map_or(u32::MAX, |max| max.saturating_sub(used));
        if self.hold_until > now { 0 } else { slots.min(self.pacer.allowance(now, self.mean_tokens)) }
    }

    /// Suspends the account where its budget is spent for long: who waits is told, and other routes are used.
    fn stop_when_spent(&mut self, now: Time) {
        let spent = self.pacer.spent_until(now, self.mean_tokens);
        if let Some(until) = spent.filter(|until| until.since(now) >= SUSPENSION && *until > self.hold_until) {
            self.hold(until, Some("the account's budget of the day is spent"));
        }
    }

    /// Tells those who wait that there is room, one per free place, the longest waiting first.
    fn turn(&mut self, now: Time, ctx: &mut Context<Self>) {
        self.stop_when_spent(now);
        for _ in 0..self.room(now) {
            let Some(first) = self.line.pop_front() else { break };
            if let Some(member) = self.members.get_mut(&first) {
                member.waiting = false;
                member.dispatcher.do_send(Reopen);
            }
        }
        let ready = self.pacer.ready_at(now, self.mean_tokens).max(self.hold_until);
        let paced = Some(ready).filter(|at| *at > now && !self.line.is_empty());
        self.timer.set(ctx, now, paced, |actor, ctx| {
            let now = actor.clock.now();
            actor.turn(now, ctx);
        });
    }
}

impl Actor for AccountActor {
    type Context = Context<Self>;
}

impl Handler<Join> for AccountActor {
    type Result = ();

    fn handle(&mut self, join: Join, _: &mut Self::Context) {
        let member = Member { dispatcher: join.dispatcher, slots: 0, waiting: false };
        self.members.insert(join.member, member);
    }
}

impl Handler<Leave> for AccountActor {
    type Result = ();

    fn handle(&mut self, leave: Leave, ctx: &mut Self::Context) {
        self.members.remove(&leave.member);
        self.line.retain(|waiting| *waiting != leave.member);
        self.turn(self.clock.now(), ctx);
    }
}

impl Handler<Claim> for AccountActor {
    type Result = ();

    fn handle(&mut self, claim: Claim, ctx: &mut Self::Context) {
        let now = self.clock.now();
        let Some(member) = self.members.get_mut(&claim.member) else { return };
        member.slots = claim.slots;
        let mut allowed = 0;
        for tokens in &claim.tokens {
            if self.room(now) == 0 {
                break;
            }
            self.mean_tokens += 0.05 * (tokens - self.mean_tokens);
            self.pacer.take(now, *tokens);
            allowed += 1;
            if let Some(member) = self.members.get_mut(&claim.member) {
                member.slots += 1;
            }
        }
        if let Some(member) = self.members.get_mut(&claim.member) {
            member.dispatcher.do_send(Allowed { jobs: allowed });
            if allowed < claim.tokens.len() && !member.waiting {
                member.waiting = true;
                self.line.push_back(claim.member);
            }
        }
        self.turn(now, ctx);
    }
}

impl Handler<Signal> for AccountActor {
    type Result = ();

    fn handle(&mut self, signal: Signal, ctx: &mut Self::Context) {
        let now = self.clock.now();
        let Some(member) = self.members.get_mut(&signal.member) else { return };
        member.slots = signal.slots;
        if let Some((predicted, actual)) = signal.used {
            self.pacer.reconcile(now, predicted, actual);
        }
        if let Some(tokens) = signal.unused {
            self.pacer.put_back(now, tokens);
        }
        if let Some(Limited { sent, stated, scope, suspension }) = signal.limited {
            if let Some(stated) = stated.filter(|_| scope.is_account()) {
                self.hold(now + stated, suspension);
            } else if let Some(until) = self.escalation.on_signal(now, signal.member, sent, stated, self.success.get())
            {
                self.hold(until, None);
            }
        }
        if let Some(suspicion) = signal.suspicion
            && self.evidence.suspect(now, suspicion, self.success.get())
        {
            tracing::warn!(provider = %self.name, "the provider refuses several in the same words: the account is held");
            self.hold(now + REST, Some(Verdict::of_status(403).reason()));
        }
        self.turn(now, ctx);
    }
}

impl Handler<Lift> for AccountActor {
    type Result = ();

    fn handle(&mut self, _: Lift, ctx: &mut Self::Context) {
        let now = self.clock.now();
        if self.hold_until > now || self.pacer.spent_until(now, self.mean_tokens).is_some() {
            // What held the account held all of its models.
            for member in self.members.values() {
                member.dispatcher.do_send(Lift);
            }
        }
        self.hold_until = now;
        (self.escalation, self.evidence) = (Escalation::default(), Evidence::default());
        self.pacer.release(now);
        self.turn(now, ctx);
    }
}

impl HasTimer for AccountActor {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }
}
