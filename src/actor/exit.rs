//! How the supervisor learns that an actor has ended, by whatever way.

use std::fmt;
use std::sync::Arc;

use actix::{Message, Recipient};

use crate::engine::view::restarts::{ActorKind, ExitCause};

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

impl ActorId {
    pub(crate) const fn kind(&self) -> ActorKind {
        match self {
            Self::Queue { .. } => ActorKind::Queue,
            Self::Dispatcher { .. } => ActorKind::Dispatcher,
            Self::Account { .. } => ActorKind::Account,
        }
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().as_str();
        match self {
            Self::Queue { model, .. } => write!(f, "{kind} of model {model}"),
            Self::Dispatcher { model, route, .. } => write!(f, "{kind} of model {model}, route {route}"),
            Self::Account { provider, .. } => write!(f, "{kind} of provider {provider}"),
        }
    }
}

/// Any actor → supervisor: the actor has ended.
#[derive(Debug)]
pub(crate) struct Exited {
    pub(crate) actor: ActorId,
    pub(crate) cause: ExitCause,
}

impl Message for Exited {
    type Result = ();
}

/// Sends [`Exited`] to the supervisor when the actor that it is of has ended and drops it.
#[derive(Debug)]
pub(crate) struct ExitNotice {
    supervisor: Recipient<Exited>,
    actor: ActorId,
    pub(super) cause: ExitCause,
}

impl ExitNotice {
    pub(crate) fn new(supervisor: Recipient<Exited>, actor: ActorId) -> Self {
        Self { supervisor, actor, cause: ExitCause::Stop }
    }
}

impl Drop for ExitNotice {
    fn drop(&mut self) {
        self.supervisor.do_send(Exited { actor: self.actor.clone(), cause: self.cause });
    }
}
