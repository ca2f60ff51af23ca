//! An operator knows better: whatever holds the route is lifted, and it is tried again at once.

use actix::{Context, Handler};

use super::Dispatcher;
use crate::actor::messages::Lift;

impl Handler<Lift> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Lift, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.gates.release(now);
        (self.suspension, self.account_full) = (None, false);
        self.turn(now, ctx);
    }
}
