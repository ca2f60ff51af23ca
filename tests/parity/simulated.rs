//! The simulator's scheduler, with the clock of a story.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use fairflow::config::{Config, ModelSettings, ProviderSettings, Settings};
use fairflow::core::account::AccountConfig;
use fairflow::core::broker::{Input, Refused, Ride};
use fairflow::core::fair_queue::{Refusal, Request};
use fairflow::core::key::Key;
use fairflow::core::outcome::Outcome;
use fairflow::core::past::Past;
use fairflow::core::report::Report;
use fairflow::core::route::{Memory, RouteConfig};
use fairflow::core::time::Time;
use fairflow::sim::{Flight, RouteStart, Scheduler, Step};

use crate::engine::{Engine, Seen};
use crate::story::Job;

/// Stands for what the actors draw by chance.
const RANDOM: f64 = 0.5;

/// Returns the settings of the model's one route.
fn route(model: &ModelSettings) -> RouteConfig {
    let ModelSettings { window, timeout, max_attempts, backoff, paused, .. } = *model;
    RouteConfig { index: 0, routes: 1, window, timeout, max_attempts, backoff, paused, limited: false }
}

/// A job of the story, and the key by which it can be cancelled.
#[derive(Debug)]
struct Rider {
    id: usize,
    past: Past,
    key: Rc<Cell<Option<Key>>>,
}

impl Ride for Rider {
    fn past(&self) -> Past {
        self.past
    }

    fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    fn placed(&self, key: Key, _: Time) {
        self.key.set(Some(key));
    }
}

pub struct Simulated {
    settings: Settings,
    scheduler: Scheduler<Rider>,
    now: Time,
    keys: BTreeMap<usize, Rc<Cell<Option<Key>>>>,
    flying: BTreeMap<usize, Flight<Rider>>,
    seen: Vec<Seen>,
}

impl Simulated {
    pub fn new(config: Config) -> Self {
        let settings = config.validate().unwrap();
        let model = &settings.models["m"];
        let ProviderSettings { max_in_flight, rates, budgets, .. } = settings.providers["p"];
        let account = AccountConfig { max_in_flight, rates, budgets };
        let start = RouteStart { config: route(model), memory: Memory::default(), account: Some(0) };
        let scheduler = Scheduler::new(model.broker(), vec![start], vec![account], || RANDOM);
        let (now, keys, flying, seen) = (Time::ZERO, BTreeMap::new(), BTreeMap::new(), Vec::new());
        Self { settings, scheduler, now, keys, flying, seen }
    }

    fn handle(&mut self, input: Input<Rider>) {
        self.scheduler.handle(input, self.now);
        self.pump();
    }

    fn settle(&mut self, flight: Flight<Rider>, report: Report, again: Option<Time>) {
        self.scheduler.settle(self.now, flight, report, again);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(step) = self.scheduler.next(self.now) {
            self.seen.push(match step {
                Step::Moved(_) => continue,
                Step::Send(flight) => {
                    let id = flight.job.id;
                    self.flying.insert(id, flight);
                    Seen::Dispatched(id)
                }
                Step::Refuse { job, refused: Refused::Expired { .. } } => Seen::Refused(job.id, "queue_timeout"),
                Step::Refuse { job, refused: Refused::Admission(Refusal::DeadlineUnreachable { .. }) } => {
                    Seen::Refused(job.id, "deadline_unreachable")
                }
                Step::Refuse { refused, .. } => panic!("{refused:?}"),
            });
        }
    }
}

impl Engine for Simulated {
    fn submit(&mut self, id: usize, job: &Job) {
        let model = &self.settings.models["m"];
        let tenant: Arc<str> = job.tenant.as_str().into();
        let policy = self.settings.policy(&tenant);
        let key = self.keys.entry(id).or_default().clone();
        self.handle(Input::Submit(Request {
            limits: model.limits(&tenant, policy),
            class: policy.class,
            cost: job.predicted,
            deadline: self.now + job.patience.map_or(model.max_wait, |wait| wait.min(model.max_wait)),
            payload: Rider { id, past: Past::default(), key },
            tenant,
        }));
    }

    fn finish(&mut self, id: usize, job: &Job, refused: bool) {
        let flight = self.flying.remove(&id).unwrap();
        if refused {
            return self.settle(flight, Report::new(Outcome::Throttled), Some(self.now));
        }
        let cost = (!job.silent).then_some(job.actual);
        self.settle(flight, Report { cost, ..Report::new(Outcome::Success) }, None);
    }

    fn cancel(&mut self, id: usize) {
        if let Some(flight) = self.flying.remove(&id) {
            return self.settle(flight, Report::new(Outcome::Cancelled), None);
        }
        let waiting = self.scheduler.broker().queue().len();
        self.handle(Input::Cancel(self.keys[&id].get().unwrap()));
        assert!(self.scheduler.broker().queue().len() < waiting, "it waits");
    }

    async fn reload(&mut self, config: Config) {
        self.settings = config.validate().unwrap();
        let model = &self.settings.models["m"];
        self.scheduler.handle(Input::Reconfigure(model.broker()), self.now);
        self.scheduler.reconfigure_route(route(model), self.now);
        let known = self.scheduler.broker().queue().tenants().map(|(name, ..)| name.clone());
        let limits = known.map(|name| (name.clone(), model.limits(&name, self.settings.policy(&name)))).collect();
        self.handle(Input::Limit(limits));
    }

    async fn pass(&mut self, until: u64) -> (u64, Vec<Seen>) {
        let end = Time::from_millis(until);
        while self.seen.is_empty() && self.now < end {
            // Timers tick in milliseconds.
            let tick = Time::from_millis(self.now.as_nanos() / 1_000_000 + 1);
            let wake = self.scheduler.poll_timeout();
            let wake = wake.map_or(end, |at| Time::from_millis(at.as_nanos().div_ceil(1_000_000)).max(tick));
            self.now = wake.min(end);
            self.handle(Input::Timeout);
        }
        (self.now.as_nanos() / 1_000_000, std::mem::take(&mut self.seen))
    }
}
