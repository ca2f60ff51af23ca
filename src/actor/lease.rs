//! The caller's side of a place in the queue and of a slot: both end by themselves when dropped.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix::{Addr, Handler, Message};
use tokio::sync::oneshot;

use super::dispatcher::Dispatcher;
use super::messages::{Cancel, Raise, Settle};
use super::provider::Provider;
use super::registry::Model;
use crate::core::broker::{Past, Refused, Ride};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::outcome::Outcome;
use crate::core::report::Report;
use crate::core::time::Time;

/// Counts the permits that are out: of requests that wait for one model, the bound that a mailbox does not have, and of the
/// slots of a route.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicUsize);

impl Gate {
    /// Lets one more in, unless `capacity` wait already.
    pub(crate) fn enter(self: &Arc<Self>, capacity: usize) -> Option<Permit> {
        let entered = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < capacity).then_some(n + 1));
        entered.is_ok().then(|| Permit(self.clone()))
    }

    /// Lets one more in, however many there are.
    pub(crate) fn pass(self: &Arc<Self>) -> Permit {
        self.0.fetch_add(1, Ordering::Relaxed);
        Permit(self.clone())
    }

    /// Returns how many permits are out.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One permit of a [`Gate`]; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Gate>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where in the queue a request sits. The queue writes it, the caller hands it back to cancel: so cancelling needs no
/// index of requests. A retry finds here when its backoff ends.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    key: AtomicU64,
    /// Until when a retry backs off, in nanoseconds of the engine's clock.
    not_before: AtomicU64,
}

impl Seat {
    /// Returns until when a retry backs off; the engine's start where none does.
    pub(crate) fn not_before(&self) -> Time {
        Time::from_nanos(self.not_before.load(Ordering::Relaxed))
    }

    pub(crate) fn key(&self) -> Option<Key> {
        match self.key.load(Ordering::Relaxed) {
            0 => None,
            bits => Some(Key::from_bits(bits)),
        }
    }
}

/// The queue's side of a waiting request.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) reply: oneshot::Sender<Result<Grant, Refused>>,
    pub(crate) seat: Arc<Seat>,
    /// Held while it waits for its first dispatch; a retry was admitted before.
    pub(crate) _permit: Option<Permit>,
    /// What its earlier attempts left behind.
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
        self.seat.key.store(key.to_bits(), Ordering::Relaxed);
        self.seat.not_before.store(not_before.as_nanos(), Ordering::Relaxed);
    }

    fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }
}

/// The caller's side of a waiting request. Dropping it frees the place at once.
#[derive(Debug)]
pub(crate) struct Waiting {
    reply: oneshot::Receiver<Result<Grant, Refused>>,
    model: Arc<Model>,
    seat: Arc<Seat>,
    settled: bool,
}

impl Waiting {
    pub(crate) fn new(model: Arc<Model>, permit: Option<Permit>, past: Past) -> (Waiter, Self) {
        let (sender, reply) = oneshot::channel();
        let seat = Arc::new(Seat::default());
        let waiter = Waiter { reply: sender, seat: seat.clone(), _permit: permit, past };
        (waiter, Self { reply, model, seat, settled: false })
    }

    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Future for Waiting {
    /// A slot, a refusal, or `None` when the actor that held the request is no more.
    type Output = Option<Result<Grant, Refused>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.reply).poll(cx)).ok();
        self.settled = true;
        Poll::Ready(answer)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.settled {
            self.model.send(Cancel { seat: self.seat.clone() });
        }
    }
}

/// One way to reach a model, as callers see it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) provider_name: Arc<str>,
    pub(crate) upstream: Arc<str>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) dispatcher: Door,
}

/// Where leases are settled: the address of a route's dispatcher in its present life. Leases of earlier lives, and of
/// the same route reached otherwise, come here too: their end frees a slot.
pub(crate) type Door = Arc<RwLock<Option<Addr<Dispatcher>>>>;

/// A slot on a route: the caller may make one attempt.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) lease: Lease,
    pub(crate) attempt: u32,
    /// What it leaves behind, this route included.
    pub(crate) past: Past,
    /// Whether it tests a route that was closed.
    pub(crate) probe: bool,
    /// What its tenant is charged.
    pub(crate) charged: Cost,
    pub(crate) timeout: Duration,
    pub(crate) sent: Time,
}

/// The right to one dispatch. Settles exactly once: by [`settle`](Self::settle), or as cancelled on drop.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) route: Arc<Route>,
    pub(crate) key: Key,
    /// Which life of the dispatcher issued it.
    pub(crate) generation: u32,
    /// Its slot among those of all lives of the dispatcher; gone once the lease is settled.
    pub(crate) slot: Option<Permit>,
}

impl Lease {
    /// Says that the attempt goes on, and what it is to be charged by now.
    pub(crate) fn raise(&self, charged: Cost) {
        self.tell(Raise { key: self.key, generation: self.generation, charged });
    }

    /// Ends the attempt; `retry` asks for another one.
    pub(crate) fn settle(mut self, report: Report, retry: Option<Waiter>) {
        self.end(report, retry);
    }

    fn end(&mut self, report: Report, retry: Option<Waiter>) {
        // The slot goes first, so that the dispatcher never counts one that it is being told is free.
        if self.slot.take().is_none() {
            return;
        }
        self.tell(Settle { key: self.key, generation: self.generation, report, retry });
    }

    fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Dispatcher: Handler<M>,
    {
        let dispatcher = self.route.dispatcher.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(dispatcher) = &*dispatcher {
            dispatcher.do_send(message);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(Report::new(Outcome::Cancelled), None);
    }
}
