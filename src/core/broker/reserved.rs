//! Reservations of a model: promises on the slots that its routes' windows hold together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::message::Output;
use crate::core::fair_queue::{FairQueue, Grant, TenantLimits};
use crate::core::time::Time;

/// Slots and reservations as the queue knows them.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    /// Slots in all: the sum of the windows.
    slots: u32,
    /// Whether reservations are cut to the slots there are.
    cut: bool,
}

impl Reserved {
    /// Tells the queue how many slots there are; returns what to put out where that changes the reservations granted.
    pub(super) fn count<J>(
        &mut self,
        now: Time,
        slots: u32,
        reserve: &BTreeMap<Arc<str>, TenantLimits>,
        queue: &mut FairQueue<J>,
    ) -> Option<Output<J>> {
        if slots == self.slots {
            return None;
        }
        self.slots = slots;
        queue.set_capacity(now, slots);
        let mut reserved = reserve.keys().filter_map(|tenant| queue.reservation(tenant));
        let granted = reserved.find_map(|reserved| match reserved.reason {
            Grant::Scaled { grantable } => Some(grantable),
            Grant::Full | Grant::Untried => None,
        });
        if granted.is_some() == self.cut {
            return None;
        }
        self.cut = granted.is_some();
        let asked = reserve.values().map(|limits| limits.reserve).sum();
        Some(Output::Reservations { asked, granted, slots })
    }
}
