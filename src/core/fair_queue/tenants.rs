//! The tenants of a model: their names, and what they have here over all classes.

use std::sync::Arc;

use super::chunks::{Chunks, NONE};
use super::names::Names;

/// A tenant of this model. Its caps count over all its classes.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    /// `None` marks a free record.
    name: Option<Arc<str>>,
    pub(super) max_in_flight: u32,
    in_flight: u32,
    /// Jobs waiting; the next free record of a free one.
    queued: u32,
    /// Its flow in each class, [`NONE`] where it has none.
    pub(super) flows: [u32; 3],
    /// Number of its reservation, [`NONE`] without one.
    pub(super) reserve: u32,
}

impl Tenant {
    /// Returns how many of its jobs wait.
    pub(super) const fn queued(&self) -> u32 {
        self.queued
    }

    /// Returns how many of its jobs are dispatched.
    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Counts a job that joins the queue.
    pub(super) const fn joined(&mut self) {
        self.queued += 1;
    }

    /// Counts a job that leaves the queue.
    pub(super) const fn left(&mut self) {
        self.queued -= 1;
    }

    /// Counts a job that is dispatched.
    pub(super) const fn dispatched(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// Counts a job that is with its dispatcher no longer.
    pub(super) const fn landed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Returns the free record after this one, which is free.
    const fn next_free(&self) -> u32 {
        self.queued
    }

    /// Says whether it may have no further job dispatched.
    pub(super) const fn capped(&self) -> bool {
        self.in_flight >= self.max_in_flight
    }

    const fn is_active(&self) -> bool {
        self.queued > 0 || self.in_flight > 0
    }
}

/// The tenants that are known, by number and by name.
#[derive(Debug, Clone)]
pub(super) struct Tenants {
    records: Chunks<Tenant>,
    names: Names,
    /// The first free record.
    free: u32,
    /// Tenants with jobs.
    active: usize,
}

impl Tenants {
    pub(super) fn new() -> Self {
        Self { records: Chunks::new(), names: Names::new(), free: NONE, active: 0 }
    }

    /// Returns how many tenants have something waiting or in flight.
    pub(super) const fn active(&self) -> usize {
        self.active
    }

    /// Returns how many tenants are remembered, those without jobs included.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.records.iter().filter(|tenant| tenant.name.is_some()).count()
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.names.find(self.names.hash(name), |id| self.is(id, name))
    }

    fn is(&self, id: u32, name: &str) -> bool {
        // Names are shared: mostly it is the very same text, and need not be read.
        self.records[id].name.as_deref().is_some_and(|held| std::ptr::eq(held, name) || held == name)
    }

    pub(super) fn add(&mut self, name: &Arc<str>, max_in_flight: u32) -> u32 {
        let tenant = Tenant {
            name: Some(name.clone()),
            max_in_flight,
            in_flight: 0,
            queued: 0,
            flows: [NONE; 3],
            reserve: NONE,
        };
        let id = if self.free == NONE {
            self.records.push(tenant)
        } else {
            let id = self.free;
            self.free = self.records[id].next_free();
            self.records[id] = tenant;
            id
        };
        self.names.insert(self.names.hash(name), id);
        id
    }

    /// Forgets a tenant that has no flow and no reservation left.
    pub(super) fn forget(&mut self, id: u32) {
        let tenant = &mut self.records[id];
        if tenant.flows != [NONE; 3] || tenant.reserve != NONE {
            return;
        }
        let Some(name) = tenant.name.take() else { return };
        tenant.queued = std::mem::replace(&mut self.free, id);
        self.names.remove(self.names.hash(&name), id);
    }

    pub(super) fn get(&self, id: u32) -> &Tenant {
        &self.records[id]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Tenant {
        &mut self.records[id]
    }

    /// Changes a tenant's counts and keeps the number of active tenants.
    pub(super) fn count(&mut self, id: u32, change: impl FnOnce(&mut Tenant)) -> &Tenant {
        let tenant = &mut self.records[id];
        let before = tenant.is_active();
        change(tenant);
        match (before, tenant.is_active()) {
            (false, true) => self.active += 1,
            (true, false) => self.active -= 1,
            _ => {}
        }
        tenant
    }

    /// Iterates over the tenants that have something waiting or in flight, or a reservation.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Tenant)> {
        let known = self.records.iter().filter_map(|tenant| Some((tenant.name.as_ref()?, tenant)));
        known.filter(|(_, tenant)| tenant.is_active() || tenant.reserve != NONE)
    }
}
