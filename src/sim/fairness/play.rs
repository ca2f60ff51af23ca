//! Plays a scenario of fairness in virtual time, by the scheduler with gates that know the slots.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::report::{Promise, Report, Sample, Wait};
use super::scenario::Scenario;
use crate::core::broker::{BrokerConfig, Input, Refused, Ride};
use crate::core::cost::{Cost, Weight};
use crate::core::estimate::Forecast;
use crate::core::fair_queue::{Group, QueueLimits, Request, TenantLimits};
use crate::core::key::Key;
use crate::core::outcome::Outcome;
use crate::core::past::Past;
use crate::core::report::Report as Ended;
use crate::core::time::Time;
use crate::sim::gates::{Inside, Oracle};
use crate::sim::rng::Rng;
use crate::sim::scheduler::{Flight, Scheduler, Step};

/// Seconds between two samples.
const SAMPLE: f64 = 0.1;
/// Part of its service time after which an attempt is refused.
const REFUSED_AFTER: f64 = 0.1;
/// Most jobs that wait.
const CAPACITY: usize = 1_000_000;

/// Plays a scenario. The same seed gives the same report to the last bit.
#[must_use]
pub fn play(scenario: &Scenario, seed: u64) -> Report {
    let mut player = Player::new(scenario, seed);
    player.begin();
    player.run();
    player.report
}

/// A rider holds a job's number, and the key by which the job is known while it waits.
#[derive(Debug)]
struct Rider {
    job: usize,
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

struct Job {
    client: usize,
    actual: f64,
    /// Whether its first attempt, which is refused, is still to come.
    refused: bool,
    submitted: f64,
    /// When this wait began.
    since: f64,
    promised: Option<Forecast>,
    /// Jobs that waited when it came.
    depth: usize,
    /// Calls that are left to its thread, this one included.
    left: Option<u32>,
    key: Rc<Cell<Option<Key>>>,
    /// Whether it has left.
    over: bool,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A request of an open loop, and the next one after it.
    Open {
        client: usize,
    },
    /// A request of a thread with so many calls left, or of a burst.
    One {
        client: usize,
        left: Option<u32>,
    },
    Finish {
        job: usize,
    },
    Cancel {
        job: usize,
    },
    /// The cap of a tenant is another.
    Raise {
        client: usize,
    },
    Wake,
}

struct Flying {
    flight: Flight<Rider>,
    begin: f64,
    end: f64,
}

/// An account keeps one client's work and reservation.
#[derive(Clone, Copy, Default)]
struct Account {
    done: f64,
    granted: f64,
    /// Until when its reservation, which is due, must be served.
    due: Option<f64>,
}

// fields: what an event may change.
struct Player<'a> {
    scenario: &'a Scenario,
    clients: Vec<Client>,
    names: Vec<Arc<str>>,
    scheduler: Scheduler<Rider>,
    jobs: Vec<Job>,
    events: BinaryHeap<Reverse<(u64, usize)>>,
    store: Vec<Event>,
    random: Rng,
    now: f64,
    /// Slots in use.
    used: u32,
    /// A job that needs more slots than are free.
    staged: Option<Flight<Rider>>,
    flying: BTreeMap<usize, Flying>,
    accounts: Vec<Account>,
    report: Report,
}

fn time(seconds: f64) -> Time {
    Time::from_nanos((seconds * 1e9).round() as u64)
}

fn limits(client: &Client, now: f64) -> TenantLimits {
    TenantLimits {
        weight: Weight::new(client.weight).unwrap_or_default(),
        max_in_flight: client.cap_at(now),
        reserve: client.reserve,
        group: client.group.map(|id| Group { id, weight: Weight::ONE }),
        ..TenantLimits::default()
    }
}

fn broker(scenario: &Scenario, clients: &[Client]) -> BrokerConfig {
    let default = QueueLimits::default();
    let reserving = clients.iter().filter(|client| client.reserve > 0);
    BrokerConfig {
        queue: QueueLimits {
            capacity: CAPACITY,
            long: scenario.long.map_or(Duration::MAX, Duration::from_secs_f64),
            unlendable: scenario.unlendable.unwrap_or(default.unlendable),
            ..default
        },
        reserve: reserving.map(|client| (client.tenant.as_str().into(), limits(client, 0.0))).collect(),
        retry_budget: f64::MAX,
        ..BrokerConfig::default()
    }
}

impl<'a> Player<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let clients = scenario.clients();
        Self {
            scenario,
            names: clients.iter().map(|client| client.tenant.as_str().into()).collect(),
            scheduler: Scheduler::before(broker(scenario, &clients), vec![Box::new(Oracle::default())]),
            jobs: Vec::new(),
            events: BinaryHeap::new(),
            store: Vec::new(),
            random: Rng::new(seed, 0),
            now: 0.0,
            used: 0,
            staged: None,
            flying: BTreeMap::new(),
            accounts: vec![Account::default(); clients.len()],
            report: Report::new(clients.clone()),
            clients,
        }
    }

    fn slots(&self) -> u32 {
        self.scenario.slots_at(self.now).min(self.scenario.account.unwrap_or(u32::MAX))
    }

    fn free(&self) -> u32 {
        self.slots().saturating_sub(self.used)
    }

    fn at(&mut self, seconds: f64, event: Event) {
        self.events.push(Reverse((time(seconds).as_nanos(), self.store.len())));
        self.store.push(event);
    }

    fn begin(&mut self) {
        for client in 0..self.clients.len() {
            let Some(&Client { threads, calls, burst, rate, raised, from, .. }) = self.clients.get(client) else {
                continue;
            };
            let left = Some(if calls == 0 { u32::MAX } else { calls });
            (0..threads).for_each(|_| self.at(from, Event::One { client, left }));
            (0..burst).for_each(|_| self.at(from, Event::One { client, left: None }));
            if rate > 0.0 {
                self.at(from, Event::Open { client });
            }
            if let Some((at, _)) = raised {
                self.at(at, Event::Raise { client });
            }
        }
        for from in self.scenario.slots.times() {
            self.at(from, Event::Wake);
        }
    }

    fn run(&mut self) {
        let mut sample_at = 0.0;
        let sampled = !self.scenario.expect.is_empty();
        while let Some(Reverse((nanos, index))) = self.events.pop() {
            let at = nanos as f64 / 1e9;
            let end = at.min(self.scenario.seconds);
            while sampled && sample_at <= end {
                self.sample(sample_at);
                sample_at += SAMPLE;
            }
            self.report.capacity += f64::from(self.slots()) * (end - self.now);
            if self.scheduler.broker().queue().has_ready() && self.staged.is_none() {
                self.report.idle += f64::from(self.free()) * (end - self.now);
            }
            self.now = end;
            if at >= self.scenario.seconds {
                return;
            }
            if let Some(event) = self.store.get(index).copied() {
                self.handle(event);
            }
            // What happens at one instant is seen as one.
            if self.events.peek().is_none_or(|Reverse((next, _))| *next > nanos) {
                self.turn();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Open { client } => {
                let Some(&Client { rate, poisson, .. }) = self.clients.get(client) else { return };
                let gap = if poisson { self.random.exponential(rate) } else { 1.0 / rate };
                self.at(self.now + gap, Event::Open { client });
                self.submit(client, None);
            }
            Event::One { client, left } => self.submit(client, left),
            Event::Finish { job } => self.finish(job),
            Event::Cancel { job } => self.cancel(job),
            Event::Raise { client } => {
                let (Some(name), Some(of)) = (self.names.get(client), self.clients.get(client)) else { return };
                let limits = vec![(name.clone(), limits(of, self.now))];
                self.scheduler.handle(Input::Limit(limits), time(self.now));
            }
            Event::Wake => {}
        }
    }

    fn submit(&mut self, client: usize, left: Option<u32>) {
        let (Some(it), Some(tenant)) = (self.clients.get(client), self.names.get(client).cloned()) else { return };
        if !it.is_active(self.now) {
            return;
        }
        let sigma = (1.0 + it.spread * it.spread).ln().sqrt();
        let actual = it.cost * self.random.lognormal((-sigma * sigma / 2.0).exp(), sigma);
        let off = 1.0 + it.error * (2.0 * self.random.unit() - 1.0);
        let (job, key, depth) = (self.jobs.len(), Rc::new(Cell::new(None)), self.scheduler.broker().queue().len());
        self.jobs.push(Job {
            client,
            actual,
            refused: it.retry > 0.0,
            submitted: self.now,
            since: self.now,
            promised: None,
            depth,
            left,
            key: key.clone(),
            over: false,
        });
        let request = Request {
            tenant,
            limits: limits(it, self.now),
            class: it.class,
            cost: Cost::new((actual * it.bias * off).round() as u64),
            deadline: if it.max_wait == f64::MAX { Time::FAR } else { time(self.now + it.max_wait) },
            payload: Rider { job, past: Past::default(), key: key.clone() },
        };
        self.scheduler.handle(Input::Submit(request), time(self.now));
        let promised = key.get().and_then(|key| self.scheduler.broker().queue().forecast(key));
        if let Some(job) = self.jobs.get_mut(job) {
            job.promised = promised;
        }
        if let Some((_, after)) = self.scenario.cancel.filter(|(every, _)| self.jobs.len().is_multiple_of(*every)) {
            self.at(self.now + after, Event::Cancel { job });
        }
    }

    /// A job has left: its thread thinks, and asks again.
    fn over(&mut self, job: usize) {
        let Some(Job { over, client, left, .. }) = self.jobs.get_mut(job) else { return };
        *over = true;
        let (client, left) = (*client, left.map(|left| left.saturating_sub(1)).filter(|left| *left > 0));
        if let Some(think) = self.clients.get(client).map(|client| client.think).filter(|_| left.is_some()) {
            self.at(self.now + think, Event::One { client, left });
        }
    }

    /// Takes an attempt off its slots.
    fn land(&mut self, job: usize) -> Option<Flight<Rider>> {
        let Flying { flight, .. } = self.flying.remove(&job)?;
        self.used -= self.width(job);
        Some(flight)
    }

    fn width(&self, job: usize) -> u32 {
        self.jobs.get(job).and_then(|job| self.clients.get(job.client)).map_or(1, |client| client.width)
    }

    fn finish(&mut self, number: usize) {
        let Some(flight) = self.land(number) else { return };
        let (Some(job), now) = (self.jobs.get_mut(number), time(self.now)) else { return };
        if std::mem::take(&mut job.refused) {
            job.since = self.now + self.clients.get(job.client).map_or(0.0, |client| client.retry);
            let (again, report) = (time(job.since), Ended::new(Outcome::Throttled));
            return self.scheduler.settle(now, flight, report, Some(again));
        }
        if let Some(account) = self.accounts.get_mut(job.client) {
            account.done += job.actual;
        }
        let cost = (!self.scenario.silent).then(|| Cost::new(job.actual.round() as u64));
        self.scheduler.settle(now, flight, Ended { cost, ..Ended::new(Outcome::Success) }, None);
        self.over(number);
    }

    fn cancel(&mut self, number: usize) {
        let Some(key) = self.jobs.get(number).filter(|job| !job.over).map(|job| job.key.get()) else { return };
        let staged = self.staged.take_if(|flight| flight.job.job == number);
        match staged.or_else(|| self.land(number)) {
            Some(flight) => self.scheduler.settle(time(self.now), flight, Ended::new(Outcome::Cancelled), None),
            None => key.into_iter().for_each(|key| self.scheduler.handle(Input::Cancel(key), time(self.now))),
        }
        self.over(number);
    }

    fn turn(&mut self) {
        self.scheduler.handle(Input::Timeout, time(self.now));
        loop {
            if self.staged.is_none() {
                self.staged = self.next();
            }
            let Some(job) = self.staged.as_ref().map(|flight| flight.job.job) else { break };
            if self.width(job) > self.free() {
                break;
            }
            if let Some(flight) = self.staged.take() {
                self.dispatch(job, flight);
            }
        }
        if let Some(at) = self.scheduler.poll_timeout() {
            let at = (at.as_nanos() as f64 / 1e9).max(self.now + 1e-6);
            if self.events.peek().is_none_or(|Reverse((next, _))| *next > time(at).as_nanos()) {
                self.at(at, Event::Wake);
            }
        }
        self.watch_reservations();
    }

    /// Returns the next job that may go; refusals on the way are counted.
    fn next(&mut self) -> Option<Flight<Rider>> {
        let inside = Inside { room: self.free(), share: self.slots() };
        loop {
            match self.scheduler.next_inside(time(self.now), |_| inside)? {
                Step::Send(flight) => return Some(flight),
                Step::Moved(_) => {}
                Step::Refuse { job, refused } => {
                    let expired = matches!(refused, Refused::Expired { .. });
                    *(if expired { &mut self.report.expired } else { &mut self.report.refused }) += 1;
                    self.over(job.job);
                }
            }
        }
    }

    fn dispatch(&mut self, number: usize, flight: Flight<Rider>) {
        let Some(job) = self.jobs.get_mut(number) else { return };
        let waited = self.now - job.since;
        self.report.waits.push(Wait { client: job.client, submitted: job.submitted, waited });
        if let Some(Forecast { p50, p90 }) = job.promised.take().filter(|wait| wait.p50 > 0.0) {
            self.report.promises.push(Promise { p50, p90, waited, depth: job.depth });
        }
        let part = if job.refused { REFUSED_AFTER } else { 1.0 };
        if let Some(account) = self.accounts.get_mut(job.client).filter(|_| !job.refused) {
            account.granted += job.actual;
        }
        let work = job.actual * part;
        let width = self.width(number);
        self.used += width;
        let end = self.now + work / (self.scenario.speed * f64::from(width));
        self.at(end, Event::Finish { job: number });
        self.flying.insert(number, Flying { flight, begin: self.now, end });
    }

    /// A reservation is due while its tenant has work waiting and fewer jobs in flight than slots granted. It is missed
    /// when that lasts longer than the longest job that was in flight when it began.
    fn watch_reservations(&mut self) {
        let residual = self.flying.values().map(|flying| flying.end).fold(self.now, f64::max);
        let queue = self.scheduler.broker().queue();
        let clients = self.clients.iter().zip(&self.names).zip(&mut self.accounts);
        for ((client, name), account) in clients.filter(|((client, _), _)| client.reserve > 0) {
            let (queued, flying) = queue.tenant(name);
            let granted = queue.reservation(name).map_or(0, |reservation| reservation.granted);
            let is_due = queued > 0 && flying < granted.min(client.max_in_flight);
            match (account.due, is_due) {
                (None, true) => {
                    self.report.windows += 1;
                    account.due = Some(residual);
                }
                (Some(until), true) if self.now > until + 1e-6 => {
                    self.report.misses += 1;
                    account.due = Some(f64::MAX);
                }
                (Some(_), false) => account.due = None,
                _ => {}
            }
        }
    }

    fn sample(&mut self, at: f64) {
        let queue = self.scheduler.broker().queue();
        let sample = |(name, account): (&Arc<str>, &Account)| {
            let (waiting, flying) = queue.tenant(name);
            Sample { served: account.done, granted: account.granted, waiting, flying }
        };
        let mut samples: Vec<Sample> = self.names.iter().zip(&self.accounts).map(sample).collect();
        for (job, Flying { begin, end, .. }) in &self.flying {
            let Some(job) = self.jobs.get(*job).filter(|job| !job.refused) else { continue };
            let part = ((at - begin) / (end - begin)).clamp(0.0, 1.0);
            if let Some(sample) = samples.get_mut(job.client) {
                sample.served += job.actual * part;
            }
        }
        self.report.samples.push((at, samples));
    }
}
