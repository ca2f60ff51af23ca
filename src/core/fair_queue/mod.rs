//! The fair queue of one model: hierarchical start-time fair queueing over classes, groups and tenants.
//!
//! On every credit it answers with the one job that fairness says is next. It is work-conserving: while any job may
//! run, [`pop`](FairQueue::pop) returns one. A tenant at its own cap is parked and delays nobody; idling banks nothing;
//! predicted cost is charged at dispatch and corrected to the actual cost on completion. `docs/FAIRNESS.md` says what
//! is promised, why it holds and what was measured.
//!
//! A job keeps its [`Key`] from admission until it is settled: in the queue it may be [cancelled](FairQueue::cancel),
//! once popped it is [completed](FairQueue::complete), [requeued](FairQueue::requeue) as a retry or
//! [given back](FairQueue::give_back) unsent. A key that was settled before finds nothing, so each of these acts once.

mod admit;
mod backlog;
mod charge;
pub(in crate::core) mod chunks;
mod class;
mod counts;
mod flows;
mod forecast;
mod forecaster;
mod heap;
mod jobs;
mod level;
mod levels;
mod members;
mod names;
mod request;
mod reserve;
mod serve;
mod share;
mod standing;
mod tenants;
#[cfg(test)]
mod tests;
mod turns;
mod wheel;

use std::sync::Arc;

pub use self::class::Class;
use self::counts::Counts;
use self::flows::Flows;
use self::forecaster::Forecaster;
use self::jobs::Jobs;
pub use self::request::{Dispatch, Group, QueueLimits, Refusal, Request, TenantLimits};
pub use self::reserve::{Grant, Reservation};
pub use self::standing::{Claims, Standing};
use self::wheel::Wheel;
use super::key::Key;
use super::time::Time;

/// The queue of one model. `P` is what the caller gets back with each job.
#[derive(Debug)]
pub struct FairQueue<P> {
    limits: QueueLimits,
    jobs: Jobs<P>,
    flows: Flows,
    wheel: Wheel,
    expired: Vec<P>,
    counts: Counts,
    forecaster: Forecaster,
}

impl<P> FairQueue<P> {
    /// Builds an empty queue.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        let mut queue = Self {
            limits,
            jobs: Jobs::new(),
            flows: Flows::new(),
            wheel: Wheel::new(),
            expired: Vec::new(),
            counts: Counts::default(),
            forecaster: Forecaster::new(),
        };
        queue.reconfigure(limits);
        queue
    }

    /// Changes bounds and shares; what waits, waits on.
    pub fn reconfigure(&mut self, limits: QueueLimits) {
        self.limits = limits;
        self.flows.root.configure(limits.class_weights, limits.head_start, self.flows.largest.cost());
    }

    /// Tells how many slots the model has, as learned: the sum of its windows. Reservations are granted within 0.8 of
    /// it and divided by weight beyond. Until it is told they are granted in full.
    pub fn set_capacity(&mut self, now: Time, slots: u32) {
        self.collect(now);
        self.flows.reserves.set_capacity(slots);
        self.flows.refresh_due();
        self.advance(now);
    }

    /// Makes a tenant's limits known ahead of its first request, so that its reservation counts from now on.
    ///
    /// A tenant with a reservation is remembered until it is registered without one. Others need no registration:
    /// [`push`](Self::push) brings limits up to date.
    pub fn register(&mut self, now: Time, name: &Arc<str>, limits: &TenantLimits) {
        self.collect(now);
        let known = self.flows.tenants.find(name);
        if known.is_none() && limits.reserve == 0 {
            return;
        }
        let tenant = known.unwrap_or_else(|| self.flows.tenants.add(name, limits.max_in_flight));
        self.flows.limit(tenant, limits);
        self.flows.tenants.forget(tenant);
        self.advance(now);
    }

    /// Returns what a tenant's reservation is worth now, or `None` without one.
    #[must_use]
    pub fn reservation(&self, name: &str) -> Option<Reservation> {
        let tenant = self.flows.tenants.find(name)?;
        self.flows.reserves.state(self.flows.tenants.get(tenant).reserve)
    }

    /// Returns the payload of a waiting job; `None` when it waits no longer.
    #[must_use]
    pub fn waiting(&self, key: Key) -> Option<&P> {
        let index = self.jobs.find(key, |place| place != jobs::Place::InFlight)?;
        self.jobs.payload(index)
    }

    /// Returns how many jobs wait, retries before their time included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.waiting()
    }

    /// Says whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.waiting() == 0
    }

    /// Returns how many jobs are with dispatchers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counts.in_flight()
    }

    /// Says whether a credit would be answered at once.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        let is_any_ready = self.flows.root.any_ready() || self.flows.next_due().is_some();
        is_any_ready || self.flows.any_held() && self.room_for_long() != Some(0)
    }

    /// Returns jobs per second while something waits, or `None` while too little was seen.
    #[must_use]
    pub fn drain_per_second(&self) -> Option<f64> {
        self.forecaster.jobs_per_second()
    }

    /// Returns what a tenant has waiting and in flight.
    #[must_use]
    pub fn tenant(&self, name: &str) -> (u32, u32) {
        let tenant = self.flows.tenants.find(name).map(|id| self.flows.tenants.get(id));
        tenant.map_or((0, 0), |tenant| (tenant.queued(), tenant.in_flight()))
    }

    /// Returns how many tenants have something waiting or in flight.
    #[must_use]
    pub fn active_tenants(&self) -> usize {
        self.flows.tenants.active()
    }

    /// Iterates over the tenants with jobs or a reservation: name, waiting, in flight.
    pub fn tenants(&self) -> impl Iterator<Item = (&Arc<str>, u32, u32)> {
        self.flows.tenants.iter().map(|(name, tenant)| (name, tenant.queued(), tenant.in_flight()))
    }

    /// Returns the jobs whose deadline has passed, each once; none of them was or will be dispatched.
    pub fn expire(&mut self, now: Time) -> Vec<P> {
        self.collect(now);
        std::mem::take(&mut self.expired)
    }

    /// Removes everything that waits and returns it; what is in flight stays.
    pub fn shed(&mut self, now: Time) -> Vec<P> {
        self.shed_before(now, Time::FAR)
    }

    /// Removes what waits and may wait no longer than until `until`, and returns it. Looks at every job.
    pub fn shed_before(&mut self, now: Time, until: Time) -> Vec<P> {
        self.collect(now);
        let waits = |job: &jobs::Job| matches!(job.place, jobs::Place::Ready | jobs::Place::Delayed);
        for index in self.jobs.select(|job| waits(job) && (until == Time::FAR || job.deadline < until)) {
            let payload = self.remove(now, index);
            self.expired.extend(payload);
        }
        std::mem::take(&mut self.expired)
    }

    /// Returns when the queue next has something to do by itself: a deadline, or a retry whose time has come.
    ///
    /// Never later than that, rounded up to the next millisecond. It may be earlier: a timer that is far off is looked
    /// at again on the way, at most five times.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        // What expired between two ticks waits to be fetched.
        if self.expired.is_empty() { self.wheel.poll_timeout() } else { Some(Time::ZERO) }
    }
}
