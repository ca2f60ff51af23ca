//! One model's queue: admits, orders by fairness, and answers credits with jobs.

mod snapshot;
mod steer;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, Context, Handler, MessageResult, Recipient};

use super::capacity::{RouteView, TenantView};
use super::clock::Clock;
use super::costs::Costs;
use super::dispatcher::Dispatcher;
use super::error::Error;
use super::lease::{Route, Waiter};
use super::messages::{
    Assign, Cancel, Ended, Inspect, Job, Reconfigure, Relimit, Retire, Shed, Stop, Submit, Tenants, TopTenants, Update,
    Who, Wire, Wired, Withdraw,
};
use super::pulse::Pulse;
use super::registry::Model;
use super::supervisor::{Obituary, Supervisor};
use super::timer::Timer;
use crate::config::ModelSettings;
#[cfg(feature = "gateway")]
use crate::core::fair_queue::Claims;
use crate::core::fair_queue::{FairQueue, Grant, TenantLimits};
use crate::core::outcome::Outcome;
use crate::core::retry::RetryBudget;
use crate::core::time::Time;

/// Snapshots follow changes at most this often: live to the eye, cheap under load.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// A model that appeared on first use goes after this long without a request.
const RETIRE_AFTER: Duration = Duration::from_secs(600);

/// A dispatcher as its queue sees it.
#[derive(Debug)]
struct Seat {
    dispatcher: Addr<Dispatcher>,
    generation: u32,
    route: Arc<Route>,
    /// Jobs assigned in this life of the dispatcher, and how many may be.
    assigned: u64,
    limit: u64,
    view: RouteView,
}

/// The queue actor of one model.
pub(crate) struct QueueActor {
    clock: Clock,
    model: Arc<Model>,
    settings: Arc<ModelSettings>,
    queue: FairQueue<Waiter>,
    costs: Costs,
    /// Slots the queue was told of: the sum of the windows.
    slots: u32,
    /// Whether reservations are cut to what there is.
    cut: bool,
    routes: Vec<Seat>,
    budget: RetryBudget,
    pulse: Pulse,
    timer: Timer,
    publish_at: Option<Time>,
    last_publish: Time,
    last_use: Time,
    /// Until when all routes were found closed, the last time that what waits was looked at for it.
    hopeless_until: Time,
    /// How long the model stays without a request: for ever, for a while, or not at all.
    retire_after: Option<Duration>,
    supervisor: Recipient<Retire>,
    generation: u32,
    _obituary: Obituary,
}

impl QueueActor {
    pub(crate) fn new(
        clock: Clock,
        model: Arc<Model>,
        generation: u32,
        on_demand: bool,
        supervisor: &Addr<Supervisor>,
    ) -> Self {
        let settings = model.settings();
        let mut queue = FairQueue::new(settings.queue);
        for (tenant, limits) in &settings.reserve {
            queue.register(clock.now(), tenant, limits);
        }
        let who = Who::Queue { model: model.name.clone(), generation };
        Self {
            clock,
            queue,
            costs: Costs::new(),
            slots: 0,
            cut: false,
            routes: Vec::new(),
            budget: RetryBudget::new(settings.retry_budget),
            pulse: Pulse::new(),
            timer: Timer::default(),
            publish_at: None,
            last_publish: Time::ZERO,
            last_use: clock.now(),
            hopeless_until: Time::ZERO,
            retire_after: on_demand.then_some(RETIRE_AFTER),
            supervisor: supervisor.clone().recipient(),
            generation,
            settings,
            model,
            _obituary: Obituary::new(supervisor.clone().recipient(), who),
        }
    }

    /// Ends every handler: something has changed, and the next snapshot is due soon.
    fn changed(&mut self, now: Time, ctx: &mut Context<Self>) {
        if self.publish_at.is_none_or(|at| at > self.last_publish + PUBLISH_EVERY) {
            self.publish_at = Some(now.max(self.last_publish + PUBLISH_EVERY));
        }
        self.turn(now, ctx);
    }

    /// Does what is due, answers credits, and sets the one timer.
    fn turn(&mut self, now: Time, ctx: &mut Context<Self>) {
        for waiter in self.queue.expire(now) {
            let retry_after = self.drain_time();
            let waited = now.since(waiter.admitted);
            waiter.refuse(Error::QueueTimeout { waited, retry_after });
        }
        self.shed_hopeless(now);
        self.answer_credits(now);
        self.model.backlog.store(self.queue.has_ready(), Ordering::Relaxed);
        if self.publish_at.is_some_and(|at| at <= now) {
            self.publish(now);
        }
        let retire = self.retire_after.map(|after| self.last_use + after);
        let unused = self.queue.is_empty() && self.queue.in_flight() == 0;
        if unused && retire.is_some_and(|at| at <= now) {
            self.retire_after = None;
            self.supervisor.do_send(Retire(self.model.clone()));
        }
        let next = self.queue.poll_timeout().into_iter().chain(self.publish_at).chain(retire.filter(|at| *at > now));
        self.timer.set(ctx, now, next.min(), |actor, ctx| {
            let now = actor.clock.now();
            actor.turn(now, ctx);
        });
    }

    /// Hands jobs to the routes that have credit, the most first: so a faster route serves more.
    fn answer_credits(&mut self, now: Time) {
        let mut batches: Vec<Vec<Job>> = Vec::new();
        loop {
            let open = |seat: &Seat| seat.limit.saturating_sub(seat.assigned);
            let best = self.routes.iter().enumerate().max_by_key(|(_, seat)| open(seat));
            let Some((index, _)) = best.filter(|(_, seat)| open(seat) > 0) else { break };
            #[allow(clippy::cast_possible_truncation, reason = "a handful of routes")]
            let Some(dispatch) = self.queue.pop(now, index as u32) else { break };
            if dispatch.payload.reply.is_closed() {
                // Its caller has gone, and the notice is still in the mailbox.
                self.forget(now, dispatch.key, dispatch.payload);
                continue;
            }
            let Some((index, dispatch)) = self.steer(now, index, dispatch) else { continue };
            self.model.stats.queue_wait.record(dispatch.waited);
            if dispatch.payload.past.attempts == 0 {
                self.model.stats.forecast(dispatch.payload.seat.promised(), dispatch.waited);
            }
            batches.resize_with(self.routes.len(), Vec::new);
            self.routes[index].assigned += 1;
            batches[index].push(Job {
                key: dispatch.key,
                cost: dispatch.cost,
                deadline: dispatch.deadline,
                waiter: dispatch.payload,
            });
        }
        for (seat, jobs) in self.routes.iter().zip(batches).filter(|(_, jobs)| !jobs.is_empty()) {
            seat.dispatcher.do_send(Assign { queue: self.generation, jobs });
        }
    }

    /// Tells the queue what the windows hold together: reservations are promises on that.
    fn count_slots(&mut self, now: Time) {
        if self.settings.reserve.is_empty() {
            return;
        }
        let slots = self.routes.iter().map(|seat| seat.view.window).sum();
        if slots == self.slots {
            return;
        }
        self.slots = slots;
        self.queue.set_capacity(now, slots);
        let mut reserved = self.settings.reserve.keys().filter_map(|tenant| self.queue.reservation(tenant));
        let scaled = reserved.find_map(|reserved| match reserved.reason {
            Grant::Scaled { grantable } => Some(grantable),
            Grant::Full | Grant::Untried => None,
        });
        if scaled.is_some() != self.cut {
            self.cut = scaled.is_some();
            let asked: u32 = self.settings.reserve.values().map(|limits| limits.reserve).sum();
            let model = &self.model.name;
            match scaled {
                Some(granted) => tracing::warn!(
                    %model, asked, granted, slots, "reservations exceed 0.8 of the slots there are: cut by weight"
                ),
                None => tracing::info!(%model, asked, slots, "reservations are granted in full"),
            }
        }
    }

    /// Ends the jobs of a dispatcher that is no more.
    fn abandon(&mut self, now: Time, route: usize) {
        #[allow(clippy::cast_possible_truncation, reason = "a handful of routes")]
        self.queue.abandon(now, route as u32);
    }

    /// Takes back a dispatched job whose caller has gone.
    fn forget(&mut self, now: Time, key: crate::core::key::Key, waiter: Waiter) {
        if self.queue.give_back(now, key, waiter).is_ok() {
            drop(self.queue.cancel(now, key));
        }
    }

    /// Copies out who has and asks for what.
    #[cfg(feature = "gateway")]
    pub(super) fn claims(&self) -> Claims {
        self.queue.claims()
    }

    fn drain_time(&self) -> Duration {
        let rate = self.queue.drain_per_second().filter(|rate| *rate > 0.0);
        rate.map_or(Duration::from_secs(1), |rate| Duration::from_secs_f64((1.0 / rate).clamp(0.001, 3_600.0)))
    }

    fn ended(&mut self, now: Time, ended: Ended) {
        match ended {
            Ended::Done { key, outcome, expected, charged, cost, service } => {
                self.pulse.observe(now, outcome, service);
                if let Some(actual) = cost {
                    self.costs.learn(expected, actual);
                }
                // A success tells how long such a job takes, even where nobody says what it did cost.
                let known = cost.or((outcome == Outcome::Success).then_some(charged));
                self.queue.complete(now, key, known);
            }
            Ended::Retry { key, outcome, not_before, service, mut waiter } => {
                self.pulse.observe(now, outcome, service);
                let not_before = not_before.max(self.budget.reserve(now));
                waiter.seat.set(key);
                waiter.seat.set_not_before(not_before);
                waiter.permit = None;
                // It is looked at anew whether it can wait for the routes that are closed.
                self.hopeless_until = Time::ZERO;
                if let Err(waiter) = self.queue.requeue(now, key, not_before, service, waiter) {
                    waiter.refuse(Error::Stopped);
                }
            }
            Ended::Raised { key, more } => self.queue.charge_more(key, more),
            Ended::Unsent { key, waiter } => {
                if waiter.reply.is_closed() {
                    self.forget(now, key, waiter);
                } else if let Err(waiter) = self.queue.give_back(now, key, waiter) {
                    waiter.refuse(Error::Stopped);
                }
            }
        }
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;
}

impl Handler<Submit> for QueueActor {
    type Result = ();

    fn handle(&mut self, submit: Submit, ctx: &mut Self::Context) {
        let now = self.clock.now();
        self.last_use = now;
        let Submit { tenant, limits, class, cost, deadline, mut waiter } = submit;
        if let Some(retry_after) = self.closed(now, deadline) {
            waiter.refuse(Error::NoCapacity { retry_after });
        } else if !waiter.reply.is_closed() {
            let seat = waiter.seat.clone();
            let (cost, expected) = self.costs.predict(&tenant, cost);
            waiter.expected = expected;
            let request = crate::core::fair_queue::Request { tenant, limits, class, cost, deadline, payload: waiter };
            match self.queue.push(now, request) {
                Ok(key) => {
                    self.budget.deposit(now);
                    seat.set(key);
                    seat.promise(self.queue.forecast(key));
                }
                Err((refusal, waiter)) => waiter.refuse(refusal.into()),
            }
        }
        self.changed(now, ctx);
    }
}

impl Handler<Cancel> for QueueActor {
    type Result = ();

    fn handle(&mut self, cancel: Cancel, ctx: &mut Self::Context) {
        let now = self.clock.now();
        if let Some(key) = cancel.seat.key() {
            drop(self.queue.cancel(now, key));
        }
        self.changed(now, ctx);
    }
}

impl Handler<Update> for QueueActor {
    type Result = ();

    fn handle(&mut self, update: Update, ctx: &mut Self::Context) {
        let now = self.clock.now();
        let Some(seat) = self.routes.get_mut(update.route) else { return };
        if seat.generation != update.generation {
            // From an earlier life: what it had was ended when the new one was wired.
            return;
        }
        seat.limit = update.limit;
        seat.view = update.view;
        for ended in update.ended {
            self.ended(now, ended);
        }
        self.count_slots(now);
        self.changed(now, ctx);
    }
}

impl Handler<Wire> for QueueActor {
    type Result = ();

    fn handle(&mut self, wire: Wire, ctx: &mut Self::Context) {
        let now = self.clock.now();
        let routes = wire.routes.len();
        for (index, Wired { dispatcher, generation, route }) in wire.routes.into_iter().enumerate() {
            let seat = Seat { dispatcher, generation, route, assigned: 0, limit: 0, view: RouteView::new() };
            match self.routes.get_mut(index) {
                None => self.routes.push(seat),
                Some(old) if old.generation != generation => {
                    *old = seat;
                    self.abandon(now, index);
                }
                Some(_) => {}
            }
        }
        for index in routes..self.routes.len() {
            self.abandon(now, index);
        }
        self.routes.truncate(routes);
        self.changed(now, ctx);
    }
}

impl Handler<Withdraw> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Withdraw, ctx: &mut Self::Context) {
        self.retire_after = Some(Duration::ZERO);
        self.changed(self.clock.now(), ctx);
    }
}

impl Handler<Reconfigure> for QueueActor {
    type Result = ();

    fn handle(&mut self, Reconfigure(settings): Reconfigure, ctx: &mut Self::Context) {
        let now = self.clock.now();
        self.queue.reconfigure(settings.queue);
        for (tenant, limits) in &self.settings.reserve {
            if !settings.reserve.contains_key(tenant) {
                self.queue.register(now, tenant, &TenantLimits { reserve: 0, ..*limits });
            }
        }
        for (tenant, limits) in &settings.reserve {
            self.queue.register(now, tenant, limits);
        }
        self.budget.set_ratio(settings.retry_budget);
        self.settings = settings;
        self.changed(now, ctx);
    }
}

impl Handler<Relimit> for QueueActor {
    type Result = ();

    fn handle(&mut self, Relimit { settings, only }: Relimit, ctx: &mut Self::Context) {
        let now = self.clock.now();
        let all = || self.queue.tenants().map(|(name, ..)| name.clone()).collect();
        let tenants: Vec<_> = only.map_or_else(all, |tenant| vec![tenant]);
        for tenant in tenants {
            let limits = self.settings.limits(&tenant, &self.model.ledger.policy(&settings, &tenant));
            self.queue.register(now, &tenant, &limits);
        }
        self.changed(now, ctx);
    }
}

impl Handler<Shed> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Shed, ctx: &mut Self::Context) {
        let now = self.clock.now();
        for waiter in self.queue.shed(now) {
            waiter.refuse(Error::NoCapacity { retry_after: Duration::from_secs(1) });
        }
        self.changed(now, ctx);
    }
}

impl Handler<Inspect> for QueueActor {
    type Result = MessageResult<Inspect>;

    fn handle(&mut self, inspect: Inspect, _: &mut Self::Context) -> Self::Result {
        let (queued, in_flight) = self.queue.tenant(&inspect.tenant);
        let wait =
            self.queue.wait(self.clock.now(), &inspect.tenant, &inspect.limits, inspect.class).unwrap_or_default();
        let reserved = self.queue.reservation(&inspect.tenant);
        MessageResult(TenantView { queued, in_flight, wait, reserved })
    }
}

impl Handler<TopTenants> for QueueActor {
    type Result = MessageResult<TopTenants>;

    fn handle(&mut self, top: TopTenants, _: &mut Self::Context) -> Self::Result {
        let mut tenants: Vec<_> = self.queue.tenants().collect();
        let largest = |a: &(&Arc<str>, u32, u32), b: &(&Arc<str>, u32, u32)| (b.2, b.1, a.0).cmp(&(a.2, a.1, b.0));
        if tenants.len() > top.most {
            // Only those that are told of are put in order and copied.
            tenants.select_nth_unstable_by(top.most, largest);
            tenants.truncate(top.most);
        }
        tenants.sort_unstable_by(largest);
        let tenants = tenants.into_iter().map(|(name, queued, flying)| (name.clone(), queued, flying)).collect();
        MessageResult(Tenants(tenants))
    }
}

impl Handler<Stop> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
impl Handler<super::messages::Crash> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: super::messages::Crash, _: &mut Self::Context) {
        panic!("a test asked for it");
    }
}
