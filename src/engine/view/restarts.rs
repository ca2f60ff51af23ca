//! Counters of actors that ended in service and were restarted.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorKind {
    /// The queue of a model.
    Queue,
    /// The dispatcher of a route.
    Dispatcher,
    /// The account of a provider.
    Account,
}

impl ActorKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::Queue, Self::Dispatcher, Self::Account];

    /// Returns the name used as a metric label and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Dispatcher => "dispatcher",
            Self::Account => "account",
        }
    }
}

/// A cause for which an actor ended in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitCause {
    /// A fault: it panicked.
    Panic,
    /// The actor was stopped, since its account was restarted.
    Stop,
}

impl ExitCause {
    /// Every cause.
    pub const ALL: &'static [Self] = &[Self::Panic, Self::Stop];

    /// Returns the name used as a metric label and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Stop => "stop",
        }
    }
}

/// Restarts of one kind of actor for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestartCount {
    /// The kind of actor.
    pub actor: ActorKind,
    /// The cause.
    pub cause: ExitCause,
    /// Restarts since the engine started.
    pub count: u64,
}

/// The restarts of one engine.
#[derive(Debug, Default)]
pub(crate) struct Restarts([[AtomicU64; ExitCause::ALL.len()]; ActorKind::ALL.len()]);

impl Restarts {
    pub(crate) fn count(&self, actor: ActorKind, cause: ExitCause) {
        self.0[actor as usize][cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the restarts of every kind for every cause.
    pub(crate) fn all(&self) -> Vec<RestartCount> {
        let of = |actor: ActorKind| {
            let count = move |cause: ExitCause| self.0[actor as usize][cause as usize].load(Ordering::Relaxed);
            ExitCause::ALL.iter().map(move |&cause| RestartCount { actor, cause, count: count(cause) })
        };
        ActorKind::ALL.iter().copied().flat_map(of).collect()
    }
}
