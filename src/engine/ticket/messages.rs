//! Messages of callers and handles to a model's queue.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::lease::Waiter;
use super::seat::Seat;
use crate::config::Settings;
#[cfg(feature = "gateway")]
use crate::core::fair_queue::Claims;
use crate::core::fair_queue::{Class, Request, TenantLimits};
use crate::engine::view::capacity::{TenantLoad, TenantView};

/// A message to a model's queue.
#[derive(Debug)]
pub(crate) enum QueueMessage {
    /// A request wants a slot.
    Submit(Request<Waiter>),
    /// The caller that waited in this seat has gone.
    Cancel(Arc<Seat>),
    /// Tenants may have other limits now, also tenants whose jobs wait already.
    Relimit(Relimit),
    /// A drain's time is up: everything that waits is refused with `no_capacity`.
    Shed,
    /// Somebody wants to see the model as it is now.
    Show,
    /// A question about tenants.
    Ask(Question),
}

/// A question to a model's queue, with where its answer goes.
#[derive(Debug)]
pub(crate) enum Question {
    /// Asks what a tenant has, and how long it would wait.
    Inspect(Inspect, oneshot::Sender<TenantView>),
    /// Asks which tenants have the most in flight.
    TopTenants { most: usize, reply: oneshot::Sender<Vec<TenantLoad>> },
    /// Asks what every tenant has and claims.
    #[cfg(feature = "gateway")]
    Claims(oneshot::Sender<Claims>),
}

impl Question {
    /// Answers for a queue in which nobody has anything.
    pub(crate) fn answer_empty(self) {
        // An answer that nobody waits for any more is dropped.
        match self {
            Self::Inspect(_, reply) => drop(reply.send(TenantView::default())),
            Self::TopTenants { reply, .. } => drop(reply.send(Vec::new())),
            #[cfg(feature = "gateway")]
            Self::Claims(reply) => drop(reply.send(Claims::default())),
        }
    }
}

/// Tenants' limits are to be looked up anew.
#[derive(Debug)]
pub(crate) struct Relimit {
    pub(crate) settings: Arc<Settings>,
    /// The tenant concerned; `None` for all.
    pub(crate) only: Option<Arc<str>>,
}

/// A tenant and its policy, of which a question is.
#[derive(Debug)]
pub(crate) struct Inspect {
    pub(crate) tenant: Arc<str>,
    pub(crate) limits: TenantLimits,
    pub(crate) class: Class,
}
