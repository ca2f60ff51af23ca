//! Attempts that go on, perhaps beyond what they were charged for.

use actix::{Context, Handler};

use super::{Dispatcher, LEASE_GRACE};
use crate::actor::messages::Ended;
use crate::core::cost::Cost;
use crate::engine::ticket::lease::Raise;

impl Handler<Raise> for Dispatcher {
    type Result = ();

    fn handle(&mut self, raise: Raise, ctx: &mut Context<Self>) {
        if raise.generation != self.generation {
            return;
        }
        // Whoever works on is there.
        let now = self.clock.now();
        self.leases.renew(raise.key, now + self.settings.timeout + LEASE_GRACE);
        let Some(held) = self.leases.get_mut(raise.key) else { return };
        let more = u64::from(raise.charged.units()).saturating_sub(u64::from(held.charged.units()));
        held.charged = raise.charged;
        if more > 0 && held.queue == self.queue_life {
            self.ended.push(Ended::Raised { key: held.job, more: Cost::new(more) });
        }
        self.turn(now, ctx);
    }
}
