//! What a queue tells of its model.

use std::time::Duration;

use super::QueueActor;
use crate::actor::capacity::{Millis, ModelCapacity, ReservedCapacity, route_capacity};
use crate::core::fair_queue::{Class, TenantLimits};
use crate::core::time::Time;

impl QueueActor {
    /// Publishes what the model is like now.
    pub(super) fn publish(&mut self, now: Time) {
        self.last_publish = now;
        self.publish_at = None;
        self.model.stats.set_retry_budget(self.budget.remaining(now));
        let snapshot = self.snapshot(now);
        // A snapshot shows what time alone changes too: the end of a hold, the wait of what waits, a rate that fades.
        let fades = snapshot.queue_depth > 0
            || snapshot.throughput_per_second > 0.0
            || snapshot.routes.iter().any(|route| route.hold_until_ms > 0);
        if fades {
            self.publish_at = Some(now + Duration::from_millis(500));
        }
        // Watchers that see no change are not woken.
        self.model.capacity.send_if_modified(|last| {
            let changed = *last != snapshot;
            *last = snapshot;
            changed
        });
    }

    fn snapshot(&self, now: Time) -> ModelCapacity {
        let wait = self.queue.wait(now, "", &TenantLimits::default(), Class::Standard).unwrap_or_default();
        let views = || self.routes.iter().map(|seat| &seat.view);
        let open = views().any(|view| view.closed_until() <= now && !view.paused);
        let late = wait.p90 > self.settings.max_wait.as_secs_f64();
        let (window, in_flight) = views().fold((0, 0), |sum, view| (sum.0 + view.window, sum.1 + view.in_flight));
        let reserved = self.settings.reserve.keys();
        let reserved = reserved.filter_map(|name| Some((self.queue.reservation(name)?, self.queue.tenant(name).1)));
        let operator = self.model.operator();
        ModelCapacity {
            model: self.model.name.clone(),
            status: self.pulse.status(open, late, self.settings.healthy_latency),
            paused: operator.paused,
            pinned_window: operator.window,
            queue_depth: self.queue.len(),
            queue_capacity: self.settings.queue.capacity,
            active_tenants: self.queue.active_tenants(),
            in_flight,
            window,
            reserved: ReservedCapacity::sum(reserved, u32::saturating_sub(window, in_flight)),
            throughput_per_second: self.pulse.throughput(now),
            estimated_wait_ms: Millis::from(wait),
            processing_ms: self.pulse.processing(),
            routes: self
                .routes
                .iter()
                .map(|seat| route_capacity(&seat.route.provider_name, &seat.route.upstream, &seat.view, now))
                .collect(),
            you: None,
        }
    }
}
