//! The fair queue of one model: start-time fair queueing over classes and tenants.
//!
//! On every credit it answers with the one job that fairness says is next. It is work-conserving: while any job may
//! run, [`pop`](FairQueue::pop) returns one. A tenant at its own cap is parked and delays nobody; idling banks nothing;
//! predicted cost is charged at dispatch and corrected to the actual cost on completion.
//!
//! A job keeps its [`Key`] from admission until it is settled: in the queue it may be [cancelled](FairQueue::cancel),
//! once popped it is [completed](FairQueue::complete), [requeued](FairQueue::requeue) as a retry or
//! [given back](FairQueue::give_back) unsent. A key that was settled before finds nothing, so each of these acts once.

mod class;
mod flows;
mod heap;
mod jobs;
mod request;
mod share;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use self::class::Class;
use self::flows::Flows;
use self::jobs::{Job, Place};
pub use self::request::{Dispatch, Refusal, Request, TenantLimits};
use super::cost::{Cost, Weight};
use super::estimate::{DrainRate, Forecast, Quantiles};
use super::slab::{Key, Slab};
use super::time::Time;

/// Ratio of actual to predicted wait assumed for the P90 before any was seen.
const UNTRIED_P90: f64 = 2.0;
/// How far a forecast may be corrected, downward and upward, for the median and the P90. A ratio outside belongs to a
/// prediction made in another situation (the first of a burst), and believing it would refuse everybody: those refused
/// never wait, so the error would never heal.
const CORRECTION_P50: (f64, f64) = (0.5, 2.0);
const CORRECTION_P90: (f64, f64) = (1.0, 4.0);
/// Observed forecasts before their error is believed.
const FORECASTS_ENOUGH: f32 = 20.0;
/// A retry-after when nothing is known of the drain rate yet.
const UNKNOWN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Bounds and shares of one model's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Most jobs waiting at once; at least 1.
    pub capacity: usize,
    /// Weight of each class, in the order of [`Class::ALL`].
    pub class_weights: [Weight; 3],
}

/// The queue of one model. `P` is what the caller gets back with each job.
#[derive(Debug)]
pub struct FairQueue<P> {
    limits: QueueLimits,
    jobs: Slab<Job<P>>,
    flows: Flows,
    /// Jobs that wait, by deadline.
    deadlines: BTreeSet<(Time, Key)>,
    /// Retries before their not-before time.
    delayed: BTreeSet<(Time, Key)>,
    expired: Vec<P>,
    waiting_cost: u64,
    in_flight: usize,
    sequence: u64,
    drain: DrainRate,
    forecast_error: Quantiles,
}

impl<P> FairQueue<P> {
    /// Builds an empty queue.
    #[must_use]
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            jobs: Slab::new(),
            flows: Flows::new(limits.class_weights),
            deadlines: BTreeSet::new(),
            delayed: BTreeSet::new(),
            expired: Vec::new(),
            waiting_cost: 0,
            in_flight: 0,
            sequence: 0,
            drain: DrainRate::default(),
            forecast_error: Quantiles::new(),
        }
    }

    /// Changes bounds and shares; what waits, waits on.
    pub fn reconfigure(&mut self, limits: QueueLimits) {
        self.limits = limits;
        self.flows.set_class_weights(limits.class_weights);
    }

    /// Returns how many jobs wait, retries before their time included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Says whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many jobs are with dispatchers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Says whether a credit would be answered at once.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.flows.next().is_some()
    }

    /// Returns jobs per second while something waits, or `None` while too little was seen.
    #[must_use]
    pub fn drain_per_second(&self) -> Option<f64> {
        self.drain.jobs_per_second()
    }

    /// Returns what a tenant has waiting and in flight.
    #[must_use]
    pub fn tenant(&self, name: &str) -> (u32, u32) {
        self.flows.tenant_by_name(name).map_or((0, 0), |tenant| (tenant.queued, tenant.in_flight))
    }

    /// Returns how many tenants have something waiting or in flight.
    #[must_use]
    pub fn active_tenants(&self) -> usize {
        self.flows.active_tenants()
    }

    /// Iterates over the known tenants: name, waiting, in flight. Idle ones without debt are forgotten.
    pub fn tenants(&self) -> impl Iterator<Item = (&Arc<str>, u32, u32)> {
        self.flows.tenants().map(|tenant| (&tenant.name, tenant.queued, tenant.in_flight))
    }

    /// Admits a request.
    ///
    /// # Errors
    ///
    /// Gives the payload back with the [`Refusal`] that applies: the model's capacity first, then the tenant's cap,
    /// then a forecast (P90) that exceeds the time the request has.
    pub fn push(&mut self, now: Time, request: Request<P>) -> Result<Key, (Refusal, P)> {
        self.collect(now);
        let forecast = self.forecast(&request.tenant, &request.limits, request.class);
        if let Err(refusal) = self.admissible(now, &request, forecast) {
            return Err((refusal, request.payload));
        }
        let flow = self.flows.admit(&request.tenant, request.class, request.limits);
        self.sequence += 1;
        #[allow(clippy::cast_possible_truncation, reason = "a forecast in seconds needs no more")]
        let predicted = forecast.map_or(0.0, |(raw, _)| raw as f32);
        let key = self.jobs.insert(Job {
            flow,
            cost: request.cost,
            sequence: self.sequence,
            enqueued: now,
            deadline: request.deadline,
            predicted,
            charged: false,
            refundable: false,
            place: Place::Nowhere,
            payload: Some(request.payload),
        });
        self.enter(now, key, Time::ZERO);
        Ok(key)
    }

    fn admissible(&self, now: Time, request: &Request<P>, forecast: Option<(f64, Forecast)>) -> Result<(), Refusal> {
        if self.len() >= self.limits.capacity {
            return Err(Refusal::QueueFull { retry_after: self.drains_in(1.0) });
        }
        let tenant = self.flows.tenant_by_name(&request.tenant);
        let (queued, share) = tenant.map_or((0, 1.0), |tenant| {
            (tenant.queued, self.flows.share_of(request.class, request.limits.weight, tenant.queued > 0))
        });
        if queued >= request.limits.max_queued {
            return Err(Refusal::TenantQueueFull { retry_after: self.drains_in(1.0 / share) });
        }
        if let Some((_, forecast)) = forecast {
            let available = request.deadline.seconds_since(now);
            if forecast.p90 > available {
                return Err(Refusal::DeadlineUnreachable {
                    estimate: Duration::from_secs_f64(forecast.p90),
                    retry_after: Duration::from_secs_f64(forecast.p90 - available),
                });
            }
        }
        Ok(())
    }

    fn drains_in(&self, jobs: f64) -> Duration {
        let seconds = self.drain.jobs_per_second().filter(|rate| *rate > 0.0).map(|rate| jobs / rate);
        seconds.map_or(UNKNOWN_RETRY_AFTER, |seconds| Duration::from_secs_f64(seconds.min(3_600.0)))
    }

    /// Forecasts the wait of a request that `tenant` would submit now; `None` while the drain rate is unknown.
    #[must_use]
    pub fn wait(&self, tenant: &str, limits: &TenantLimits, class: Class) -> Option<Forecast> {
        self.forecast(tenant, limits, class).map(|(_, forecast)| forecast)
    }

    /// Returns the raw prediction in seconds, and the same corrected by how wrong predictions were.
    fn forecast(&self, tenant: &str, limits: &TenantLimits, class: Class) -> Option<(f64, Forecast)> {
        if !self.has_ready() {
            // A free slot takes the next job at once; parked and delayed jobs do not stand before it.
            return Some((0.0, Forecast::default()));
        }
        let rate = self.drain.work_per_second().filter(|rate| *rate > 0.0)?;
        let mine = self.flows.tenant_by_name(tenant);
        let queued = mine.map_or(0, |tenant| tenant.queued);
        let mean = self.waiting_cost as f64 / self.len().max(1) as f64;
        // Under fairness a position in line says little. The tenant's own backlog drains at its share; a tenant that
        // has none waits for about half a round. Never longer than everything that waits.
        let own = (f64::from(queued) + 0.5) * mean / self.flows.share_of(class, limits.weight, queued > 0);
        let raw = own.min(self.waiting_cost as f64) / rate;
        let tried = self.forecast_error.weight() >= FORECASTS_ENOUGH;
        let scale = |q, untried: f64, (least, most): (f64, f64)| {
            let seen = self.forecast_error.quantile(q).filter(|_| tried);
            seen.map_or(untried, |ratio| ratio.clamp(least, most))
        };
        let p50 = raw * scale(0.5, 1.0, CORRECTION_P50);
        let p90 = raw * scale(0.9, UNTRIED_P90, CORRECTION_P90);
        Some((raw, Forecast { p50, p90: p90.max(p50) }))
    }

    /// Takes the job that is next by fairness, or `None` when no job may run now.
    ///
    /// `holder` is whoever gets it, for [`abandon`](Self::abandon).
    pub fn pop(&mut self, now: Time, holder: u32) -> Option<Dispatch<P>> {
        self.collect(now);
        let flow = self.flows.next()?;
        let key = self.flows.flow(flow)?.fifo.head?;
        self.leave(key);
        let job = self.jobs.get_mut(key)?;
        job.place = Place::InFlight { holder };
        let payload = job.payload.take()?;
        let charged = std::mem::replace(&mut job.charged, true);
        job.refundable = !charged;
        let waited = now.since(job.enqueued);
        let predicted = f64::from(std::mem::take(&mut job.predicted));
        if predicted > 0.0 {
            self.forecast_error.record(waited.as_secs_f64() / predicted);
        }
        let dispatch = Dispatch { key, cost: job.cost, deadline: job.deadline, waited, payload };
        self.in_flight += 1;
        self.flows.dispatched(flow, dispatch.cost, charged);
        self.drain.dispatched(f64::from(dispatch.cost.units()));
        self.drain.advance(now, self.has_ready());
        Some(dispatch)
    }

    /// Ends a dispatched job and corrects its charge to the `actual` cost where that is known.
    pub fn complete(&mut self, now: Time, key: Key, actual: Option<Cost>) {
        let Some(flow) = self.land(key) else { return };
        let Some(job) = self.jobs.remove(key) else { return };
        if let Some(actual) = actual {
            self.flows.reconcile(flow, job.cost, actual);
        }
        self.settle(now, flow);
    }

    /// Ends every job that `holder` was given: it is no more, and nobody will settle them.
    pub fn abandon(&mut self, now: Time, holder: u32) {
        let gone = Place::InFlight { holder };
        let keys: Vec<Key> = self.jobs.iter().filter(|(_, job)| job.place == gone).map(|(key, _)| key).collect();
        for key in keys {
            self.complete(now, key, None);
        }
    }

    /// Puts a dispatched job back for another attempt, not before `not_before`.
    ///
    /// It keeps its place in its tenant's order and is not charged again. `served`, the time it spent at the
    /// provider, does not count against its deadline, which limits waiting.
    ///
    /// # Errors
    ///
    /// The payload, when `key` names no dispatched job.
    pub fn requeue(&mut self, now: Time, key: Key, not_before: Time, served: Duration, payload: P) -> Result<(), P> {
        if self.land(key).is_none() {
            return Err(payload);
        }
        if let Some(job) = self.jobs.get_mut(key) {
            job.payload = Some(payload);
            job.deadline += served;
        }
        self.enter(now, key, not_before);
        self.collect(now);
        Ok(())
    }

    /// Takes back a dispatched job that was never sent, as if it had not been dispatched.
    ///
    /// # Errors
    ///
    /// The payload, when `key` names no dispatched job.
    pub fn give_back(&mut self, now: Time, key: Key, payload: P) -> Result<(), P> {
        let Some(flow) = self.land(key) else { return Err(payload) };
        if let Some(job) = self.jobs.get_mut(key) {
            job.payload = Some(payload);
            // A retry that comes back unsent has paid for its first dispatch, which did happen.
            if std::mem::take(&mut job.refundable) {
                job.charged = false;
                self.flows.refund(flow, job.cost);
            }
        }
        self.enter(now, key, Time::ZERO);
        self.collect(now);
        Ok(())
    }

    /// Removes a waiting job and returns its payload; `None` when it waits no longer.
    pub fn cancel(&mut self, now: Time, key: Key) -> Option<P> {
        let flow = self.jobs.get(key).filter(|job| !job.place.in_flight())?.flow;
        self.leave(key);
        let payload = self.jobs.remove(key).and_then(|job| job.payload);
        self.settle(now, flow);
        payload
    }

    /// Returns the jobs whose deadline has passed, each once; none of them was or will be dispatched.
    pub fn expire(&mut self, now: Time) -> Vec<P> {
        self.collect(now);
        std::mem::take(&mut self.expired)
    }

    /// Returns when the queue next has something to do by itself: a deadline, or a retry whose time has come.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let delayed = self.delayed.first().map(|(at, _)| *at);
        deadline.into_iter().chain(delayed).min()
    }

    /// Makes due retries ready and moves expired jobs out.
    fn collect(&mut self, now: Time) {
        self.drain.advance(now, self.has_ready());
        while let Some(&(at, key)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, key));
            let Some(flow) = self.jobs.get(key).map(|job| job.flow) else { continue };
            self.leave(key);
            self.expired.extend(self.jobs.remove(key).and_then(|job| job.payload));
            self.settle(now, flow);
        }
        while let Some(&(at, key)) = self.delayed.first().filter(|(at, _)| *at <= now) {
            self.delayed.remove(&(at, key));
            self.make_ready(key);
        }
    }

    /// Enters a job into the queue, ready or delayed.
    fn enter(&mut self, now: Time, key: Key, not_before: Time) {
        let Some(job) = self.jobs.get_mut(key) else { return };
        let (flow, cost) = (job.flow, job.cost);
        self.deadlines.insert((job.deadline, key));
        self.waiting_cost += u64::from(cost.units());
        self.flows.joined(flow, cost);
        if not_before > now {
            job.place = Place::Delayed { until: not_before };
            self.delayed.insert((not_before, key));
        } else {
            self.make_ready(key);
        }
        self.drain.advance(now, self.has_ready());
    }

    fn make_ready(&mut self, key: Key) {
        let Some(flow) = self.jobs.get(key).map(|job| job.flow) else { return };
        self.flows.with_fifo(flow, |fifo| {
            fifo.insert(&mut self.jobs, key);
            1
        });
    }

    /// Takes a job out of every structure it waits in.
    fn leave(&mut self, key: Key) {
        let Some(job) = self.jobs.get(key) else { return };
        let (flow, cost, place) = (job.flow, job.cost, job.place);
        self.deadlines.remove(&(job.deadline, key));
        self.waiting_cost = self.waiting_cost.saturating_sub(u64::from(cost.units()));
        self.flows.left(flow, cost);
        match place {
            Place::Ready { .. } => self.flows.with_fifo(flow, |fifo| {
                fifo.remove(&mut self.jobs, key);
                -1
            }),
            Place::Delayed { until } => {
                self.delayed.remove(&(until, key));
            }
            Place::Nowhere | Place::InFlight { .. } => {}
        }
    }

    /// Takes a dispatched job back from its dispatcher; `None` when the key names none.
    fn land(&mut self, key: Key) -> Option<u32> {
        let flow = self.jobs.get(key).filter(|job| job.place.in_flight())?.flow;
        self.in_flight -= 1;
        self.flows.landed(flow);
        Some(flow)
    }

    fn settle(&mut self, now: Time, flow: u32) {
        self.flows.rest(flow);
        if self.jobs.is_empty() {
            self.flows.end_busy_period();
        }
        self.drain.advance(now, self.has_ready());
    }
}
