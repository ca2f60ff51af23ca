//! Jobs: who asks, when, and what becomes of a client whose job is over.

use std::time::Duration;

use super::{Event, Job, World};
use crate::core::broker::Input;
use crate::core::cost::Cost;
use crate::core::fair_queue::{Class, Request, TenantLimits};
use crate::core::time::Time;
use crate::sim::load::Load;
use crate::sim::replica::Rider;
use crate::sim::rng::Rng;

/// Cost units per unit of size: keeps fractions of a trace's sizes.
const COST_UNITS: f64 = 100.0;

/// The stream of random numbers of the first job; each has its own, so that every controller meets the same jobs.
const JOBS: u64 = 1 << 32;

/// A closed-loop client whose job was refused or given up asks again after so many seconds.
const REFUSED_PAUSE: f64 = 1.0;

impl World<'_> {
    pub(super) fn lose(&mut self, replica: u32, job: u32) {
        self.observer.lost();
        self.end_job(replica, job, true);
    }

    /// A job is over; its client, if it has one, asks again.
    pub(super) fn end_job(&mut self, replica: u32, job: u32, failed: bool) {
        self.free_jobs.push(job);
        let load = self.jobs.get(job as usize).map_or(0, |job| job.load);
        if let Some(Load::Closed { think, .. }) = self.scenario.load.get(load as usize) {
            let think = if failed { think.max(REFUSED_PAUSE) } else { *think };
            self.at(self.t() + think, Event::Ask(load, replica));
        }
    }

    /// A new job; `tenant` among those of its load.
    pub(super) fn admit(&mut self, load: u32, replica_index: u32, tenant: usize, size: Option<f64>) {
        let now = self.time();
        let service = &self.scenario.service;
        self.made += 1;
        let mut rng = Rng::new(self.seed, JOBS + self.made);
        let drawn = 1.0 + rng.below(u64::from(service.sizes)) as f64;
        let size = size.unwrap_or(drawn);
        let work = rng.lognormal(service.median, service.sigma) * size;
        let known = service.known.then(|| Cost::new((size * COST_UNITS).round() as u64));
        let job = Job { work, cost: known, load, attempts: 0, created: self.now };
        let index = self.free_jobs.pop().unwrap_or(self.jobs.len() as u32);
        if index as usize == self.jobs.len() {
            self.jobs.push(job);
        } else if let Some(place) = self.jobs.get_mut(index as usize) {
            *place = job;
        }
        let Some(replica) = self.replicas.get_mut(replica_index as usize) else { return };
        let Some(tenant) = self.tenants.get(load as usize).and_then(|names| names.get(tenant)) else { return };
        let deadline = self.scenario.max_wait.map_or(Time::FAR, |wait| now + Duration::from_secs_f64(wait));
        let request = Request {
            tenant: tenant.clone(),
            limits: TenantLimits::default(),
            class: Class::Standard,
            cost: known.unwrap_or(Cost::ONE),
            deadline,
            payload: Rider::new(index),
        };
        replica.scheduler.handle(Input::Submit(request), now);
    }

    pub(super) fn ask(&mut self, load: u32, replica: u32) {
        self.admit(load, replica, 0, None);
        self.pump(replica);
    }

    pub(super) fn start(&mut self, replica: u32) {
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
    pub(super) fn arrive(&mut self, load: u32) {
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

    pub(super) fn next_arrival(&mut self, load: u32) {
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

    pub(super) fn turn(&mut self, load: u32) {
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
}
