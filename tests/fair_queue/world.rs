//! A model in virtual time: clients, slots, and the broker between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use fairflow::core::broker::{Assigned, Broker, BrokerConfig, Ended, Input, Output, Refused, Ride, RouteView, Update};
use fairflow::core::cost::{Cost, Weight};
use fairflow::core::fair_queue::{Group, QueueLimits, Request, TenantLimits};
use fairflow::core::key::Key;
use fairflow::core::outcome::Outcome;
use fairflow::core::past::Past;
use fairflow::core::time::Time;
use fairflow::sim::Steps;
use fairflow::sim::fairness::Client;

use crate::random::Random;

fn limits(client: &Client, now: f64) -> TenantLimits {
    TenantLimits {
        weight: Weight::new(client.weight).expect("a weight"),
        max_in_flight: client.cap_at(now),
        reserve: client.reserve,
        group: client.group.map(|id| Group { id, weight: Weight::ONE }),
        ..TenantLimits::default()
    }
}

#[derive(Debug, Clone)]
struct Job {
    client: usize,
    actual: f64,
    retry: f64,
    submitted: f64,
    /// Jobs that waited when it came.
    depth: usize,
    /// Of a closed loop, and calls that are left to it.
    thread: bool,
    left: u32,
    past: Past,
}

impl Ride for Job {
    fn past(&self) -> Past {
        self.past
    }

    fn set_past(&mut self, past: Past) {
        self.past = past;
    }
}

#[derive(Debug, Clone)]
enum Event {
    Arrive { client: usize, thread: bool, left: u32 },
    Finish { key: Key },
    Raise { client: usize },
    Wake,
}

#[derive(Debug)]
struct Flying {
    assigned: Assigned<Job>,
    begin: f64,
    end: f64,
}

/// What a tenant had at one instant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample {
    /// Work done, that of running jobs counted as it is done.
    pub served: f64,
    /// Work of all that was dispatched.
    pub granted: f64,
    pub waiting: u32,
    pub flying: u32,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Report {
    pub tenants: BTreeMap<String, usize>,
    /// A sample of every tenant, each tenth of a second.
    pub samples: Vec<(f64, Vec<Sample>)>,
    /// (tenant, submitted, waited), at dispatch.
    pub waits: Vec<(usize, f64, f64)>,
    /// Slot-seconds, and those unused while a job could have run.
    pub capacity: f64,
    pub idle: f64,
    pub expired: u32,
    pub refused: u32,
    /// Times a reservation was due, and those it was served later than one residual job.
    pub windows: u64,
    pub misses: u64,
    /// Forecast (median, P90) at admission beside the wait that came, and how many jobs waited.
    pub forecasts: Vec<(f64, f64, f64, usize)>,
}

pub struct World {
    pub clients: Vec<Client>,
    pub seconds: f64,
    /// Slots from a time on.
    pub slots: Steps,
    /// Work per second and slot.
    pub speed: f64,
    pub limits: QueueLimits,
    pub seed: u64,
    pub sampled: bool,
}

struct Running<'a> {
    world: &'a World,
    broker: Broker<Job>,
    /// Jobs that the one route was given.
    given: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    store: Vec<Option<Event>>,
    clients: Vec<Client>,
    names: Vec<Arc<str>>,
    report: Report,
    random: Random,
    now: f64,
    used: u32,
    staged: Option<Assigned<Job>>,
    flying: BTreeMap<u64, Flying>,
    done: Vec<f64>,
    granted: Vec<f64>,
    /// Since when a tenant has been due, and until when it must be served.
    due: Vec<Option<f64>>,
}

fn time(seconds: f64) -> Time {
    Time::from_nanos((seconds * 1e9).round() as u64)
}

impl World {
    pub fn run(&self) -> Report {
        let clients: Vec<Client> = self.clients.iter().flat_map(Client::each).collect();
        let n = clients.len();
        let reserving = clients.iter().filter(|client| client.reserve > 0);
        let config = BrokerConfig {
            queue: self.limits,
            reserve: reserving.map(|client| (client.tenant.as_str().into(), limits(client, 0.0))).collect(),
            retry_budget: f64::MAX,
            ..BrokerConfig::default()
        };
        let mut running = Running {
            world: self,
            broker: Broker::new(config, Time::ZERO),
            given: 0,
            events: BinaryHeap::new(),
            store: Vec::new(),
            names: clients.iter().map(|client| client.tenant.as_str().into()).collect(),
            report: Report::default(),
            random: Random(self.seed),
            now: 0.0,
            used: 0,
            staged: None,
            flying: BTreeMap::new(),
            done: vec![0.0; n],
            granted: vec![0.0; n],
            due: vec![None; n],
            clients,
        };
        running.begin();
        running.run();
        running.report
    }
}

impl Running<'_> {
    fn slots(&self) -> u32 {
        self.world.slots.at(self.now) as u32
    }

    fn at(&mut self, seconds: f64, event: Event) {
        self.events.push(Reverse((time(seconds).as_nanos(), self.store.len() as u64, self.store.len())));
        self.store.push(Some(event));
    }

    /// Tells the broker of the one route: `credits` more jobs may come, and jobs have ended.
    fn tell(&mut self, credits: u64, ended: Vec<Ended<Job>>) {
        let view = RouteView { window: self.slots(), ..RouteView::new() };
        self.hand(Input::Update(Update { route: 0, life: 0, limit: self.given + credits, view, ended }));
    }

    /// Hands the broker an input and takes what it puts out.
    fn hand(&mut self, input: Input<Job>) {
        self.broker.handle(input, time(self.now));
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Assign { mut jobs, .. } => {
                    self.given += 1;
                    self.staged = jobs.pop();
                    assert!(jobs.is_empty(), "one credit, one job");
                }
                Output::Refuse { refused: Refused::Expired { .. }, .. } => self.report.expired += 1,
                Output::Refuse { refused: Refused::Admission(_), .. } => self.report.refused += 1,
                Output::Reservations { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn begin(&mut self) {
        self.hand(Input::Wire(vec![0]));
        for client in 0..self.clients.len() {
            let name = self.clients[client].tenant.clone();
            self.report.tenants.insert(name, client);
            let Client { threads, calls, burst, rate, raised, from: start, .. } = self.clients[client];
            let left = if calls == 0 { u32::MAX } else { calls };
            (0..threads).for_each(|_| self.at(start, Event::Arrive { client, thread: true, left }));
            (0..burst).for_each(|_| self.at(start, Event::Arrive { client, thread: false, left: 0 }));
            if rate > 0.0 {
                self.at(start, Event::Arrive { client, thread: false, left: u32::MAX });
            }
            if let Some((at, _)) = raised {
                self.at(at, Event::Raise { client });
            }
        }
        for from in self.world.slots.times().collect::<Vec<_>>() {
            self.at(from, Event::Wake);
        }
    }

    fn run(&mut self) {
        let mut sample_at = 0.0;
        while let Some(Reverse((nanos, _, index))) = self.events.pop() {
            let at = nanos as f64 / 1e9;
            let end = at.min(self.world.seconds);
            while self.world.sampled && sample_at <= end {
                self.sample(sample_at);
                sample_at += 0.1;
            }
            let free = f64::from(self.slots().saturating_sub(self.used));
            self.report.capacity += f64::from(self.slots()) * (end - self.now);
            if self.broker.queue().has_ready() && self.staged.is_none() {
                self.report.idle += free * (end - self.now);
            }
            self.now = end;
            if at >= self.world.seconds {
                return;
            }
            let event = self.store[index].take().expect("once");
            self.handle(event);
            // What happens at one instant is seen as one.
            if self.events.peek().is_none_or(|Reverse((next, ..))| *next > nanos) {
                self.turn();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { client, thread, left } => self.arrive(client, thread, left),
            Event::Finish { key } => self.finish(key),
            Event::Raise { client } => {
                let limits = limits(&self.clients[client], self.now);
                self.hand(Input::Limit(vec![(self.names[client].clone(), limits)]));
            }
            Event::Wake => self.tell(0, Vec::new()),
        }
    }

    fn arrive(&mut self, client: usize, thread: bool, left: u32) {
        let Client { rate, poisson, .. } = self.clients[client];
        if !thread && left > 0 {
            let gap = if poisson { self.random.exponential() } else { 1.0 } / rate;
            self.at(self.now + gap, Event::Arrive { client, thread, left });
        }
        if !self.clients[client].is_active(self.now) {
            return;
        }
        let it = self.clients[client].clone();
        let sigma = (1.0 + it.spread * it.spread).ln().sqrt();
        let actual = it.cost * (sigma * self.random.normal() - sigma * sigma / 2.0).exp();
        let off = 1.0 + it.error * (2.0 * self.random.unit() - 1.0);
        let cost = Cost::new((actual * it.bias * off).round() as u64);
        let deadline = if it.max_wait == f64::MAX { Time::FAR } else { time(self.now + it.max_wait) };
        let (submitted, depth, past) = (self.now, self.broker.queue().len(), Past::default());
        self.hand(Input::Submit(Request {
            tenant: self.names[client].clone(),
            limits: limits(&it, self.now),
            class: it.class,
            cost,
            deadline,
            payload: Job { client, actual, retry: it.retry, submitted, depth, thread, left, past },
        }));
    }

    fn finish(&mut self, key: Key) {
        let Flying { assigned: Assigned { mut job, cost: charged, .. }, .. } =
            self.flying.remove(&key.to_bits()).expect("flying");
        self.used -= self.clients[job.client].width;
        if job.retry > 0.0 {
            let not_before = time(self.now + job.retry);
            (job.retry, job.past.attempts) = (0.0, 1);
            let (outcome, service) = (Outcome::Throttled, Duration::ZERO);
            return self.tell(0, vec![Ended::Retry { key, outcome, not_before, service, job }]);
        }
        let Job { client, actual, thread, left, .. } = job;
        self.done[client] += actual;
        let (outcome, cost) = (Outcome::Success, Some(Cost::new(actual.round() as u64)));
        self.tell(0, vec![Ended::Done { key, outcome, charged, cost, service: Duration::ZERO }]);
        if thread && left > 1 {
            let think = self.clients[client].think;
            self.at(self.now + think, Event::Arrive { client, thread, left: left.saturating_sub(1) });
        }
    }

    fn turn(&mut self) {
        self.hand(Input::Timeout);
        loop {
            let free = self.slots().saturating_sub(self.used);
            if self.staged.is_none() && free > 0 && !self.broker.queue().is_empty() {
                self.tell(1, Vec::new());
                if self.staged.is_none() {
                    self.tell(0, Vec::new());
                }
            }
            let Some(assigned) = self.staged.take_if(|it| self.clients[it.job.client].width <= free) else { break };
            let (job, waited) = (&assigned.job, assigned.waited.as_secs_f64());
            self.report.waits.push((job.client, job.submitted, waited));
            if let Some(promised) = assigned.promised.filter(|wait| wait.p50 > 0.0 && job.past.attempts == 0) {
                self.report.forecasts.push((promised.p50, promised.p90, waited, job.depth));
            }
            let width = self.clients[job.client].width;
            self.used += width;
            self.granted[job.client] += if job.retry > 0.0 { 0.0 } else { job.actual };
            // A refused attempt takes a tenth of the time.
            let part = if job.retry > 0.0 { 0.1 } else { 1.0 };
            let end = self.now + job.actual / (self.world.speed * f64::from(width)) * part;
            let key = assigned.key;
            self.at(end, Event::Finish { key });
            self.flying.insert(key.to_bits(), Flying { assigned, begin: self.now, end });
        }
        if let Some((at, _)) = self.broker.poll_timeout() {
            let at = (at.as_nanos() as f64 / 1e9).max(self.now + 1e-6);
            if self.events.peek().is_none_or(|Reverse((next, ..))| *next > time(at).as_nanos()) {
                self.at(at, Event::Wake);
            }
        }
        self.watch_reservations();
    }

    /// A reservation is due while its tenant has work waiting and fewer jobs in flight than slots granted. It is missed
    /// when that lasts longer than the longest job that was in flight when it began.
    fn watch_reservations(&mut self) {
        let residual = self.flying.values().map(|flying| flying.end).fold(self.now, f64::max);
        for client in (0..self.clients.len()).filter(|client| self.clients[*client].reserve > 0) {
            let (queued, flying) = self.broker.queue().tenant(&self.names[client]);
            let granted =
                self.broker.queue().reservation(&self.names[client]).map_or(0, |reservation| reservation.granted);
            let is_due = queued > 0 && flying < granted.min(self.clients[client].max_in_flight);
            match (self.due[client], is_due) {
                (None, true) => {
                    self.report.windows += 1;
                    self.due[client] = Some(residual);
                }
                (Some(until), true) if self.now > until + 1e-6 => {
                    self.report.misses += 1;
                    self.due[client] = Some(f64::MAX);
                }
                (Some(_), false) => self.due[client] = None,
                _ => {}
            }
        }
    }

    fn sample(&mut self, at: f64) {
        let mut samples: Vec<Sample> = (0..self.clients.len())
            .map(|client| {
                let (waiting, flying) = self.broker.queue().tenant(&self.names[client]);
                Sample { served: self.done[client], granted: self.granted[client], waiting, flying }
            })
            .collect();
        for flying in self.flying.values().filter(|flying| flying.assigned.job.retry == 0.0) {
            let part = ((at - flying.begin) / (flying.end - flying.begin)).clamp(0.0, 1.0);
            let job = &flying.assigned.job;
            samples[job.client].served += job.actual * part;
        }
        self.report.samples.push((at, samples));
    }
}
