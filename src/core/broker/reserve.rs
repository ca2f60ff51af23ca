//! Reservations of a model: promises on the slots that its routes' windows hold together.

use super::{Broker, BrokerConfig, Output, Ride, Time};
use crate::core::fair_queue::{Grant, TenantLimits};

/// What the queue was told of reservations.
#[derive(Debug, Default)]
pub(super) struct Reserved {
    /// Slots in all: the sum of the windows.
    slots: u32,
    /// Whether reservations are cut to what there is.
    cut: bool,
}

impl<J: Ride> Broker<J> {
    /// Makes the tenants with a reservation known to the queue.
    pub(super) fn register_reserved(&mut self, now: Time) {
        for (tenant, limits) in &self.config.reserve {
            self.queue.register(now, tenant, limits);
        }
    }

    /// Takes new settings; tenants that have lost their reservation are registered without one.
    pub(super) fn reconfigure(&mut self, now: Time, config: BrokerConfig) {
        self.queue.reconfigure(config.queue);
        for (tenant, limits) in &self.config.reserve {
            if !config.reserve.contains_key(tenant) {
                self.queue.register(now, tenant, &TenantLimits { reserve: 0, ..*limits });
            }
        }
        self.budget.set_ratio(config.retry_budget);
        self.config = config;
        self.register_reserved(now);
    }

    /// Tells the queue how many slots there are, and puts out where that changes what is granted.
    pub(super) fn count_slots(&mut self, now: Time) {
        if self.config.reserve.is_empty() {
            return;
        }
        let slots = self.routes().map(|view| view.window).sum();
        if slots == self.reserved.slots {
            return;
        }
        self.reserved.slots = slots;
        self.queue.set_capacity(now, slots);
        let mut reserved = self.config.reserve.keys().filter_map(|tenant| self.queue.reservation(tenant));
        let granted = reserved.find_map(|reserved| match reserved.reason {
            Grant::Scaled { grantable } => Some(grantable),
            Grant::Full | Grant::Untried => None,
        });
        if granted.is_some() != self.reserved.cut {
            self.reserved.cut = granted.is_some();
            let asked = self.config.reserve.values().map(|limits| limits.reserve).sum();
            self.outputs.push_back(Output::Reservations { asked, granted, slots });
        }
    }
}
