//! One route's dispatcher: paces itself by its gates, pulls jobs with credits, and learns from how they end.

mod claim;
mod door;
mod land;
mod lift;
mod raise;
mod tell;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Recipient};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::account::AccountActor;
use super::exit::{ActorId, ExitNotice, Exited};
use super::messages::{Assign, Ended, Hold, Job, NewQueue, Reconfigure, Recount, Reopen, Stop, Update};
use super::queue::QueueActor;
use super::timer::Timer;
use crate::clock::{Clock, Mark};
use crate::config::ModelSettings;
use crate::core::broker::{self, Refused, RouteView};
use crate::core::cost::Cost;
use crate::core::health::RouteState;
use crate::core::key::Key;
use crate::core::lease::Leases;
use crate::core::outcome::Outcome;
use crate::core::report::Report;
use crate::core::route::{Gates, Memory, Ticket};
use crate::core::time::Time;
use crate::core::verdict::Blame;
use crate::engine::ticket::gate::Gate;
use crate::engine::ticket::lease::{Grant, Lease, Route, Settle};
use crate::engine::view::events::Tap;
use crate::engine::view::stats::Stats;

/// A lease outlives its attempt's timeout by this much: the holder settles first, unless nobody polls it any more.
const LEASE_GRACE: Duration = Duration::from_secs(5);

/// What a lease stands for.
#[derive(Debug)]
struct Held {
    queue: u32,
    job: Key,
    /// What its tenant is charged by now.
    charged: Cost,
    /// Its tenant, as a number.
    payer: u32,
    ticket: Ticket,
    sent: Time,
    attempt: u32,
}

/// The dispatcher actor of one route.
pub(crate) struct Dispatcher {
    clock: Clock,
    index: usize,
    generation: u32,
    route: Arc<Route>,
    settings: Arc<ModelSettings>,
    stats: Arc<Stats>,
    tap: Tap,
    queue: Addr<QueueActor>,
    /// Which life of the queue the running total of credits counts from.
    queue_life: u32,
    assigned: u64,
    told: u64,
    told_view: RouteView,
    /// Whether a job waits at the queue that could go now.
    backlog: Arc<AtomicBool>,
    account: Addr<AccountActor>,
    /// Its name at the account, new in each life.
    member: u64,
    /// Whether each job needs the account's leave.
    account_limited: bool,
    account_full: bool,
    /// When the account last succeeded at anything.
    account_success: Mark,
    staged: VecDeque<Job>,
    /// How many of those the account is being asked for.
    claimed: usize,
    gates: Gates,
    blame: Blame,
    /// Until when the route is suspended, and why.
    suspension: Option<(Time, &'static str)>,
    leases: Leases<Held>,
    /// One permit per lease, over all lives of this dispatcher: a predecessor's calls still occupy the provider.
    slots: Arc<Gate>,
    ended: Vec<Ended>,
    random: Xoshiro256PlusPlus,
    timer: Timer,
    _exit: ExitNotice,
}

/// What a dispatcher is made of; the supervisor keeps it for the next life.
#[derive(Debug, Clone)]
pub(crate) struct Blueprint {
    pub(crate) clock: Clock,
    pub(crate) model: Arc<str>,
    pub(crate) index: usize,
    pub(crate) route: Arc<Route>,
    pub(crate) settings: Arc<ModelSettings>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) tap: Tap,
    pub(crate) backlog: Arc<AtomicBool>,
    pub(crate) slots: Arc<Gate>,
    pub(crate) account: Addr<AccountActor>,
    pub(crate) account_limited: bool,
    pub(crate) account_success: Mark,
    pub(crate) seed: u64,
}

impl Dispatcher {
    pub(crate) fn new(
        blueprint: Blueprint,
        generation: u32,
        member: u64,
        queue: (Addr<QueueActor>, u32),
        memory: Memory,
        supervisor: Recipient<Exited>,
    ) -> Self {
        let Blueprint {
            clock,
            model,
            index,
            route,
            settings,
            stats,
            tap,
            backlog,
            slots,
            account,
            account_limited,
            account_success,
            seed,
        } = blueprint;
        let gates = Gates::recalled(settings.window, memory, clock.now());
        Self {
            clock,
            index,
            generation,
            route,
            settings,
            stats,
            tap,
            queue: queue.0,
            queue_life: queue.1,
            assigned: 0,
            told: 0,
            told_view: RouteView::new(),
            backlog,
            account,
            member,
            account_limited,
            account_full: false,
            account_success,
            staged: VecDeque::new(),
            claimed: 0,
            gates,
            blame: Blame::default(),
            suspension: None,
            leases: Leases::new(),
            slots,
            ended: Vec::new(),
            random: Xoshiro256PlusPlus::seed_from_u64(seed ^ u64::from(generation)),
            timer: Timer::default(),
            _exit: ExitNotice::new(supervisor, ActorId::Dispatcher { model, route: index, generation }),
        }
    }

    /// Returns the leases that an earlier life gave out and that have not ended.
    fn ghosts(&self) -> u32 {
        u32::try_from(self.slots.count().saturating_sub(self.leases.len())).unwrap_or(u32::MAX)
    }

    fn in_flight(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX).saturating_add(self.ghosts())
    }

    /// Returns the slots of the account that this route uses, jobs that wait for its leave included.
    fn slots_used(&self) -> u32 {
        self.in_flight().saturating_add(u32::try_from(self.staged.len()).unwrap_or(u32::MAX))
    }

    /// Tells the account that fewer slots are used than it allowed.
    fn unclaim(&self) {
        if self.account_limited {
            self.account.do_send(self.slots_only());
        }
    }

    fn backlog(&self) -> bool {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Returns how many jobs may be sent now: the narrowest gate.
    fn credits(&self, now: Time) -> u32 {
        if self.settings.paused || self.account_full || !self.staged.is_empty() {
            return 0;
        }
        self.gates.credits(now, self.ghosts())
    }

    /// Tells the queue what has changed and sets the one timer. Every handler ends here.
    fn turn(&mut self, now: Time, ctx: &mut Context<Self>) {
        while let Some(held) = self.leases.expire(now) {
            tracing::warn!(route = self.index, "a lease was neither settled nor dropped; its slot is taken back");
            self.land(now, held, Report::new(Outcome::Cancelled), None);
        }
        if let Some(change) = self.gates.advance(now) {
            self.window_changed(change);
        }
        self.suspension = self.suspension.filter(|(until, _)| *until > now);
        self.stop_when_spent(now);
        let limit = self.assigned + u64::from(self.credits(now));
        let view = self.view();
        self.tell_target(&view);
        if limit != self.told || view != self.told_view || !self.ended.is_empty() {
            (self.told, self.told_view) = (limit, view);
            let (route, life, ended) = (self.index, self.generation, std::mem::take(&mut self.ended));
            self.queue.do_send(Update(broker::Update { route, life, limit, view, ended }));
        }
        let gate = self.gates.poll_timeout(now).map(|(at, _)| at);
        let next = self.leases.poll_timeout().into_iter().chain(gate).min();
        self.timer.set(ctx, now, next, |actor, ctx| {
            let now = actor.clock.now();
            actor.turn(now, ctx);
        });
    }

    /// Sends one job: its caller gets a lease and makes the call. `more`: others came with it that go next.
    fn dispatch(&mut self, now: Time, job: Job, more: bool) {
        let Job { key, cost, deadline, payer, job: waiter, .. } = job;
        if deadline <= now {
            let retry_after = Duration::from_secs(1);
            let (outcome, service) = (Outcome::Cancelled, Duration::ZERO);
            waiter.refuse(Refused::Expired { retry_after });
            self.ended.push(Ended::Done { key, outcome, charged: cost, cost: None, service });
            return self.give_back(cost);
        }
        if waiter.reply.is_closed() {
            self.ended.push(Ended::Unsent { key, job: waiter });
            return self.give_back(cost);
        }
        let probe = self.gates.state(now) == RouteState::Probing;
        let ticket = self.gates.dispatch(now, f64::from(cost.units()), payer, more || self.backlog());
        let attempt = waiter.past.attempts + 1;
        let past = waiter.past.with(self.index);
        let queue = self.queue_life;
        let held = Held { queue, job: key, charged: cost, payer, ticket, sent: now, attempt };
        let lease_key = self.leases.issue(now + self.settings.timeout + LEASE_GRACE, held);
        let lease = Lease {
            route: self.route.clone(),
            key: lease_key,
            generation: self.generation,
            slot: Some(self.slots.pass()),
        };
        let timeout = self.settings.timeout;
        let grant = Grant { lease, attempt, past, probe, charged: cost, timeout, sent: now };
        // A caller that left in this instant drops the grant, and the lease in it settles as cancelled.
        drop(waiter.reply.send(Ok(grant)));
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let address = ctx.address();
        self.route.dispatcher.open(move |message| address.do_send(message));
        // The first credits; the queue has been told of this dispatcher already.
        self.turn(self.clock.now(), ctx);
    }
}

impl Handler<Assign> for Dispatcher {
    type Result = ();

    fn handle(&mut self, assign: Assign, ctx: &mut Self::Context) {
        let now = self.clock.now();
        if assign.queue != self.queue_life {
            // From a queue that is no more: dropping the jobs tells their callers to submit anew.
            return;
        }
        self.assigned += assign.jobs.len() as u64;
        let mut jobs = assign.jobs.into_iter();
        while let Some(job) = jobs.next() {
            if self.account_limited && !self.account_full {
                self.staged.push_back(job);
            } else if self.credits(now) > 0 {
                self.dispatch(now, job, jobs.len() > 0);
            } else {
                // The window shrank while the job was on its way.
                self.ended.push(Ended::Unsent { key: job.key, job: job.job });
            }
        }
        self.claim();
        self.turn(now, ctx);
    }
}

impl Handler<Reopen> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Reopen, ctx: &mut Self::Context) {
        self.account_full = false;
        self.turn(self.clock.now(), ctx);
    }
}

impl Handler<Recount> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Recount, ctx: &mut Self::Context) {
        self.unclaim();
        self.turn(self.clock.now(), ctx);
    }
}

impl Handler<Settle> for Dispatcher {
    type Result = ();

    fn handle(&mut self, settle: Settle, ctx: &mut Self::Context) {
        let now = self.clock.now();
        // A lease of an earlier life frees its slot by its permit alone; its caller, if it wants to retry, finds the
        // reply dropped and submits anew.
        if settle.generation == self.generation
            && let Some(held) = self.leases.settle(settle.key)
        {
            self.land(now, held, settle.report, settle.retry);
        } else {
            // The account was told of that slot too.
            self.unclaim();
        }
        self.turn(now, ctx);
    }
}

impl Handler<Hold> for Dispatcher {
    type Result = ();

    fn handle(&mut self, hold: Hold, ctx: &mut Self::Context) {
        let now = self.clock.now();
        self.gates.hold(now, hold.until, self.random.random());
        self.suspend(now, hold.suspension);
        self.held(hold.until.since(now));
        self.turn(now, ctx);
    }
}

impl Handler<NewQueue> for Dispatcher {
    type Result = ();

    fn handle(&mut self, new: NewQueue, ctx: &mut Self::Context) {
        self.queue = new.queue;
        self.queue_life = new.life;
        (self.assigned, self.told, self.told_view) = (0, 0, RouteView::new());
        // Jobs of the old queue: dropping them tells their callers to submit anew.
        self.ended.clear();
        self.staged.clear();
        self.turn(self.clock.now(), ctx);
    }
}

impl Handler<Reconfigure> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, ctx: &mut Self::Context) {
        let now = self.clock.now();
        if let Some(change) = self.gates.reconfigure(settings.window, now) {
            self.window_changed(change);
        }
        self.settings = settings;
        self.turn(now, ctx);
    }
}

impl Handler<Stop> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
impl Handler<super::messages::Crash> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: super::messages::Crash, _: &mut Self::Context) {
        panic!("a test asked for it");
    }
}
