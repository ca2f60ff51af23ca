//! Virtual time: how one member of a level is charged, refunded and woken.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM '96). Its fairness bound does not
//! assume a constant server, which is the point here: a provider's capacity never stands still.

use crate::core::cost::Cost;

/// The service that a member (a class of the model, a group or flow of a class) has had so far, in virtual time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    /// Start tag of the member's next job.
    pub(super) start: u64,
    /// Start tag of the job after its last one that waits: `start` and the charges of all that wait unpaid.
    pub(super) end: u64,
    /// Refund earned while it had nothing to run, used at the next activation.
    pub(super) credit: u64,
}

impl Share {
    /// Returns whether jobs wait that have not been paid.
    pub(super) const fn has_backlog(&self) -> bool {
        self.end > self.start
    }

    /// Returns the backlog: the charges of all jobs that wait unpaid.
    pub(super) const fn depth(&self) -> u64 {
        self.end - self.start
    }

    /// Moves both tags later.
    pub(super) const fn delay(&mut self, by: u64) {
        self.start = self.start.saturating_add(by);
        self.end = self.end.saturating_add(by);
    }

    /// Moves both tags earlier.
    pub(super) const fn advance(&mut self, by: u64) {
        self.end -= if by < self.start { by } else { self.start };
        self.start = self.start.saturating_sub(by);
    }

    /// Begins a backlogged period at the level's virtual time: idling banks nothing but refunds.
    pub(super) fn activate(&mut self, level: u64) {
        self.delay(level.saturating_sub(self.start));
        let credit = std::mem::take(&mut self.credit);
        self.advance(credit);
    }

    /// Puts one more job behind the last.
    pub(super) const fn append(&mut self, charge: u64) {
        self.end = self.end.saturating_add(charge);
    }

    /// Takes a job out that has not been paid.
    pub(super) fn withdraw(&mut self, charge: u64) {
        self.end = self.end.saturating_sub(charge).max(self.start);
    }

    /// Pays for the job that is dispatched.
    pub(super) fn charge(&mut self, charge: u64) {
        self.start = self.start.saturating_add(charge);
        self.end = self.end.max(self.start);
    }

    /// Bounds the debt of a member that was served out of turn, by its reservation.
    pub(super) fn forgive(&mut self, latest: u64) {
        self.advance(self.start.saturating_sub(latest));
    }

    /// Gives back what was charged too much. Without anything to run it first pays debt off; the rest, up to `most`,
    /// becomes credit: enough to be fair to a tenant that was overcharged, too little to hoard.
    pub(super) fn refund(&mut self, charge: u64, runs: bool, level: u64, most: u64) {
        let now = if runs { charge } else { charge.min(self.start.saturating_sub(level)) };
        self.advance(now);
        self.credit = (self.credit + (charge - now)).min(most.max(self.credit));
    }

    /// Virtual time from which on the member, without work, holds neither debt nor credit.
    pub(super) const fn rests_until(&self) -> u64 {
        self.start.saturating_add(self.credit)
    }
}

/// The largest cost of the last thousand or two thousand jobs: the unit of head starts, credits and debts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Largest {
    before: Cost,
    lately: Cost,
    seen: u16,
}

impl Largest {
    /// Jobs after which a window of the largest cost ends.
    const WINDOW: u16 = 1_024;

    /// Takes note of a cost and says whether the largest has changed.
    pub(super) fn see(&mut self, cost: Cost) -> bool {
        let old = self.cost();
        self.lately = self.lately.max(cost);
        self.seen += 1;
        if self.seen == Self::WINDOW {
            *self = Self { before: self.lately, lately: Cost::ONE, seen: 0 };
        }
        self.cost() != old
    }

    pub(super) fn cost(&self) -> Cost {
        self.before.max(self.lately)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refund_pays_debt_first_and_is_kept_up_to_a_bound() {
        let mut share = Share { start: 130, end: 130, credit: 0 };
        share.refund(50, false, 100, 40);
        assert_eq!(share, Share { start: 100, end: 100, credit: 20 });
        share.refund(50, false, 100, 40);
        assert_eq!(share.credit, 40);
        share.append(7);
        share.activate(200);
        assert_eq!(share, Share { start: 160, end: 167, credit: 0 });
    }

    #[test]
    fn a_large_job_is_forgotten_after_two_windows() {
        let mut largest = Largest::default();
        assert!(largest.see(Cost::new(1_000_000)));
        let changes = (0..2 * Largest::WINDOW).filter(|_| largest.see(Cost::new(3))).count();
        assert_eq!((largest.cost(), changes), (Cost::new(3), 1));
    }
}
