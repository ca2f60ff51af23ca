//! Attempts: on their way, at the provider, and what their answers do.

use std::time::Duration;

use super::{Attempt, Event, Holder, State, World, seconds};
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::report::{Reached, Report};
use crate::core::time::Time;
use crate::core::verdict::Verdict;
use crate::sim::bucket::Reception;
use crate::sim::observer::Success;
use crate::sim::provider::Discipline;
use crate::sim::replica::Policy;

impl World<'_> {
    pub(super) fn attempt(&mut self, id: u64) -> Option<&mut Attempt> {
        self.attempts.get_mut((id & 0xFFFF_FFFF) as usize)?.as_mut().filter(|attempt| attempt.id == id)
    }

    pub(super) fn end_attempt(&mut self, id: u64) -> Option<Attempt> {
        let slot = (id & 0xFFFF_FFFF) as usize;
        let attempt = self.attempts.get_mut(slot)?.take_if(|attempt| attempt.id == id)?;
        self.free_attempts.push(slot as u32);
        Some(attempt)
    }

    /// A slot of a route's provider is free.
    pub(super) fn freed(&mut self, route: usize) {
        if let Some(upstream) = self.upstreams.get_mut(route) {
            upstream.provider.free();
        }
    }

    /// An attempt is served; `free`: and its slot is free.
    pub(super) fn served(&mut self, route: usize, id: u64, free: bool) {
        if !free {
            let lag = self.upstreams.spec(route).map_or(0.0, |spec| spec.lag) * self.lags.unit();
            self.at(self.t() + lag, Event::Free(route));
        }
        self.reply(id, 0.0, Outcome::Success, None);
    }

    /// Sends an answer back, after `delay`.
    pub(super) fn reply(&mut self, id: u64, delay: f64, outcome: Outcome, retry_after: Option<Duration>) {
        // What was scheduled for it at the provider must not find it.
        let id = self.rename(id);
        let Some(route) = self.attempt(id).map(|attempt| attempt.route) else { return };
        let trip = delay + self.way(route);
        let Some(attempt) = self.attempt(id) else { return };
        attempt.state = State::Answered(outcome, retry_after);
        if trip == 0.0 {
            if let Some(attempt) = self.end_attempt(id) {
                self.answer(attempt);
            }
            return;
        }
        self.at(self.t() + trip, Event::Answer(id));
    }

    /// How long a message is on its way, in seconds.
    fn way(&mut self, route: usize) -> f64 {
        let Some(provider) = self.upstreams.spec(route) else { return 0.0 };
        let jitter = if provider.jitter > 0.0 { provider.jitter * self.jitters.unit() } else { 0.0 };
        provider.latency / 2.0 + jitter
    }

    /// A caller gives up an attempt that the provider took.
    pub(super) fn abandon(&mut self, id: u64, attempt: &Attempt) {
        let t = self.t();
        let sent = attempt.job.as_ref().map_or(t, |holder| holder.flight.at.seconds_since(Time::ZERO));
        let Some(upstream) = self.upstreams.get_mut(attempt.route) else { return };
        let free_at = sent + upstream.provider.spec.abandoned;
        upstream.provider.withdraw(t, id, attempt.finish.is_some(), free_at <= t);
        if free_at > t {
            self.at(free_at, Event::Free(attempt.route));
        }
    }

    /// Everything in flight at a route's provider fails.
    pub(super) fn crash(&mut self, route: usize) {
        let t = self.t();
        self.take_due();
        let taken: Vec<(u64, bool)> = self
            .attempts
            .iter()
            .flatten()
            .filter(|attempt| attempt.route == route && attempt.state == State::Taken)
            .map(|attempt| (attempt.id, attempt.finish.is_some()))
            .collect();
        let Some(upstream) = self.upstreams.get_mut(route) else { return };
        // Those that wait first: a server that is freed must not begin with one that is about to fail.
        for started in [false, true] {
            for &(id, _) in taken.iter().filter(|(_, is)| *is == started) {
                upstream.provider.withdraw(t, id, started, true);
            }
        }
        let stated = upstream.provider.spec.retry_after.map(Duration::from_secs_f64);
        let refusal = upstream.provider.spec.refusal;
        for (id, _) in taken {
            self.reply(id, refusal, Outcome::Overloaded, stated);
        }
    }

    /// Gives an attempt a new name, so that what was scheduled for the old one is void.
    pub(super) fn rename(&mut self, id: u64) -> u64 {
        self.generation += 1;
        let renamed = self.generation << 32 | id & 0xFFFF_FFFF;
        if let Some(attempt) = self.attempt(id) {
            attempt.id = renamed;
        }
        renamed
    }

    /// A request sets out for the provider of a route.
    pub(super) fn send(&mut self, route: usize, job: Option<Holder>, work: f64) {
        let t = self.t();
        let slot = self.free_attempts.pop().unwrap_or_else(|| {
            self.attempts.push(None);
            self.attempts.len() as u32 - 1
        });
        self.generation += 1;
        let id = self.generation << 32 | u64::from(slot);
        let ours = job.is_some();
        if let Some(place) = self.attempts.get_mut(slot as usize) {
            *place = Some(Attempt { id, route, job, work, state: State::Sent, finish: None });
        }
        if let Some(timeout) = self.scenario.timeout.filter(|_| ours) {
            self.at(t + timeout, Event::Timeout(id));
        }
        let way = if ours { self.way(route) } else { 0.0 };
        if way > 0.0 {
            if let Some(upstream) = self.upstreams.get_mut(route) {
                upstream.travelling += 1;
            }
            self.at(t + way, Event::Reach(route, id));
        } else {
            self.reach(id);
        }
    }

    /// The provider takes an attempt, or does not.
    pub(super) fn reach(&mut self, id: u64) {
        let t = self.t();
        let Some(&mut Attempt { route, work, .. }) = self.attempt(id) else { return };
        let reception = self.upstreams.arrive(route, t, id, work);
        let Some(spec) = self.upstreams.spec(route) else { return };
        let (stated, refusal) = (spec.retry_after.map(Duration::from_secs_f64), spec.refusal);
        let (outcome, retry_after) = match reception {
            Reception::Taken => {
                if let Some(attempt) = self.attempt(id) {
                    attempt.state = State::Taken;
                }
                return;
            }
            Reception::Dropped => return,
            Reception::Throttled { late: true } => {
                return self.reply(id, work, Outcome::Throttled, stated);
            }
            Reception::Throttled { late: false } => (Outcome::Throttled, stated),
            Reception::RateLimited { retry_after } => (Outcome::RateLimited, retry_after),
            Reception::Failed => (Outcome::Overloaded, stated),
        };
        self.reply(id, refusal, outcome, retry_after);
    }

    /// The answer of an attempt is here.
    pub(super) fn answer(&mut self, attempt: Attempt) {
        let Some(Holder { replica: index, flight }) = attempt.job else {
            if let Some(upstream) = self.upstreams.get_mut(attempt.route) {
                upstream.others_have -= 1;
            }
            return;
        };
        let (outcome, retry_after, reached) = match attempt.state {
            State::Answered(outcome, retry_after) => (outcome, retry_after, Reached::Provider),
            State::TimedOut => (Outcome::Overloaded, None, Reached::Timeout),
            State::Sent | State::Taken => return,
        };
        let (now, t) = (self.time(), self.t());
        let hint = self.upstreams.hint(attempt.route, t);
        let (at, number) = (flight.at, flight.job.job);
        let Some(job) = self.jobs.get(number as usize) else { return };
        let (created, load, cost) = (job.created, job.load, job.cost);
        if let (Some(wait), Some(replica)) = (retry_after, self.replicas.get_mut(index as usize)) {
            replica.stated = replica.stated.max(now + wait);
        }
        if self.replicas.get(index as usize).is_some_and(|replica| replica.policy != Policy::Route) {
            // A route draws two numbers by itself: all controllers are to meet the same stream.
            let mut pauses = self.pauses.borrow_mut();
            for _ in 0..2 {
                pauses.unit();
            }
        }
        let again = if outcome == Outcome::Success { None } else { self.retries_at(index, number, retry_after) };
        let refused = matches!(outcome, Outcome::Throttled | Outcome::RateLimited);
        let unnamed = refused && self.upstreams.spec(attempt.route).is_some_and(|spec| spec.wordless);
        let told = if unnamed { Outcome::Throttled } else { outcome };
        let hints = RateHints { requests: hint, ..RateHints::default() };
        let verdict = if unnamed { Verdict::of_status(429) } else { Verdict::of(told) };
        let cost = cost.filter(|_| outcome == Outcome::Success);
        let report = Report { verdict, retry_after, hints, cost, reached, ..Report::new(told) };
        let Some(replica) = self.replicas.get_mut(index as usize) else { return };
        let before = replica.scheduler.window();
        replica.scheduler.settle(now, flight, report, again);
        self.observer.cut(t, before, replica.scheduler.window());
        if outcome == Outcome::Success {
            let (sojourn, service) = (t - seconds(created), now.since(at).as_secs_f64());
            let success = Success { sojourn, service, work: attempt.work, load, route: attempt.route };
            replica.delivered += self.observer.succeeded(t, success);
            self.end_job(index, number, false);
        } else {
            self.observer.failed(outcome);
            if again.is_none() {
                self.lose(index, number);
            }
        }
        self.pump(index);
    }

    /// Returns from when a job whose attempt failed may be tried again; `None` where it is given up. Where a route decides,
    /// every job asks for another attempt.
    fn retries_at(&mut self, index: u32, job: u32, retry_after: Option<Duration>) -> Option<Time> {
        let now = self.time();
        let replica = self.replicas.get(index as usize)?;
        if replica.policy == Policy::Route {
            return Some(now);
        }
        let random = self.pauses.borrow_mut().unit();
        let attempts = self.jobs.get(job as usize).map_or(u32::MAX, |job| job.attempts);
        let broke = replica.policy == Policy::Fail && replica.scheduler.broker().retry_room(now) < 1.0;
        if attempts >= self.scenario.retry.attempts || broke {
            return None;
        }
        // Without a hold of the whole route it is the request that waits.
        let not_before = now + self.scenario.retry.backoff().full(attempts, random);
        Some(not_before.max(now + retry_after.unwrap_or_default()))
    }

    /// Others take a slot that is free now, every other time.
    pub(super) fn compete(&mut self) {
        let t = self.t();
        for (route, provider) in self.scenario.providers().enumerate() {
            let Some(others) = &provider.competitors else { continue };
            let want = others.slots.at(t) as u32;
            while let Some(upstream) = self.upstreams.get_mut(route)
                && upstream.others_have < want
                && upstream.provider.room(t) > 0
                && self.others.unit() < 0.5
            {
                upstream.others_have += 1;
                let work = self.others.lognormal(others.median, others.sigma);
                self.send(route, None, work);
            }
        }
    }

    /// Counts the service that attempts under way have had.
    pub(super) fn count_unfinished(&mut self) {
        let t = self.t();
        let attempts = std::mem::take(&mut self.attempts);
        for attempt in attempts.into_iter().flatten() {
            let (Some(holder), State::Taken) = (attempt.job, attempt.state) else { continue };
            let Some(upstream) = self.upstreams.get_mut(attempt.route) else { continue };
            let sharing = upstream.provider.left(t, attempt.id);
            let slow = upstream.provider.spec.slow.at(t);
            let had = match attempt.finish {
                Some(finish) => attempt.work - (finish - t) / slow,
                None if upstream.provider.spec.discipline == Discipline::Fifo => 0.0,
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
