//! Reservations: slots that a tenant gets whenever it has work, lent to others while it has none.
//!
//! mClock (Gulati, Merchant, Varman, OSDI '10) reserves a rate; a generation holds a slot for seconds, so a reservation
//! here is in slots. A tenant is *due* while it has work and fewer jobs in flight than slots granted, and whoever is due
//! goes before all weights. Among those due the lowest reservation tag goes first; a dispatch moves it by 1/slots.
//!
//! Why that keeps the promise "late by no more than one residual job": while the grants sum to no more than the
//! capacity, a due tenant implies a free slot or a job beyond reservations. As long as anybody is due no other job is
//! started, so when the last job that ran beyond reservations ends, nobody who was due before is due still.

use super::heap::{Heap, Positions};
use crate::core::cost::Weight;

/// Share of the capacity that may be granted: the rest keeps a falling window from breaking promises at once.
const GRANTABLE: f64 = 0.8;
/// Step of a reservation tag per dispatch, for a reservation of one slot.
const STEP: u64 = 1 << 20;

/// A reservation: how much of it is in force, and why not all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// Slots asked for.
    pub asked: u32,
    /// Slots that are guaranteed now.
    pub granted: u32,
    /// The reason for `granted`.
    pub reason: Grant,
}

/// The reason why a reservation is granted in full or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// All reservations together stay within 0.8 of the learned capacity.
    Full,
    /// Nothing is known of the capacity yet; granted in full on trust.
    Untried,
    /// All reservations together exceed it; `grantable` slots are divided by weight.
    Scaled {
        /// Slots that may be granted to all together: 0.8 of the learned capacity.
        grantable: u32,
    },
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tenant: u32,
    weight: Weight,
    asked: u32,
    granted: u32,
    in_flight: u32,
    tag: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Reserves {
    entries: Vec<Option<Entry>>,
    due: Heap,
    positions: Positions,
    /// Reservation tag last served.
    time: u64,
    capacity: Option<u32>,
    asked: u64,
    granted: u64,
    /// Granted slots in use by those who reserved them.
    claimed: u64,
}

impl Reserves {
    /// Sets the learned capacity in slots.
    pub(super) fn set_capacity(&mut self, slots: u32) {
        if self.capacity != Some(slots) {
            self.capacity = Some(slots);
            self.divide();
        }
    }

    /// Adds a tenant's reservation and returns its number.
    pub(super) fn add(&mut self, tenant: u32, weight: Weight, asked: u32, in_flight: u32) -> u32 {
        let entry = Entry { tenant, weight, asked, granted: 0, in_flight, tag: self.time };
        let at = self.entries.iter().position(Option::is_none).unwrap_or(self.entries.len());
        if at == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[at] = Some(entry);
        self.divide();
        #[allow(clippy::cast_possible_truncation, reason = "fewer than tenants")]
        let at = at as u32;
        at
    }

    /// Changes a reservation and says whether that changed anything; zero slots end it.
    pub(super) fn change(&mut self, number: u32, weight: Weight, asked: u32) -> bool {
        let Some(slot) = self.entries.get_mut(number as usize) else { return false };
        let Some(entry) = slot.as_mut().filter(|entry| (entry.weight, entry.asked) != (weight, asked)) else {
            return false;
        };
        (entry.weight, entry.asked) = (weight, asked);
        if asked == 0 {
            *slot = None;
            self.due.remove(&mut self.positions, number);
        }
        self.divide();
        true
    }

    /// Grants what is asked, or divides what may be granted by weight, nobody getting more than it asked for.
    fn divide(&mut self) {
        let mut order: Vec<usize> = (0..self.entries.len()).filter(|at| self.entries[*at].is_some()).collect();
        self.asked = self.entries.iter().flatten().map(|entry| u64::from(entry.asked)).sum();
        let grantable = self.grantable();
        let mut left = grantable.map_or(self.asked, |most| self.asked.min(u64::from(most)));
        self.granted = left;
        let by_weight = |entry: &Entry| f64::from(entry.asked) / entry.weight.value();
        let key = |at: &usize| self.entries[*at].as_ref().map_or(0.0, by_weight);
        // Those who ask least for their weight are satisfied first; what they leave is for the others.
        order.sort_by(|a, b| key(a).total_cmp(&key(b)));
        let mut weights: u64 = self.entries.iter().flatten().map(|entry| u64::from(entry.weight.milli())).sum();
        for at in order {
            let Some(entry) = self.entries[at].as_mut() else { continue };
            let weight = u64::from(entry.weight.milli());
            let part = (left * weight + weights / 2) / weights.max(1);
            #[allow(clippy::cast_possible_truncation, reason = "at most what was asked")]
            let granted = part.min(u64::from(entry.asked)) as u32;
            entry.granted = granted;
            left -= u64::from(granted);
            weights -= weight;
        }
        self.granted -= left;
        self.claimed = self.entries.iter().flatten().map(|entry| u64::from(entry.in_flight.min(entry.granted))).sum();
    }

    fn grantable(&self) -> Option<u32> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
        self.capacity.map(|slots| (f64::from(slots) * GRANTABLE) as u32)
    }

    /// Takes note of a tenant's jobs in flight.
    pub(super) fn count(&mut self, number: u32, in_flight: u32) {
        let Some(Some(entry)) = self.entries.get_mut(number as usize) else { return };
        self.claimed -= u64::from(entry.in_flight.min(entry.granted));
        entry.in_flight = in_flight;
        self.claimed += u64::from(entry.in_flight.min(entry.granted));
    }

    /// Puts a tenant among the due, or takes it out, by whether it has work that may run.
    pub(super) fn refresh(&mut self, number: u32, has_work: bool) {
        let Some(Some(entry)) = self.entries.get_mut(number as usize) else { return };
        if has_work && entry.in_flight < entry.granted {
            // Having had nothing to run banks nothing.
            if self.positions.get(number as usize).is_none_or(|at| *at == u32::MAX) {
                entry.tag = entry.tag.max(self.time);
            }
            self.due.set(&mut self.positions, number, entry.tag);
        } else {
            self.due.remove(&mut self.positions, number);
        }
    }

    /// Returns the tenant whose reservation is served next.
    pub(super) fn next(&self) -> Option<u32> {
        let (_, number) = self.due.first()?;
        self.entries.get(number as usize)?.map(|entry| entry.tenant)
    }

    /// Charges a reservation for a dispatch on its account.
    pub(super) fn served(&mut self, number: u32) {
        let Some(Some(entry)) = self.entries.get_mut(number as usize) else { return };
        self.time = self.time.max(entry.tag);
        entry.tag = entry.tag.saturating_add(STEP / u64::from(entry.granted.max(1)));
    }

    /// Returns the tenants that have a reservation.
    pub(super) fn tenants(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().flatten().map(|entry| entry.tenant)
    }

    pub(super) fn state(&self, number: u32) -> Option<Reservation> {
        let entry = self.entries.get(number as usize)?.as_ref()?;
        let reason = match self.grantable() {
            None => Grant::Untried,
            Some(grantable) if self.asked > u64::from(grantable) => Grant::Scaled { grantable },
            Some(_) => Grant::Full,
        };
        Some(Reservation { asked: entry.asked, granted: entry.granted, reason })
    }

    /// Says whether a tenant with that reservation has slots of its own free for `more` jobs.
    pub(super) fn covers(&self, number: u32, more: u32) -> bool {
        let entry = self.entries.get(number as usize).and_then(Option::as_ref);
        entry.is_some_and(|entry| entry.in_flight.saturating_add(more) < entry.granted)
    }

    /// Returns how many slots long jobs beyond reservations may hold, where a share of the unclaimed grants is not
    /// lent to them; `None` without reservations or while the capacity is unknown.
    pub(super) fn room_for_long(&self, unlendable: f64) -> Option<u64> {
        let capacity = u64::from(self.capacity.filter(|_| self.granted > 0)?);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of what is unclaimed")]
        let held = ((self.granted - self.claimed) as f64 * unlendable).ceil() as u64;
        Some(capacity.saturating_sub(self.claimed + held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(reserves: &Reserves) -> Vec<u32> {
        reserves.entries.iter().flatten().map(|entry| entry.granted).collect()
    }

    #[test]
    fn what_may_be_granted_is_divided_by_weight_and_nobody_gets_more_than_it_asked() {
        let mut reserves = Reserves::default();
        let double = Weight::new(2.0).unwrap_or_default();
        for (tenant, weight, asked) in [(0, Weight::ONE, 1), (1, Weight::ONE, 8), (2, double, 8)] {
            reserves.add(tenant, weight, asked, 0);
        }
        assert_eq!(granted(&reserves), [1, 8, 8], "on trust");
        assert_eq!(reserves.state(0).map(|state| state.reason), Some(Grant::Untried));
        reserves.set_capacity(22);
        assert_eq!(granted(&reserves), [1, 8, 8], "17 of 22 is within 0.8");
        reserves.set_capacity(13);
        assert_eq!(granted(&reserves), [1, 3, 6], "10 slots");
        assert_eq!(reserves.state(1).map(|state| state.reason), Some(Grant::Scaled { grantable: 10 }));
        reserves.set_capacity(1);
        assert_eq!(granted(&reserves), [0, 0, 0]);
        reserves.change(2, double, 0);
        reserves.set_capacity(5);
        assert_eq!(granted(&reserves), [1, 3], "the one that asks for less leaves the rest");
    }

    #[test]
    fn a_share_of_what_is_unclaimed_is_not_lent_to_long_jobs() {
        let mut reserves = Reserves::default();
        assert_eq!(reserves.room_for_long(0.5), None);
        let number = reserves.add(0, Weight::ONE, 4, 0);
        reserves.set_capacity(10);
        assert_eq!(reserves.room_for_long(0.5), Some(8));
        reserves.count(number, 3);
        assert_eq!(reserves.room_for_long(0.5), Some(6), "three claimed, one held back");
        reserves.count(number, 6);
        assert_eq!(reserves.room_for_long(0.5), Some(6), "all claimed, none held back");
    }
}
