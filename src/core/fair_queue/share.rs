//! Virtual time: how one member of a level is charged, refunded and woken.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng: "Start-time Fair Queueing", SIGCOMM '96). Its fairness bound does not
//! assume a constant server, which is the point here: a provider's capacity never stands still.

use super::heap::Heap;
use crate::core::cost::{Cost, Weight};

/// Virtual time after which a level is rebased: far above any single charge, far below overflow.
const REBASE_AT: u64 = 1 << 61;

/// What one member (a class in a model, a flow in a class) has had so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Share {
    /// Start tag of the member's next job.
    pub(super) virtual_time: u64,
    /// Refund earned while idle, used at the next activation.
    pub(super) credit: u64,
    pub(super) weight: Weight,
}

impl Share {
    pub(super) fn new(weight: Weight) -> Self {
        Self { weight, ..Self::default() }
    }

    /// Begins a backlogged period at the level's virtual time: idling banks nothing but refunds.
    pub(super) fn activate(&mut self, level: u64) {
        self.virtual_time = self.virtual_time.max(level).saturating_sub(self.credit);
        self.credit = 0;
    }

    pub(super) fn charge(&mut self, cost: Cost) {
        self.virtual_time = self.virtual_time.saturating_add(self.weight.charge(cost));
    }

    /// Takes back the charge of a job that was never sent.
    pub(super) fn refund(&mut self, cost: Cost) {
        self.virtual_time = self.virtual_time.saturating_sub(self.weight.charge(cost));
    }

    /// Corrects an earlier charge of `predicted` to what the work really was.
    ///
    /// A refund to an idle member becomes credit, at most one charge of what was predicted: enough to be fair to a
    /// tenant that was overcharged for its last job, too little to hoard.
    pub(super) fn reconcile(&mut self, predicted: Cost, actual: Cost, idle: bool) {
        let (charged, due) = (self.weight.charge(predicted), self.weight.charge(actual));
        if due >= charged {
            self.virtual_time = self.virtual_time.saturating_add(due - charged);
        } else if idle {
            self.credit = (self.credit + (charged - due)).min(charged);
        } else {
            self.virtual_time = self.virtual_time.saturating_sub(charged - due);
        }
    }
}

/// One level of the hierarchy: its members with work, by virtual time.
#[derive(Debug, Clone, Default)]
pub(super) struct Level {
    pub(super) virtual_time: u64,
    pub(super) ready: Heap,
    /// Sum of the weights, in thousandths, of the members that have something queued.
    pub(super) backlogged_weight: u64,
}

impl Level {
    /// Follows a dispatch whose start tag was `tag`.
    pub(super) fn follow(&mut self, tag: u64) {
        self.virtual_time = self.virtual_time.max(tag);
    }

    /// Returns by how much every tag of this level must be lowered now, if at all.
    pub(super) fn rebase(&mut self) -> Option<u64> {
        if self.virtual_time < REBASE_AT {
            return None;
        }
        // Half is kept, so that members with refunds below the level's time keep their distance.
        let base = self.virtual_time / 2;
        self.virtual_time -= base;
        self.ready.rebase(base);
        Some(base)
    }
}
