//! Jobs that no route can take in the time they may wait.

use std::time::Duration;

use super::{Broker, Refused, Ride, RouteView, Time};

impl<J: Ride> Broker<J> {
    /// Returns how long it is until the next route opens, where all are closed for longer than a request may wait.
    pub(super) fn closed(&self, now: Time, deadline: Time) -> Option<Duration> {
        let hopeless = |view: &RouteView| {
            let until = view.closed_until();
            until > now && (view.confirmed_down || until > deadline)
        };
        let opens = self.routes.opens_at().filter(|_| self.routes().all(hopeless));
        opens.map(|opens| opens.since(now))
    }

    /// Refuses what waits in vain, because no route opens in time: now, and not when the time is up.
    pub(super) fn shed_hopeless(&mut self, now: Time) {
        let opens = self.routes.opens_at().filter(|opens| *opens > now && *opens > self.routes.hopeless_until);
        let Some(opens) = opens else { return };
        self.routes.hopeless_until = opens;
        for job in self.queue.shed_before(now, opens) {
            self.refuse(job, Refused::NoCapacity { retry_after: opens.since(now) });
        }
    }
}
