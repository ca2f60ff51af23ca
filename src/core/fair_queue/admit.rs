//! The way in: admission, refusals that say when to come back, and forecasts of the wait.

use std::time::Duration;

use super::FairQueue;
use super::chunks::NONE;
use super::class::Class;
use super::jobs::Place;
use super::request::{Refusal, Request, TenantLimits};
use super::tenants::Tenant;
use crate::core::estimate::Forecast;
use crate::core::key::Key;
use crate::core::time::Time;

/// Total of waiting cost, in units, from which on sums no longer fit the trees of the estimate.
const COUNTABLE: u64 = 1 << 42;

impl<P> FairQueue<P> {
    /// Admits a request.
    ///
    /// # Errors
    ///
    /// Gives the payload back with the [`Refusal`] that applies: the model's capacity first, then the class's cap, the
    /// tenant's cap, and a forecast (P90) that exceeds the time the request has, as far as the drain rate was measured
    /// for long enough to say so.
    pub fn push(&mut self, now: Time, request: Request<P>) -> Result<Key, (Refusal, P)> {
        self.collect(now);
        let tenant = self.flows.tenants.find(&request.tenant);
        let raw = self.raw_wait(tenant, &request.limits, request.class);
        if let Err(refusal) = self.admissible(now, &request, tenant, raw) {
            return Err((refusal, request.payload));
        }
        let limits = &request.limits;
        let tenant = tenant.unwrap_or_else(|| self.flows.tenants.add(&request.tenant, limits.max_in_flight));
        self.flows.limit(tenant, limits);
        let flow = self.flows.flow(tenant, request.class, limits);
        let index = self.jobs.insert(flow, request.cost, now, request.deadline, request.payload);
        #[allow(clippy::cast_possible_truncation, reason = "a forecast in seconds needs no more")]
        let predicted = raw.unwrap_or(0.0) as f32;
        self.jobs.records[index].predicted = predicted;
        self.flows.born(flow);
        self.enter(now, index, None);
        Ok(self.jobs.key(index))
    }

    /// Returns the forecast that a waiting job was admitted under; `None` where none was made, or it was to go at once.
    #[must_use]
    pub fn forecast(&self, key: Key) -> Option<Forecast> {
        let raw = f64::from(self.jobs.records[self.jobs.find(key, |place| place == Place::Ready)?].predicted);
        (raw > 0.0).then(|| self.forecaster.correct(raw))
    }

    fn admissible(
        &self,
        now: Time,
        request: &Request<P>,
        tenant: Option<u32>,
        raw: Option<f64>,
    ) -> Result<(), Refusal> {
        let class = request.class.index();
        if self.counts.waiting() >= self.limits.capacity
            || self.flows.root.classes[class].queued >= self.limits.class_caps[class]
        {
            return Err(Refusal::QueueFull { retry_after: self.forecaster.drains_in(1.0) });
        }
        let record = tenant.map(|id| self.flows.tenants.get(id));
        if record.map_or(0, Tenant::queued) >= request.limits.max_queued {
            let flow = record.map(|tenant| tenant.flows[class]).filter(|flow| *flow != NONE);
            let share = self.flows.share_of(flow, class, request.limits.weight);
            return Err(Refusal::TenantQueueFull { retry_after: self.forecaster.drains_in(1.0 / share) });
        }
        if let Some(raw) = raw {
            let p90 = self.forecaster.certain_p90(raw);
            let available = request.deadline.seconds_since(now);
            if p90 > available {
                return Err(Refusal::DeadlineUnreachable {
                    estimate: Duration::from_secs_f64(p90),
                    retry_after: Duration::from_secs_f64(p90 - available),
                });
            }
        }
        Ok(())
    }

    /// Forecasts the wait of a request that `tenant` would submit now.
    ///
    /// While the drain rate is unknown it is what the next job has waited so far (Ibrahim and Whitt, 2009), which
    /// admission does not go by. `None` only where nothing at all is known.
    #[must_use]
    pub fn wait(&self, now: Time, tenant: &str, limits: &TenantLimits, class: Class) -> Option<Forecast> {
        let raw = self.raw_wait(self.flows.tenants.find(tenant), limits, class);
        raw.or_else(|| self.head_wait(now)).map(|raw| self.forecaster.correct(raw))
    }

    fn head_wait(&self, now: Time) -> Option<f64> {
        let head = self.flows.member(self.flows.next()?).fifo.head;
        Some(now.seconds_since(self.jobs.records[head].since))
    }

    /// Predicts the wait of a tenant's next request in seconds; `None` while the drain rate is unknown.
    fn raw_wait(&self, tenant: Option<u32>, limits: &TenantLimits, class: Class) -> Option<f64> {
        let (queued, in_flight, reserve) = tenant.map_or((0, 0, NONE), |id| {
            let tenant = self.flows.tenants.get(id);
            (tenant.queued(), tenant.in_flight(), tenant.reserve)
        });
        // Beyond its own cap a request waits for its tenant's own jobs, whatever the others do.
        let over = (u64::from(queued) + u64::from(in_flight) + 1).saturating_sub(u64::from(limits.max_in_flight));
        let own = match self.forecaster.mean_service() {
            Some(mean) if over > 0 => over as f64 * mean / f64::from(limits.max_in_flight),
            _ => 0.0,
        };
        if !self.has_ready() {
            // A free slot takes the next job at once; parked and delayed jobs do not stand before it.
            return Some(own);
        }
        let work = if reserve != NONE && self.flows.reserves.covers(reserve, queued) {
            0.0
        } else if self.counts.waiting_cost() >= COUNTABLE {
            self.counts.waiting_cost() as f64
        } else {
            self.flows.work_before_next(tenant, class.index(), limits, self.counts.mean_cost())
        };
        self.forecaster.seconds(work, &self.counts).map(|seconds| seconds.max(own))
    }
}
