//! How many jobs there are, and how much work.

use crate::core::cost::Cost;

/// The jobs of a queue, by where they are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    waiting: usize,
    /// Predicted cost of the waiting jobs, in units.
    waiting_cost: u64,
    in_flight: usize,
    /// Long jobs in flight beyond their tenants' reservations.
    long: u64,
}

impl Counts {
    /// Counts a job that joins the queue.
    pub(super) fn joined(&mut self, cost: Cost) {
        self.waiting += 1;
        self.waiting_cost += u64::from(cost.units());
    }

    /// Counts a job that leaves the queue.
    pub(super) fn left(&mut self, cost: Cost) {
        self.waiting -= 1;
        self.waiting_cost -= u64::from(cost.units());
    }

    /// Counts a job that goes to a dispatcher; `long` if it is long and beyond its tenant's reservation.
    pub(super) fn dispatched(&mut self, long: bool) {
        self.in_flight += 1;
        self.long += u64::from(long);
    }

    /// Counts a job that is with its dispatcher no longer.
    pub(super) fn landed(&mut self, long: bool) {
        self.in_flight -= 1;
        self.long -= u64::from(long);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the predicted cost of the waiting jobs, in units.
    pub(super) fn waiting_cost(&self) -> u64 {
        self.waiting_cost
    }

    /// Returns the mean predicted cost of a waiting job, in units.
    pub(super) fn mean_cost(&self) -> f64 {
        self.waiting_cost as f64 / self.waiting.max(1) as f64
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns how many long jobs beyond reservations are in flight.
    pub(super) fn long(&self) -> u64 {
        self.long
    }
}
