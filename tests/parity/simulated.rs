//! The simulator's loop: the queue and the gates of `core`, driven by whoever holds the clock, as `src/sim/world` does.

use std::collections::BTreeMap;
use std::sync::Arc;

use fairflow::config::{Config, Settings};
use fairflow::core::cost::Cost;
use fairflow::core::fair_queue::{FairQueue, Request};
use fairflow::core::key::Key;
use fairflow::core::outcome::Outcome;
use fairflow::core::pacer::Pacer;
use fairflow::core::predict::{ModelCosts, Ratio};
use fairflow::core::report::Report;
use fairflow::core::retry::RetryBudget;
use fairflow::core::route::{Gates, Ticket};
use fairflow::core::time::Time;
use fairflow::core::window::Window;

use crate::engine::{Engine, Seen};
use crate::story::Job;

/// Stands for what the actors draw by chance.
const RANDOM: f64 = 0.5;

struct Sent {
    key: Key,
    ticket: Ticket,
    at: Time,
    attempt: u32,
}

pub struct Simulated {
    settings: Settings,
    queue: FairQueue<usize>,
    gates: Gates,
    budget: RetryBudget,
    costs: ModelCosts,
    ratios: BTreeMap<String, Ratio>,
    now: Time,
    keys: BTreeMap<usize, Key>,
    attempts: BTreeMap<usize, u32>,
    flying: BTreeMap<usize, Sent>,
    seen: Vec<Seen>,
}

impl Simulated {
    pub fn new(config: Config) -> Self {
        let settings = config.validate().unwrap();
        let model = settings.models["m"].clone();
        let mut simulated = Self {
            queue: FairQueue::new(model.queue),
            gates: Gates::new(Window::new(model.window), Pacer::default()),
            budget: RetryBudget::new(model.retry_budget),
            settings,
            costs: ModelCosts::default(),
            ratios: BTreeMap::new(),
            now: Time::ZERO,
            keys: BTreeMap::new(),
            attempts: BTreeMap::new(),
            flying: BTreeMap::new(),
            seen: Vec::new(),
        };
        simulated.reserve();
        simulated
    }

    fn reserve(&mut self) {
        for (tenant, limits) in &self.settings.models["m"].reserve {
            self.queue.register(self.now, tenant, limits);
        }
        self.queue.set_capacity(self.now, self.gates.window().limit());
    }

    fn pump(&mut self) {
        let now = self.now;
        for id in self.queue.expire(now) {
            self.seen.push(Seen::Refused(id, "queue_timeout"));
        }
        while self.gates.credits(now, 0) > 0 {
            let Some(next) = self.queue.pop(now, 0) else { break };
            let (id, demand) = (next.payload, self.queue.has_ready());
            let ticket = self.gates.dispatch(now, f64::from(next.cost.units()), 0, demand);
            let attempt = self.attempts.entry(id).or_default();
            *attempt += 1;
            self.flying.insert(id, Sent { key: next.key, ticket, at: now, attempt: *attempt });
            self.seen.push(Seen::Dispatched(id));
        }
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome, cost: Option<Cost>) {
        let report = Report { cost, ..Report::new(outcome) };
        let demand = self.queue.has_ready();
        self.gates.settle(self.now, ticket, report, demand, [RANDOM; 2]);
    }
}

impl Engine for Simulated {
    fn submit(&mut self, id: usize, job: &Job) {
        let model = &self.settings.models["m"];
        let tenant: Arc<str> = job.tenant.as_str().into();
        let policy = self.settings.policy(&tenant);
        let limits = model.reserve.get(&tenant).copied().unwrap_or(policy.limits);
        let ratio = self.ratios.entry(job.tenant.clone()).or_default();
        let cost = self.costs.predict(ratio, job.predicted);
        let deadline = self.now + job.patience.map_or(model.max_wait, |wait| wait.min(model.max_wait));
        let request = Request { tenant, limits, class: policy.class, cost, deadline, payload: id };
        match self.queue.push(self.now, request) {
            Ok(key) => {
                self.keys.insert(id, key);
                self.budget.deposit(self.now);
            }
            Err(_) => self.seen.push(Seen::Refused(id, "deadline_unreachable")),
        }
        self.pump();
    }

    fn finish(&mut self, id: usize, job: &Job, refused: bool) {
        let Sent { key, ticket, at, attempt } = self.flying.remove(&id).unwrap();
        if refused {
            self.settle(ticket, Outcome::Throttled, None);
            let backoff = self.settings.models["m"].backoff.full(attempt, RANDOM);
            let not_before = (self.now + backoff).max(self.budget.reserve(self.now));
            self.queue.requeue(self.now, key, not_before, self.now.since(at), id).unwrap();
        } else {
            self.settle(ticket, Outcome::Success, Some(job.actual));
            self.queue.complete(self.now, key, Some(job.actual));
            let ratio = self.ratios.get_mut(&job.tenant).unwrap();
            self.costs.record(ratio, job.predicted, job.actual);
        }
        self.pump();
    }

    fn cancel(&mut self, id: usize) {
        if let Some(sent) = self.flying.remove(&id) {
            self.settle(sent.ticket, Outcome::Cancelled, None);
            self.queue.complete(self.now, sent.key, None);
        } else {
            assert!(self.queue.cancel(self.now, self.keys[&id]).is_some(), "it waits");
        }
        self.pump();
    }

    async fn reload(&mut self, config: Config) {
        self.settings = config.validate().unwrap();
        let model = self.settings.models["m"].clone();
        self.queue.reconfigure(model.queue);
        self.gates.reconfigure(model.window, self.now);
        let tenants: Vec<_> = self.queue.tenants().map(|(name, ..)| name.clone()).collect();
        for tenant in tenants {
            self.queue.register(self.now, &tenant, &self.settings.policy(&tenant).limits);
        }
        self.reserve();
        self.pump();
    }

    async fn pass(&mut self, until: u64) -> (u64, Vec<Seen>) {
        let end = Time::from_millis(until);
        while self.seen.is_empty() && self.now < end {
            let wake =
                self.queue.poll_timeout().into_iter().chain(self.gates.poll_timeout(self.now).map(|(at, _)| at)).min();
            // Timers tick in milliseconds.
            let tick = Time::from_millis(self.now.as_nanos() / 1_000_000 + 1);
            let wake = wake.map_or(end, |at| Time::from_millis(at.as_nanos().div_ceil(1_000_000)).max(tick));
            self.now = wake.min(end);
            self.pump();
        }
        (self.now.as_nanos() / 1_000_000, std::mem::take(&mut self.seen))
    }
}
