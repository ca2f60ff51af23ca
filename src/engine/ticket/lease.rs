//! The right to one attempt, from the queue's answer to its end: it ends by itself when dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::contract::provider::Provider;
use crate::core::broker::{Refused, Ride};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::outcome::Outcome;
use crate::core::past::Past;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::engine::ticket::door::Door;
use crate::engine::ticket::gate::Permit;
use crate::engine::ticket::seat::Seat;

/// The queue's side of a waiting request.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) reply: oneshot::Sender<Result<Grant, Refused>>,
    pub(crate) seat: Arc<Seat>,
    /// Held while it waits for its first dispatch; a retry was admitted before.
    pub(crate) _permit: Option<Permit>,
    /// Attempts and routes that the request has behind it.
    pub(crate) past: Past,
}

impl Waiter {
    pub(crate) fn refuse(self, refused: Refused) {
        // A caller that is gone needs no answer.
        drop(self.reply.send(Err(refused)));
    }
}

impl Ride for Waiter {
    fn past(&self) -> Past {
        self.past
    }

    fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    fn placed(&self, key: Key, not_before: Time) {
        self.seat.place(key, not_before);
    }

    fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }
}

/// A route, as callers see it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) provider_name: Arc<str>,
    pub(crate) upstream: Arc<str>,
    pub(crate) provider: Arc<dyn Provider>,
    /// Where leases are settled. Leases of the dispatcher's earlier lives, and of the same route with other settings of
    /// its provider, come here too: their end frees a slot.
    pub(crate) dispatcher: Arc<Door<RouteMessage>>,
}

/// A slot on a route: the caller may make one attempt.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) lease: Lease,
    pub(crate) attempt: u32,
    /// Whether no other attempt follows, whatever becomes of this one.
    pub(crate) last: bool,
    /// Attempts and routes behind the request, this one included.
    pub(crate) past: Past,
    /// Whether it tests a route that was closed.
    pub(crate) probe: bool,
    /// Charge of its tenant.
    pub(crate) charged: Cost,
    pub(crate) timeout: Duration,
    pub(crate) sent: Time,
}

/// The right to one dispatch. Settles exactly once: by [`settle`](Self::settle), or as cancelled on drop.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) route: Arc<Route>,
    pub(crate) key: Key,
    /// Life of the dispatcher that issued it.
    pub(crate) generation: u32,
    /// Its slot among those of all lives of the dispatcher; gone once the lease is settled.
    pub(crate) slot: Option<Permit>,
}

impl Lease {
    /// Says that the attempt goes on, and what it is to be charged by now.
    pub(crate) fn raise(&self, charged: Cost) {
        let raise = Raise { key: self.key, generation: self.generation, charged };
        self.route.dispatcher.send(RouteMessage::Raise(raise));
    }

    /// Ends the attempt; `retry` asks for another one.
    pub(crate) fn settle(mut self, report: Report, retry: Option<Retry>) {
        self.end(report, retry);
    }

    fn end(&mut self, report: Report, retry: Option<Retry>) {
        // The slot goes first, so that the dispatcher never counts one that it is being told is free.
        if self.slot.take().is_none() {
            return;
        }
        let settle = Settle { key: self.key, generation: self.generation, report, retry };
        self.route.dispatcher.send(RouteMessage::Settle(settle));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(Report::new(Outcome::Cancelled), None);
    }
}

/// All that callers send to the dispatcher of the route that serves them.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the frequent one")]
pub(crate) enum RouteMessage {
    Raise(Raise),
    Settle(Settle),
}

/// Caller → dispatcher: an attempt goes on, and has cost this much, which may be more than it was charged for.
#[derive(Debug)]
pub(crate) struct Raise {
    pub(crate) key: Key,
    pub(crate) generation: u32,
    pub(crate) charged: Cost,
}

/// Caller → dispatcher: an attempt ended.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) key: Key,
    pub(crate) generation: u32,
    pub(crate) report: Report,
    pub(crate) retry: Option<Retry>,
}

/// The wish for another attempt.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) tenant: Arc<str>,
    pub(crate) waiter: Waiter,
}
