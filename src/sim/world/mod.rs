//! The event loop.

mod attempts;
mod jobs;
mod upstreams;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::sim::controller::Controller;
use crate::sim::gates::Inside;
use crate::sim::load::Load;
use crate::sim::observer::{Observer, Standing};
use crate::sim::provider::Due;
use crate::sim::replica::{Replica, Rider};
use crate::sim::rng::Rng;
use crate::sim::run::Run;
use crate::sim::scenario::Scenario;
use crate::sim::scheduler::{Flight, Step};

use self::upstreams::Upstreams;

use crate::core::broker::Input;
use crate::core::cost::Cost;
use crate::core::outcome::Outcome;
use crate::core::time::Time;

/// Streams of random numbers, so that no draw disturbs another: who arrives, how replicas and others behave. Jobs have
/// one each.
const ARRIVALS: u64 = 1;
const PAUSES: u64 = 2;
const OTHERS: u64 = 3;
const LAGS: u64 = 4;
const JITTERS: u64 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The provider is done with an attempt.
    Finish(u64),
    /// Processor sharing: look again at a route's provider.
    Share(usize, u64),
    /// A slot of a route's provider is free at last.
    Free(usize),
    /// An attempt by a route reaches the provider.
    Reach(usize, u64),
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
    /// Something changes by schedule at a route's provider.
    Changed(usize),
    /// All in flight at a route's provider fails.
    Crash(usize),
}

struct Job {
    work: f64,
    /// The cost that the provider tells, if it does.
    cost: Option<Cost>,
    load: u32,
    attempts: u32,
    created: u64,
}

struct Attempt {
    id: u64,
    /// The position of its route.
    route: usize,
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
    /// Given up.
    TimedOut,
}

/// Whose attempt it is.
struct Holder {
    replica: u32,
    flight: Flight<Rider>,
}

/// A source keeps one load's state.
#[derive(Default)]
struct Source {
    /// Requests sent, or the next recorded one.
    count: usize,
    on: bool,
    /// Arrivals scheduled before it turned off are void.
    pending: bool,
}

// fields: one event may touch any of them; parts with rules of their own (scheduler, provider, observer) are machines.
struct World<'a> {
    scenario: &'a Scenario,
    controller: Controller,
    seed: u64,
    upstreams: Upstreams,
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
    pauses: Rc<RefCell<Rng>>,
    others: Rng,
    lags: Rng,
    jitters: Rng,
    observer: Observer,
    due: Vec<(usize, f64, Due)>,
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
        let pauses = Rc::new(RefCell::new(Rng::new(seed, PAUSES)));
        let mut world = Self {
            upstreams: Upstreams::new(scenario, seed),
            replicas: (0..scenario.replicas)
                .map(|n| Replica::new(scenario, controller, seed.wrapping_add(u64::from(n) << 32), pauses.clone()))
                .collect(),
            pauses,
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
            others: Rng::new(seed, OTHERS),
            lags: Rng::new(seed, LAGS),
            jitters: Rng::new(seed, JITTERS),
            observer: Observer::new(scenario, controller, seed),
            due: Vec::new(),
            done: Vec::new(),
            scenario,
            controller,
            seed,
        };
        for n in 0..scenario.replicas {
            world.at(f64::from(n) * scenario.stagger, Event::Start(n));
        }
        for (route, provider) in scenario.providers().enumerate() {
            for at in provider.changes().filter(|at| *at > 0.0) {
                world.at(at, Event::Changed(route));
            }
            for at in provider.crashes.iter().copied().chain(provider.outages.iter().map(|(from, _)| *from)) {
                world.at(at, Event::Crash(route));
            }
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
        let in_flight: u32 = self.replicas.iter().map(|replica| replica.scheduler.in_flight()).sum();
        let window: u32 = self.replicas.iter().map(|replica| replica.scheduler.window()).sum();
        let waiting: usize = self.replicas.iter().map(|replica| replica.scheduler.broker().queue().len()).sum();
        let stood = Standing { in_flight, window, waiting, used: self.upstreams.used() };
        self.observer.pass(self.t(), seconds(to), stood);
    }

    /// Schedules what the provider wants to be called for.
    fn take_due(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.upstreams.take_due(&mut due);
        for (route, at, what) in due.drain(..) {
            match what {
                Due::Finish(id) => {
                    if let Some(attempt) = self.attempt(id) {
                        attempt.finish = Some(at);
                    }
                    self.at(at, Event::Finish(id));
                }
                Due::Share(call) => self.at(at, Event::Share(route, call)),
            }
        }
        self.due = due;
    }

    fn handle(&mut self, event: Event) {
        let t = self.t();
        match event {
            Event::Finish(id) => {
                let Some(route) = self.attempt(id).map(|attempt| attempt.route) else { return };
                let Some(upstream) = self.upstreams.get_mut(route) else { return };
                let free = upstream.provider.spec.lag == 0.0;
                upstream.provider.finish(t, free);
                self.compete();
                self.served(route, id, free);
            }
            Event::Share(route, call) => {
                let mut done = std::mem::take(&mut self.done);
                if let Some(upstream) = self.upstreams.get_mut(route) {
                    upstream.provider.share(t, call, &mut done);
                }
                for id in done.drain(..) {
                    let free = self.upstreams.spec(route).is_some_and(|spec| spec.lag == 0.0);
                    if free {
                        self.freed(route);
                        self.compete();
                    }
                    self.served(route, id, free);
                }
                self.done = done;
            }
            Event::Free(route) => self.freed(route),
            Event::Reach(route, id) => {
                if let Some(upstream) = self.upstreams.get_mut(route) {
                    upstream.travelling -= 1;
                }
                self.reach(id);
            }
            Event::Answer(id) => {
                let Some(attempt) = self.end_attempt(id) else { return };
                self.answer(attempt);
            }
            Event::Timeout(id) => {
                let Some(mut attempt) = self.end_attempt(id) else { return };
                if attempt.state == State::Taken {
                    self.abandon(id, &attempt);
                }
                attempt.state = State::TimedOut;
                self.answer(attempt);
            }
            Event::Wake(replica) => {
                let now = self.time();
                // One that was overtaken by an earlier one is void, or they would multiply.
                if let Some(due) = self.replicas.get_mut(replica as usize).filter(|due| due.wake <= now) {
                    due.wake = Time::FAR;
                    due.scheduler.handle(Input::Timeout, now);
                    self.pump(replica);
                }
            }
            Event::Start(replica) => self.start(replica),
            Event::Arrive(load) => self.arrive(load),
            Event::Ask(load, replica) => self.ask(load, replica),
            Event::Turn(load) => self.turn(load),
            Event::Changed(route) => {
                if let Some(upstream) = self.upstreams.get_mut(route) {
                    upstream.provider.changed(t);
                }
            }
            Event::Crash(route) => self.crash(route),
        }
    }

    /// Sends jobs while the gates are open, and sees to the next wake.
    fn pump(&mut self, index: u32) {
        let (now, t) = (self.time(), self.t());
        let mut refused = Vec::new();
        loop {
            let (upstreams, started) = (&self.upstreams, f64::from(self.started.max(1)));
            let inside = |route| {
                let capacity = upstreams.spec(route).map_or(0.0, |spec| spec.capacity(t));
                Inside { room: upstreams.room(route, t), share: (capacity / started).ceil() as u32 }
            };
            let Some(replica) = self.replicas.get_mut(index as usize) else { return };
            match replica.scheduler.next_inside(now, inside) {
                None => break,
                Some(Step::Refuse { job, .. }) => refused.push(job.job),
                Some(Step::Moved(change)) => self.observer.moved(t, index, change),
                Some(Step::Send(flight)) => {
                    if now < replica.stated {
                        self.observer.inside_retry_after += 1;
                    }
                    let Some(job) = self.jobs.get_mut(flight.job.job as usize) else { break };
                    job.attempts += 1;
                    let work = job.work;
                    let route = flight.route;
                    self.observer.dispatched(t, route);
                    self.send(route, Some(Holder { replica: index, flight }), work);
                }
            }
        }
        let Some(replica) = self.replicas.get_mut(index as usize) else { return };
        let mut next = replica.scheduler.poll_timeout().unwrap_or(Time::FAR);
        if self.controller == Controller::Oracle
            && replica.scheduler.broker().queue().has_ready()
            && let Some(at) = self.upstreams.token_at(t)
        {
            next = next.min(Time::from_nanos((at * 1e9) as u64));
        }
        if next < replica.wake && next < Time::FAR {
            replica.wake = next;
            self.at(next.as_nanos() as f64 / 1e9, Event::Wake(index));
        }
        for job in refused {
            self.lose(index, job);
        }
    }
}
