//! The event loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use super::controller::{Controller, Inside, Sent};
use super::load::Load;
use super::observer::Observer;
use super::provider::{Due, Provider, Reception};
use super::replica::{Policy, Replica};
use super::rng::Rng;
use super::run::Run;
use super::scenario::Scenario;
use crate::core::cost::Cost;
use crate::core::fair_queue::{Class, Request, TenantLimits};
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::route::Answer;
use crate::core::slab::Key;
use crate::core::time::Time;

/// Streams of random numbers, so that no draw disturbs another: who arrives, how replicas and others behave. Jobs have
/// one each, from here on.
const ARRIVALS: u64 = 1;
const PAUSES: u64 = 2;
const OTHERS: u64 = 3;
const LAGS: u64 = 4;
const JOBS: u64 = 1 << 32;

/// A closed-loop client whose job was refused or given up asks again after so many seconds.
const REFUSED_PAUSE: f64 = 1.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The provider is done with an attempt.
    Finish(u64),
    /// Processor sharing: look again.
    Share(u64),
    /// A slot is free at last.
    Free,
    /// An attempt reaches the provider.
    Reach(u64),
    /// The answer to an attempt reaches its replica.
    Answer(u64),
    Timeout(u64),
    /// A replica's queue or gates want to be looked at.
    Wake(u32),
    /// A replica starts.
    Start(u32),
    /// A load sends its next request.
    Arrive(u32),
    /// A client of a load, at a replica, asks.
    Ask(u32, u32),
    /// An on/off load turns on or off.
    Turn(u32),
    /// Something changes by schedule.
    Changed,
    /// All in flight fails.
    Crash,
}

struct Job {
    work: f64,
    size: f64,
    load: u32,
    attempts: u32,
    created: u64,
}

struct Attempt {
    id: u64,
    /// `None` for somebody else's.
    job: Option<Holder>,
    work: f64,
    state: State,
    /// When its service on a server of its own ends.
    finish: Option<f64>,
}

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// On its way to the provider.
    Sent,
    /// Waiting there, or in service.
    Taken,
    /// Its answer is on the way.
    Answered(Outcome, Option<Duration>),
}

#[derive(Clone, Copy)]
struct Holder {
    replica: u32,
    job: u32,
    key: Key,
    sent: Sent,
    at: Time,
}

/// One load's state.
#[derive(Default)]
struct Source {
    /// Requests sent, or the next recorded one.
    count: usize,
    on: bool,
    /// Arrivals scheduled before it turned off are void.
    pending: bool,
}

struct World<'a> {
    scenario: &'a Scenario,
    controller: Controller,
    seed: u64,
    provider: Provider,
    /// Attempts on their way to the provider.
    travelling: u32,
    /// Slots that others have.
    others_have: u32,
    replicas: Vec<Replica>,
    sources: Vec<Source>,
    tenants: Vec<Vec<Arc<str>>>,
    started: u32,
    jobs: Vec<Job>,
    free_jobs: Vec<u32>,
    made: u64,
    attempts: Vec<Option<Attempt>>,
    free_attempts: Vec<u32>,
    generation: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    now: u64,
    arrivals: Rng,
    pauses: Rng,
    others: Rng,
    lags: Rng,
    observer: Observer,
    done: Vec<u64>,
}

/// Plays a scenario for one controller and one seed. The same arguments give the same run.
#[must_use]
pub fn run(scenario: &Scenario, controller: Controller, seed: u64) -> Run {
    World::new(scenario, controller, seed).run()
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, controller: Controller, seed: u64) -> Self {
        let tenants = scenario.load.iter().enumerate().map(|(index, load)| match load {
            Load::Arrivals(arrivals) => {
                let mut names: Vec<Arc<str>> = arrivals.iter().map(|arrival| arrival.tenant.as_str().into()).collect();
                names.dedup();
                names
            }
            _ => vec![format!("tenant-{index}").into()],
        });
        let mut world = Self {
            provider: Provider::new(scenario.provider.clone()),
            travelling: 0,
            others_have: 0,
            replicas: (0..scenario.replicas)
                .map(|n| Replica::new(scenario, controller, seed.wrapping_add(u64::from(n) << 32)))
                .collect(),
            sources: scenario.load.iter().map(|_| Source::default()).collect(),
            tenants: tenants.collect(),
            started: 0,
            jobs: Vec::new(),
            free_jobs: Vec::new(),
            made: 0,
            attempts: Vec::new(),
            free_attempts: Vec::new(),
            generation: 0,
            heap: BinaryHeap::new(),
            sequence: 0,
            now: 0,
            arrivals: Rng::new(seed, ARRIVALS),
            pauses: Rng::new(seed, PAUSES),
            others: Rng::new(seed, OTHERS),
            lags: Rng::new(seed, LAGS),
            observer: Observer::new(scenario, controller, seed),
            done: Vec::new(),
            scenario,
            controller,
            seed,
        };
        for n in 0..scenario.replicas {
            world.at(f64::from(n) * scenario.stagger, Event::Start(n));
        }
        let changes: Vec<f64> = scenario.provider.changes().filter(|at| *at > 0.0).collect();
        for at in changes {
            world.at(at, Event::Changed);
        }
        for at in
            scenario.provider.crashes.iter().copied().chain(scenario.provider.outages.iter().map(|(from, _)| *from))
        {
            world.at(at, Event::Crash);
        }
        world
    }

    fn at(&mut self, t: f64, event: Event) {
        self.sequence += 1;
        let nanos = ((t * 1e9).round() as u64).max(self.now);
        self.heap.push(Reverse((nanos, self.sequence, event)));
    }

    fn t(&self) -> f64 {
        seconds(self.now)
    }

    fn time(&self) -> Time {
        Time::from_nanos(self.now)
    }

    fn run(mut self) -> Run {
        let end = (self.scenario.seconds * 1e9) as u64;
        while let Some(Reverse((at, _, event))) = self.heap.pop() {
            if at > end {
                break;
            }
            self.pass(at);
            self.now = at;
            self.observer.events += 1;
            self.handle(event);
            self.compete();
            self.take_due();
            if self.controller == Controller::Oracle {
                for replica in 0..self.replicas.len() {
                    self.pump(replica as u32);
                }
                self.take_due();
            }
        }
        self.pass(end);
        self.now = end;
        self.count_unfinished();
        let shares: Vec<f64> = self.replicas.iter().map(|replica| replica.delivered).collect();
        self.observer.finish(&shares)
    }

    /// Lets time pass until `to`, for those who measure.
    fn pass(&mut self, to: u64) {
        if to == self.now {
            return;
        }
        let in_flight: u32 = self.replicas.iter().map(|replica| replica.gates.in_flight()).sum();
        let window: u32 = self.replicas.iter().map(|replica| replica.gates.limit()).sum();
        let waiting: usize = self.replicas.iter().map(|replica| replica.queue.len()).sum();
        self.observer.pass(self.t(), seconds(to), in_flight, window, waiting, self.provider.used());
    }

    /// Schedules what the provider wants to be called for.
    fn take_due(&mut self) {
        let mut due = std::mem::take(&mut self.provider.due);
        for (at, what) in due.drain(..) {
            match what {
                Due::Finish(id) => {
                    if let Some(attempt) = self.attempt(id) {
                        attempt.finish = Some(at);
                    }
                    self.at(at, Event::Finish(id));
                }
                Due::Share(call) => self.at(at, Event::Share(call)),
            }
        }
        self.provider.due = due;
    }

    fn attempt(&mut self, id: u64) -> Option<&mut Attempt> {
        self.attempts.get_mut((id & 0xFFFF_FFFF) as usize)?.as_mut().filter(|attempt| attempt.id == id)
    }

    fn end_attempt(&mut self, id: u64) -> Option<Attempt> {
        let slot = (id & 0xFFFF_FFFF) as usize;
        let attempt = self.attempts.get_mut(slot)?.take_if(|attempt| attempt.id == id)?;
        self.free_attempts.push(slot as u32);
        Some(attempt)
    }

    fn handle(&mut self, event: Event) {
        let t = self.t();
        match event {
            Event::Finish(id) => {
                if self.attempt(id).is_some() {
                    let free = self.scenario.provider.lag == 0.0;
                    self.provider.finish(t, free);
                    self.compete();
                    self.served(id, free);
                }
            }
            Event::Share(call) => {
                let mut done = std::mem::take(&mut self.done);
                self.provider.share(t, call, &mut done);
                for id in done.drain(..) {
                    let free = self.scenario.provider.lag == 0.0;
                    if free {
                        self.provider.free();
                        self.compete();
                    }
                    self.served(id, free);
                }
                self.done = done;
            }
            Event::Free => self.provider.free(),
            Event::Reach(id) => {
                self.travelling -= 1;
                self.reach(id);
            }
            Event::Answer(id) => {
                let Some(attempt) = self.end_attempt(id) else { return };
                self.answer(attempt);
            }
            Event::Timeout(id) => {
                let Some(mut attempt) = self.end_attempt(id) else { return };
                if attempt.state == State::Taken {
                    self.provider.withdraw(t, id, attempt.finish.is_some());
                }
                attempt.state = State::Answered(Outcome::Overloaded, None);
                self.answer(attempt);
            }
            Event::Wake(replica) => {
                let now = self.time();
                // One that was overtaken by an earlier one is void, or they would multiply.
                if let Some(due) = self.replicas.get_mut(replica as usize).filter(|due| due.wake <= now) {
                    due.wake = Time::FAR;
                    self.pump(replica);
                }
            }
            Event::Start(replica) => self.start(replica),
            Event::Arrive(load) => self.arrive(load),
            Event::Ask(load, replica) => self.ask(load, replica),
            Event::Turn(load) => self.turn(load),
            Event::Changed => self.provider.changed(t),
            Event::Crash => self.crash(),
        }
    }

    /// An attempt is served; `free`: and its slot is free.
    fn served(&mut self, id: u64, free: bool) {
        if !free {
            let lag = self.scenario.provider.lag * self.lags.unit();
            self.at(self.t() + lag, Event::Free);
        }
        self.reply(id, 0.0, Outcome::Success, None);
    }

    /// Sends an answer back, after `delay`.
    fn reply(&mut self, id: u64, delay: f64, outcome: Outcome, retry_after: Option<Duration>) {
        let at = self.t() + delay + self.scenario.provider.latency / 2.0;
        // What was scheduled for it at the provider must not find it.
        let id = self.rename(id);
        let Some(attempt) = self.attempt(id) else { return };
        attempt.state = State::Answered(outcome, retry_after);
        if delay == 0.0 && self.scenario.provider.latency == 0.0 {
            if let Some(attempt) = self.end_attempt(id) {
                self.answer(attempt);
            }
            return;
        }
        self.at(at, Event::Answer(id));
    }

    /// Everything in flight fails.
    fn crash(&mut self) {
        let t = self.t();
        self.take_due();
        let taken: Vec<(u64, bool)> = self
            .attempts
            .iter()
            .flatten()
            .filter(|attempt| attempt.state == State::Taken)
            .map(|attempt| (attempt.id, attempt.finish.is_some()))
            .collect();
        // Those that wait first: a server that is freed must not begin with one that is about to fail.
        for started in [false, true] {
            for &(id, _) in taken.iter().filter(|(_, is)| *is == started) {
                self.provider.withdraw(t, id, started);
            }
        }
        let stated = self.scenario.provider.retry_after.map(Duration::from_secs_f64);
        for (id, _) in taken {
            self.reply(id, self.scenario.provider.refusal, Outcome::Overloaded, stated);
        }
    }

    /// Gives an attempt a new name, so that what was scheduled for the old one is void.
    fn rename(&mut self, id: u64) -> u64 {
        self.generation += 1;
        let renamed = self.generation << 32 | id & 0xFFFF_FFFF;
        if let Some(attempt) = self.attempt(id) {
            attempt.id = renamed;
        }
        renamed
    }

    /// Sends jobs while the gates are open, and sees to the next wake.
    fn pump(&mut self, index: u32) {
        let now = self.time();
        loop {
            let share = (self.scenario.provider.capacity(self.t()) / f64::from(self.started.max(1))).ceil();
            let room = self.provider.room(self.t()).saturating_sub(self.travelling);
            let inside = Inside { room, share: share as u32 };
            let Some(replica) = self.replicas.get_mut(index as usize) else { return };
            if replica.gates.credits(now, inside) == 0 {
                break;
            }
            let Some(next) = replica.queue.pop(now, 0) else { break };
            let demand = replica.queue.has_ready();
            let Some(job) = self.jobs.get_mut(next.payload as usize) else { break };
            job.attempts += 1;
            let cost = if self.scenario.service.known { job.size } else { 1.0 };
            if now < replica.stated {
                self.observer.inside_retry_after += 1;
            }
            let sent = replica.gates.dispatch(now, cost, demand);
            let work = job.work;
            let holder = Holder { replica: index, job: next.payload, key: next.key, sent, at: now };
            self.observer.dispatched(seconds(self.now));
            self.send(Some(holder), work);
        }
        let Some(replica) = self.replicas.get_mut(index as usize) else { return };
        let expired = replica.queue.expire(now);
        let gate = replica.gates.poll_timeout(now).filter(|_| !replica.queue.is_empty());
        let mut next = gate.into_iter().chain(replica.queue.poll_timeout()).min().unwrap_or(Time::FAR);
        if self.controller == Controller::Oracle
            && replica.queue.has_ready()
            && let Some(at) = self.provider.token_at(seconds(self.now))
        {
            next = next.min(Time::from_nanos((at * 1e9) as u64));
        }
        if next < replica.wake && next < Time::FAR {
            replica.wake = next;
            self.at(next.as_nanos() as f64 / 1e9, Event::Wake(index));
        }
        for job in expired {
            self.lose(index, job);
        }
    }

    /// A request reaches the provider.
    fn send(&mut self, job: Option<Holder>, work: f64) {
        let t = self.t();
        let slot = self.free_attempts.pop().unwrap_or_else(|| {
            self.attempts.push(None);
            self.attempts.len() as u32 - 1
        });
        self.generation += 1;
        let id = self.generation << 32 | u64::from(slot);
        if let Some(place) = self.attempts.get_mut(slot as usize) {
            *place = Some(Attempt { id, job, work, state: State::Sent, finish: None });
        }
        if let (Some(timeout), Some(_)) = (self.scenario.timeout, job) {
            self.at(t + timeout, Event::Timeout(id));
        }
        let latency = self.scenario.provider.latency;
        if latency > 0.0 && job.is_some() {
            self.travelling += 1;
            self.at(t + latency / 2.0, Event::Reach(id));
        } else {
            self.reach(id);
        }
    }

    /// The provider takes an attempt, or does not.
    fn reach(&mut self, id: u64) {
        let t = self.t();
        let Some(work) = self.attempt(id).map(|attempt| attempt.work) else { return };
        let stated = self.scenario.provider.retry_after.map(Duration::from_secs_f64);
        let (outcome, retry_after) = match self.provider.arrive(t, id, work) {
            Reception::Taken => {
                if let Some(attempt) = self.attempt(id) {
                    attempt.state = State::Taken;
                }
                return;
            }
            Reception::Throttled => (Outcome::Throttled, stated),
            Reception::RateLimited { retry_after } => (Outcome::RateLimited, retry_after),
            Reception::Failed => (Outcome::Overloaded, stated),
        };
        self.reply(id, self.scenario.provider.refusal, outcome, retry_after);
    }

    /// The answer of an attempt is here.
    fn answer(&mut self, attempt: Attempt) {
        let Some(holder) = attempt.job else {
            self.others_have -= 1;
            return;
        };
        let State::Answered(outcome, retry_after) = attempt.state else { return };
        let (now, t) = (self.time(), self.t());
        let hint = self.provider.hint(t);
        let random = [self.pauses.unit(), self.pauses.unit()];
        let Some(replica) = self.replicas.get_mut(holder.replica as usize) else { return };
        if let Some(wait) = retry_after {
            replica.stated = replica.stated.max(now + wait);
        }
        let before = replica.gates.limit();
        let demand = replica.queue.has_ready();
        let answer = Answer { outcome, retry_after, hints: RateHints { requests: hint, tokens: None }, cost: None };
        let change = replica.gates.settle(now, holder.sent, answer, demand, random);
        self.observer.moved(t, holder.replica, before, replica.gates.limit(), change);
        let Some(job) = self.jobs.get(holder.job as usize) else { return };
        if outcome == Outcome::Success {
            replica.queue.complete(now, holder.key, None);
            replica.delivered += self.observer.succeeded(t, t - seconds(job.created), attempt.work, job.load);
            self.end_job(holder.replica, holder.job, false);
        } else {
            self.observer.failed(outcome);
            let served = now.since(holder.at);
            self.retry(holder, retry_after, served);
        }
        self.pump(holder.replica);
    }

    /// Back into the queue, or given up.
    fn retry(&mut self, holder: Holder, retry_after: Option<Duration>, served: Duration) {
        let now = self.time();
        let random = self.pauses.unit();
        let Some(replica) = self.replicas.get_mut(holder.replica as usize) else { return };
        let attempts = self.jobs.get(holder.job as usize).map_or(u32::MAX, |job| job.attempts);
        let mut not_before = now + self.scenario.retry.backoff().wait(attempts, random);
        let broke = replica.policy == Policy::Fail && replica.budget.remaining() < 1.0;
        if attempts >= self.scenario.retry.attempts || broke {
            replica.queue.complete(now, holder.key, None);
            return self.lose(holder.replica, holder.job);
        }
        if replica.policy == Policy::Wait {
            not_before = not_before.max(replica.budget.reserve(now));
        } else {
            // Without a hold of the whole route it is the request that waits.
            not_before = not_before.max(now + retry_after.unwrap_or_default());
            if replica.policy == Policy::Fail {
                replica.budget.reserve(now);
            }
        }
        let requeued = replica.queue.requeue(now, holder.key, not_before, served, holder.job);
        debug_assert!(requeued.is_ok(), "a dispatched job is in flight");
    }

    fn lose(&mut self, replica: u32, job: u32) {
        self.observer.lost();
        self.end_job(replica, job, true);
    }

    /// A job is over; its client, if it has one, asks again.
    fn end_job(&mut self, replica: u32, job: u32, failed: bool) {
        self.free_jobs.push(job);
        let load = self.jobs.get(job as usize).map_or(0, |job| job.load);
        if let Some(Load::Closed { think, .. }) = self.scenario.load.get(load as usize) {
            let think = if failed { think.max(REFUSED_PAUSE) } else { *think };
            self.at(self.t() + think, Event::Ask(load, replica));
        }
    }

    /// A new job; `tenant` among those of its load.
    fn admit(&mut self, load: u32, replica_index: u32, tenant: usize, size: Option<f64>) {
        let now = self.time();
        let service = &self.scenario.service;
        self.made += 1;
        let mut rng = Rng::new(self.seed, JOBS + self.made);
        let drawn = 1.0 + rng.below(u64::from(service.sizes)) as f64;
        let size = size.unwrap_or(drawn);
        let work = rng.lognormal(service.median, service.sigma) * size;
        let job = Job { work, size, load, attempts: 0, created: self.now };
        let index = self.free_jobs.pop().unwrap_or(self.jobs.len() as u32);
        if index as usize == self.jobs.len() {
            self.jobs.push(job);
        } else if let Some(place) = self.jobs.get_mut(index as usize) {
            *place = job;
        }
        let Some(replica) = self.replicas.get_mut(replica_index as usize) else { return };
        let Some(tenant) = self.tenants.get(load as usize).and_then(|names| names.get(tenant)) else { return };
        let cost = if service.known { Cost::new((size * COST_UNITS).round() as u64) } else { Cost::ONE };
        let deadline = self.scenario.max_wait.map_or(Time::FAR, |wait| now + Duration::from_secs_f64(wait));
        let (tenant, limits) = (tenant.clone(), TenantLimits::default());
        let request = Request { tenant, limits, class: Class::Standard, cost, deadline, payload: index };
        if replica.queue.push(now, request).is_err() {
            self.observer.lost();
            self.free_jobs.push(index);
            if let Some(Load::Closed { think, .. }) = self.scenario.load.get(load as usize) {
                self.at(self.t() + think.max(REFUSED_PAUSE), Event::Ask(load, replica_index));
            }
            return;
        }
        replica.budget.deposit(now);
    }

    fn ask(&mut self, load: u32, replica: u32) {
        self.admit(load, replica, 0, None);
        self.pump(replica);
    }

    fn start(&mut self, replica: u32) {
        self.started += 1;
        for load in 0..self.sources.len() as u32 {
            match self.scenario.load.get(load as usize) {
                Some(Load::Closed { clients, .. }) => {
                    // Dealt out like cards.
                    let (all, count) = (self.scenario.replicas, *clients);
                    for _ in 0..(count + all - 1 - replica) / all {
                        self.admit(load, replica, 0, None);
                    }
                }
                _ if replica > 0 => {}
                Some(Load::OnOff { .. }) => self.turn(load),
                _ => self.next_arrival(load),
            }
        }
        self.pump(replica);
    }

    /// An open load sends its next request to the replicas in turn.
    fn arrive(&mut self, load: u32) {
        let Some(source) = self.sources.get_mut(load as usize) else { return };
        source.pending = false;
        if matches!(self.scenario.load.get(load as usize), Some(Load::OnOff { .. })) && !source.on {
            return;
        }
        let count = source.count;
        source.count += 1;
        let replica = (count % self.started.max(1) as usize) as u32;
        match self.scenario.load.get(load as usize) {
            Some(Load::Arrivals(arrivals)) => {
                let Some(arrival) = arrivals.get(count) else { return };
                let names = self.tenants.get(load as usize);
                let tenant = names.and_then(|names| names.iter().position(|name| **name == *arrival.tenant));
                self.admit(load, replica, tenant.unwrap_or(0), Some(arrival.size));
            }
            Some(Load::Poisson { rate }) if rate.at(self.t()) <= 0.0 => {}
            _ => self.admit(load, replica, 0, None),
        }
        self.pump(replica);
        self.next_arrival(load);
    }

    fn next_arrival(&mut self, load: u32) {
        let t = self.t();
        let Some(source) = self.sources.get_mut(load as usize) else { return };
        let at = match self.scenario.load.get(load as usize) {
            Some(Load::Arrivals(arrivals)) => arrivals.get(source.count).map(|arrival| arrival.at.as_secs_f64()),
            Some(Load::OnOff { rate, .. }) => Some(t + self.arrivals.exponential(*rate)),
            Some(Load::Poisson { rate }) => match rate.at(t) {
                rate if rate > 0.0 => Some(t + self.arrivals.exponential(rate)),
                _ => rate.next(t),
            },
            _ => None,
        };
        if let Some(at) = at.filter(|_| !source.pending) {
            source.pending = true;
            self.at(at, Event::Arrive(load));
        }
    }

    fn turn(&mut self, load: u32) {
        let Some(Load::OnOff { on, off, .. }) = self.scenario.load.get(load as usize) else { return };
        let Some(source) = self.sources.get_mut(load as usize) else { return };
        source.on = !source.on;
        let (mean, is_on) = if source.on { (*on, true) } else { (*off, false) };
        let at = self.t() + self.arrivals.exponential(1.0 / mean);
        self.at(at, Event::Turn(load));
        if is_on {
            self.next_arrival(load);
        }
    }

    /// Others take a slot that is free now, every other time.
    fn compete(&mut self) {
        let Some(others) = &self.scenario.provider.competitors else { return };
        let want = others.slots.at(self.t()) as u32;
        while self.others_have < want && self.provider.room(self.t()) > 0 && self.others.unit() < 0.5 {
            let work = self.others.lognormal(others.median, others.sigma);
            self.others_have += 1;
            self.send(None, work);
        }
    }

    /// Counts the service that attempts under way have had.
    fn count_unfinished(&mut self) {
        let t = self.t();
        let attempts = std::mem::take(&mut self.attempts);
        for attempt in attempts.into_iter().flatten() {
            let (Some(holder), State::Taken) = (attempt.job, attempt.state) else { continue };
            let sharing = self.provider.left(t, attempt.id);
            let slow = self.scenario.provider.slow.at(t);
            let had = match attempt.finish {
                Some(finish) => attempt.work - (finish - t) / slow,
                None if self.scenario.provider.discipline == super::provider::Discipline::Fifo => 0.0,
                None => attempt.work - sharing,
            };
            let had = had.clamp(0.0, attempt.work);
            self.observer.delivered += had;
            if let Some(replica) = self.replicas.get_mut(holder.replica as usize) {
                replica.delivered += had;
            }
        }
    }
}

/// Cost units per unit of size: keeps fractions of a trace's sizes.
const COST_UNITS: f64 = 100.0;
