//! How the supervisor learns that an actor has ended, by whatever way.

use std::sync::Arc;

use actix::{Message, Recipient};

/// An actor, in one of its lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ActorId {
    /// A model's queue, in that life.
    Queue { model: Arc<str>, generation: u32 },
    /// A route's dispatcher, in that life.
    Dispatcher { model: Arc<str>, route: usize, generation: u32 },
    /// A provider's account, in that life.
    Account { provider: Arc<str>, generation: u32 },
}

/// Any actor → supervisor: the actor has ended.
#[derive(Debug)]
pub(crate) struct Exited(pub(crate) ActorId);

impl Message for Exited {
    type Result = ();
}

/// Sends [`Exited`] to the supervisor when the actor that owns it is dropped: stopped, panicked, or its arbiter gone.
#[derive(Debug)]
pub(crate) struct ExitNotice {
    supervisor: Recipient<Exited>,
    actor: ActorId,
}

impl ExitNotice {
    pub(crate) fn new(supervisor: Recipient<Exited>, actor: ActorId) -> Self {
        Self { supervisor, actor }
    }
}

impl Drop for ExitNotice {
    fn drop(&mut self) {
        self.supervisor.do_send(Exited(self.actor.clone()));
    }
}
