//! One timer per actor: futures spawned on a context share a waker, so there must not be many.

use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle};

use crate::core::time::Time;

/// Wakes an actor at the earliest time asked for. A timer that fires late or for nothing does no harm: what it calls
/// looks at the clock.
#[derive(Debug, Default)]
pub(super) struct Timer {
    set: Option<(Time, SpawnHandle)>,
    generation: u64,
}

impl Timer {
    /// Sets the timer to `at`, unless it is set to that or something earlier already.
    pub(super) fn set<A>(
        &mut self,
        ctx: &mut Context<A>,
        now: Time,
        at: Option<Time>,
        wake: impl FnOnce(&mut A, &mut Context<A>) + 'static,
    ) where
        A: Actor<Context = Context<A>> + HasTimer,
    {
        let Some(at) = at.filter(|at| *at < Time::FAR) else { return };
        if let Some((set, handle)) = self.set {
            if set <= at && set > now {
                return;
            }
            ctx.cancel_future(handle);
        }
        self.generation += 1;
        let generation = self.generation;
        let handle = ctx.run_later(at.since(now), move |actor, ctx| {
            // A cancelled timer can still fire in the poll that cancelled it.
            if actor.timer().generation != generation || ctx.state() != actix::ActorState::Running {
                return;
            }
            actor.timer().set = None;
            wake(actor, ctx);
        });
        self.set = Some((at, handle));
    }
}

/// An actor with its one timer.
pub(super) trait HasTimer {
    fn timer(&mut self) -> &mut Timer;
}
