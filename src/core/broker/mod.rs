//! The queue's side of one model as one machine: it admits requests, gives each credit of a route the job that fairness
//! says is next, and takes jobs back.
//!
//! A [`Broker`] owns the [fair queue](FairQueue), the costs learned per tenant, the [retry budget](RetryBudget), the
//! credits of the model's routes and the model's [health](ModelHealth). Its counterpart is the machine of a route, which
//! says in an [`Update`] how many jobs it may be given and what became of those it was given.
//!
//! # The order that every driver keeps
//!
//! ```text
//! broker.handle(input, now);                     // 1. one input
//! while let Some(output) = broker.poll_output()  // 2. all that it puts out, in that order
//! broker.poll_timeout()                          // 3. when to call with Input::Timeout, and why
//! ```
//!
//! `now` never goes back. Nothing is asked of the broker between 1 and the end of 2: a job that was put out belongs to
//! its route, and the next answer could depend on it. Each input does what is due at `now` before it returns, so a
//! timeout that is served late, or by another input, does no harm.

mod assign;
mod closed;
mod config;
mod costs;
mod health;
mod message;
mod reserved;
mod ride;
mod routes;
mod snapshots;
#[cfg(test)]
mod tests;
mod view;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::config::BrokerConfig;
use self::costs::{Costs, Expected};
pub use self::health::{ModelHealth, ServiceTimes, Status, Trend};
pub use self::message::{Assigned, Ended, Input, Output, Reason, Refused, Update};
use self::reserved::Reserved;
pub use self::ride::Ride;
use self::routes::Routes;
use self::snapshots::Snapshots;
pub use self::view::RouteView;
use super::cost::Cost;
use super::estimate::Forecast;
use super::fair_queue::chunks::Chunks;
use super::fair_queue::{FairQueue, Request, TenantLimits};
use super::key::Key;
use super::outcome::Outcome;
use super::past::Past;
use super::retry::RetryBudget;
use super::time::Time;

/// A retry-after in seconds for jobs that wait while no drain rate is known.
const UNKNOWN_DRAIN: Duration = Duration::from_secs(1);
/// Bounds of one job's drain time: a thousandth of a second to an hour.
const DRAIN_RANGE: (f64, f64) = (0.001, 3_600.0);

/// Record that the broker keeps of a job from its admission to its end.
#[derive(Debug, Clone, Copy)]
struct Known {
    expected: Expected,
    /// The wait that the job was admitted under, P50 and P90 in seconds; zero where none was forecast.
    promised: [f32; 2],
}

impl Known {
    #[allow(clippy::cast_possible_truncation, reason = "a forecast in seconds needs no more")]
    fn new(expected: Expected, promised: Option<Forecast>) -> Self {
        Self { expected, promised: promised.map_or([0.0; 2], |wait| [wait.p50 as f32, wait.p90 as f32]) }
    }

    fn promised(&self) -> Option<Forecast> {
        let [p50, p90] = self.promised.map(f64::from);
        (p90 > 0.0).then_some(Forecast { p50, p90 })
    }
}

/// The queue's side of one model. `J` rides along with each job.
#[derive(Debug)]
pub struct Broker<J> {
    config: BrokerConfig,
    queue: FairQueue<J>,
    /// By the positions of the jobs' keys.
    known: Chunks<Known>,
    costs: Costs,
    budget: RetryBudget,
    routes: Routes<J>,
    reserved: Reserved,
    health: ModelHealth,
    snapshots: Snapshots,
    last_use: Time,
    /// How long the model stays without a request: for ever, for a while, or not at all.
    retire_after: Option<Duration>,
    outputs: VecDeque<Output<J>>,
}

impl<J: Ride> Broker<J> {
    /// Builds a broker without routes; it puts out no [`Output::Publish`] and never retires by itself.
    #[must_use]
    pub fn new(config: BrokerConfig, now: Time) -> Self {
        let mut broker = Self {
            queue: FairQueue::new(config.queue),
            known: Chunks::new(),
            costs: Costs::new(),
            budget: RetryBudget::new(config.retry_budget),
            routes: Routes::new(),
            reserved: Reserved::default(),
            health: ModelHealth::new(),
            snapshots: Snapshots::default(),
            last_use: now,
            retire_after: None,
            outputs: VecDeque::new(),
            config,
        };
        broker.register_reserved(now);
        broker
    }

    /// Has the broker put out [`Output::Publish`] after changes: at most every 50 ms while somebody
    /// [follows](Self::follow), else at most once a second.
    #[must_use]
    pub fn publishing(mut self) -> Self {
        self.snapshots.begin();
        self
    }

    /// Has the broker put out [`Output::Retire`] when it has been without a request for so long.
    #[must_use]
    pub fn retiring_after(mut self, idle: Option<Duration>) -> Self {
        self.retire_after = idle;
        self
    }

    /// Takes note of whether anybody follows the snapshots; before an input.
    pub fn follow(&mut self, followed: bool) {
        self.snapshots.follow(followed);
    }

    /// Takes one input and does what is due at `now`.
    pub fn handle(&mut self, input: Input<J>, now: Time) {
        match input {
            Input::Submit(request) => self.submit(now, request),
            Input::Cancel(key) => drop(self.queue.cancel(now, key)),
            Input::Update(update) => {
                let Update { route, life, limit, view, ended } = update;
                if !self.routes.update(route, life, limit, view) {
                    // From an earlier life: what it had was ended when the new one was wired.
                    return;
                }
                for ended in ended {
                    self.ended(now, ended);
                }
                self.count_slots(now);
            }
            Input::Wire(lives) => {
                for gone in self.routes.wire(&lives) {
                    // Nobody will tell how its jobs ended.
                    self.queue.abandon(now, gone);
                }
                self.snapshots.rewired(now);
                return self.act(now);
            }
            Input::Reconfigure(config) => self.reconfigure(now, config),
            Input::Limit(limits) => {
                for (tenant, limits) in limits {
                    self.queue.register(now, &tenant, &limits);
                }
            }
            Input::Withdraw => self.retire_after = Some(Duration::ZERO),
            Input::Shed => {
                for job in self.queue.shed(now) {
                    self.refuse(job, Refused::NoCapacity { retry_after: UNKNOWN_DRAIN });
                }
            }
            Input::Show => {
                self.snapshots.asked(now);
                return self.act(now);
            }
            Input::Timeout => return self.act(now),
        }
        self.snapshots.changed(now);
        self.act(now);
    }

    /// Returns the next of what the last input led to.
    pub fn poll_output(&mut self) -> Option<Output<J>> {
        self.outputs.pop_front()
    }

    /// Returns when the broker wants [`Input::Timeout`], and for which reason; `None` while only inputs can change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let waiting = self.queue.poll_timeout().map(|at| (at, Reason::Waiting));
        let publish = self.snapshots.poll_timeout().map(|at| (at, Reason::Publish));
        let retire = self.retires_at().filter(|_| self.is_unused()).map(|at| (at, Reason::Retire));
        waiting.into_iter().chain(publish).chain(retire).min()
    }

    /// Returns the fair queue, to look at.
    #[must_use]
    pub fn queue(&self) -> &FairQueue<J> {
        &self.queue
    }

    /// Returns what each route last told of itself, in their order.
    pub fn routes(&self) -> impl Iterator<Item = &RouteView> {
        self.routes.views()
    }

    /// Returns how the model's attempts do.
    #[must_use]
    pub fn health(&self) -> &ModelHealth {
        &self.health
    }

    /// Returns the model's health in one word; `wait` is the forecast for a request submitted now.
    #[must_use]
    pub fn status(&self, now: Time, wait: Forecast) -> Status {
        let open = self.routes().any(|view| view.closed_until() <= now && !view.paused);
        let late = wait.p90 > self.config.max_wait.as_secs_f64();
        self.health.status(open, late, self.config.healthy_latency)
    }

    /// Returns how many retries the budget has room for at `now`; never below zero.
    #[must_use]
    pub fn retry_room(&self, now: Time) -> f64 {
        self.budget.remaining(now)
    }

    /// Does what is due, and answers credits.
    fn act(&mut self, now: Time) {
        for job in self.queue.expire(now) {
            let retry_after = self.drain_time();
            self.refuse(job, Refused::Expired { retry_after });
        }
        self.shed_hopeless(now);
        self.answer_credits(now);
        if self.snapshots.is_due(now) {
            let fades = self.fades(now);
            self.snapshots.published(now, fades);
            self.outputs.push_back(Output::Publish);
        }
        if self.is_unused() && self.retires_at().is_some_and(|at| at <= now) {
            self.retire_after = None;
            self.outputs.push_back(Output::Retire);
        }
    }

    /// Says whether a snapshot changes by time alone: by the end of a hold, the wait of what waits, a rate that fades.
    fn fades(&self, now: Time) -> bool {
        let held = self.routes().any(|view| view.closed_until() > now);
        !self.queue.is_empty() || self.health.throughput(now) > 0.0 || held
    }

    fn is_unused(&self) -> bool {
        self.queue.is_empty() && self.queue.in_flight() == 0
    }

    fn retires_at(&self) -> Option<Time> {
        self.retire_after.map(|after| self.last_use + after)
    }

    fn submit(&mut self, now: Time, request: Request<J>) {
        self.last_use = now;
        if let Some(retry_after) = self.closed(now, request.deadline) {
            return self.refuse(request.payload, Refused::NoCapacity { retry_after });
        }
        if request.payload.is_gone() {
            return;
        }
        let (cost, expected) = self.costs.predict(&request.tenant, request.cost);
        match self.queue.push(now, Request { cost, ..request }) {
            Ok(key) => {
                self.budget.deposit(now);
                self.remember(key, Known::new(expected, self.queue.forecast(key)));
                if let Some(job) = self.queue.waiting(key) {
                    job.placed(key, Time::ZERO);
                }
            }
            Err((refusal, job)) => self.refuse(job, Refused::Admission(refusal)),
        }
    }

    fn remember(&mut self, key: Key, known: Known) {
        if key.index() as usize == self.known.len() {
            self.known.push(known);
        } else {
            self.known[key.index()] = known;
        }
    }

    /// Makes the tenants with a reservation known to the queue.
    fn register_reserved(&mut self, now: Time) {
        for (tenant, limits) in &self.config.reserve {
            self.queue.register(now, tenant, limits);
        }
    }

    /// Takes new settings; tenants that have lost their reservation are registered without one.
    fn reconfigure(&mut self, now: Time, config: BrokerConfig) {
        self.queue.reconfigure(config.queue);
        for (tenant, limits) in &self.config.reserve {
            if !config.reserve.contains_key(tenant) {
                self.queue.register(now, tenant, &TenantLimits { reserve: 0, ..*limits });
            }
        }
        self.budget.set_ratio(config.retry_budget);
        self.config = config;
        self.register_reserved(now);
    }

    /// Tells the queue how many slots there are, where reservations depend on it.
    fn count_slots(&mut self, now: Time) {
        if !self.config.reserve.is_empty() {
            let slots = self.routes().map(|view| view.window).sum();
            let changed = self.reserved.count(now, slots, &self.config.reserve, &mut self.queue);
            self.outputs.extend(changed);
        }
    }

    /// Takes note of what became of a job that a route was given.
    fn ended(&mut self, now: Time, ended: Ended<J>) {
        match ended {
            Ended::Done { key, outcome, charged, cost, service } => {
                self.health.observe(now, outcome, service);
                // A success tells how long such a job takes, even where nobody says what it did cost.
                let known = cost.or((outcome == Outcome::Success).then_some(charged));
                if self.queue.complete(now, key, known)
                    && let Some(actual) = cost
                {
                    self.costs.learn(self.known[key.index()].expected, actual);
                }
            }
            Ended::Retry { key, outcome, not_before, service, job } => {
                self.health.observe(now, outcome, service);
                let not_before = not_before.max(self.budget.reserve(now));
                job.placed(key, not_before);
                // It is looked at anew whether it can wait for the routes that are closed.
                self.routes.hopeless_until = Time::ZERO;
                if let Err(job) = self.queue.requeue(now, key, not_before, service, job) {
                    self.refuse(job, Refused::Unknown);
                }
            }
            Ended::Raised { key, more } => self.queue.charge_more(key, more),
            Ended::Unsent { key, job } if job.is_gone() => self.forget(now, key, job),
            Ended::Unsent { key, job } => {
                if let Err(job) = self.queue.give_back(now, key, job) {
                    self.refuse(job, Refused::Unknown);
                }
            }
        }
    }

    /// Takes back a dispatched job whose caller has gone.
    fn forget(&mut self, now: Time, key: Key, job: J) {
        if self.queue.give_back(now, key, job).is_ok() {
            drop(self.queue.cancel(now, key));
        }
    }

    fn refuse(&mut self, job: J, refused: Refused) {
        self.outputs.push_back(Output::Refuse { job, refused });
    }

    /// Returns how long it takes until the next job leaves the queue.
    fn drain_time(&self) -> Duration {
        let rate = self.queue.drain_per_second().filter(|rate| *rate > 0.0);
        let (least, most) = DRAIN_RANGE;
        rate.map_or(UNKNOWN_DRAIN, |rate| Duration::from_secs_f64((1.0 / rate).clamp(least, most)))
    }
}
