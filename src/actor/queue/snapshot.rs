//! Snapshots of a model, which its queue publishes.

use super::QueueActor;
use crate::core::fair_queue::{Class, TenantLimits};
use crate::core::time::Time;
use crate::engine::view::capacity::{Millis, ModelCapacity, Processing, ReservedCapacity, route_capacity};

impl QueueActor {
    /// Publishes a snapshot of the model.
    pub(super) fn publish(&mut self, now: Time) {
        self.model.stats.set_retry_budget(self.broker.retry_room(now));
        let snapshot = self.snapshot(now);
        // Watchers that see no change are not woken.
        let changed = self.model.capacity.send_if_modified(|last| {
            let changed = *last != snapshot;
            *last = snapshot;
            changed
        });
        if changed {
            self.model.touch();
        }
    }

    fn snapshot(&self, now: Time) -> ModelCapacity {
        let (broker, queue) = (&self.broker, self.broker.queue());
        let wait = queue.wait(now, "", &TenantLimits::default(), Class::Standard).unwrap_or_default();
        let window = broker.routes().map(|view| view.window).sum();
        let in_flight = broker.routes().map(|view| view.in_flight).sum();
        let reserved = self.settings.reserve.keys();
        let reserved = reserved.filter_map(|name| Some((queue.reservation(name)?, queue.tenant(name).1)));
        let operator = self.model.operator();
        let routes = self.dispatchers.iter().zip(broker.routes());
        ModelCapacity {
            model: self.model.name.clone(),
            status: broker.status(now, wait),
            paused: operator.paused,
            pinned_window: operator.window,
            queue_depth: queue.len(),
            queue_capacity: self.settings.queue.capacity,
            active_tenants: queue.active_tenants(),
            in_flight,
            window,
            reserved: ReservedCapacity::sum(reserved, u32::saturating_sub(window, in_flight)),
            throughput_per_second: broker.health().throughput(now),
            estimated_wait_ms: Millis::from(wait),
            processing_ms: Processing::from(broker.health().service_times()),
            routes: routes
                .map(|(wired, view)| route_capacity(&wired.route.provider_name, &wired.route.upstream, view, now))
                .collect(),
            you: None,
        }
    }
}
