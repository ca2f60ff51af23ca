//! One timer per actor: futures spawned on a context share a waker, so there must not be many.

use std::cell::Cell;
use std::rc::Rc;

use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle};

use crate::core::time::Time;

/// The present setting of a timer.
#[derive(Debug, Clone, Copy, Default)]
struct Due {
    at: Option<Time>,
    /// Counts the settings: a cancelled timer can still fire in the poll that cancelled it.
    setting: u64,
}

/// Wakes an actor at the earliest time asked for. A timer that fires late or for nothing does no harm: what it calls
/// looks at the clock.
#[derive(Debug, Default)]
pub(super) struct Timer {
    due: Rc<Cell<Due>>,
    handle: Option<SpawnHandle>,
}

impl Timer {
    /// Sets the timer to `at`, unless it is set to that or something earlier already.
    pub(super) fn set<A: Actor<Context = Context<A>>>(
        &mut self,
        ctx: &mut Context<A>,
        now: Time,
        at: Option<Time>,
        wake: impl FnOnce(&mut A, &mut Context<A>) + 'static,
    ) {
        let Some(at) = at.filter(|at| *at < Time::FAR) else { return };
        let Due { at: set, setting } = self.due.get();
        if set.is_some_and(|set| set <= at && set > now) {
            return;
        }
        if let Some(handle) = self.handle.take().filter(|_| set.is_some()) {
            ctx.cancel_future(handle);
        }
        let setting = setting + 1;
        self.due.set(Due { at: Some(at), setting });
        let due = self.due.clone();
        self.handle = Some(ctx.run_later(at.since(now), move |actor, ctx| {
            if due.get().setting == setting && ctx.state() == actix::ActorState::Running {
                due.set(Due { at: None, setting });
                wake(actor, ctx);
            }
        }));
    }
}
