//! Events of the engine, for the embedder's own telemetry; they cost one atomic read where nobody listens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::reason::Reason;
use crate::clock::Clock;
use crate::core::outcome::Outcome;
use crate::core::verdict::Verdict;
use crate::core::window::ChangeKind;

/// Events kept for a listener that is behind; older ones are missed, and it is told how many.
const KEPT: usize = 1_024;

/// An event of the engine.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Time of the event, on tokio's clock.
    pub at: Instant,
    /// The model it concerns, by the name callers use.
    pub model: Arc<str>,
    /// Kind of the event, with its figures.
    pub kind: EventKind,
}

/// Kind of the event.
///
/// An admitted request is dispatched, settled, perhaps retried (and then dispatched again), or shed; one that was not
/// admitted is rejected. A request whose caller leaves while it waits just ends.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A request was given a slot, and its attempt begins.
    #[non_exhaustive]
    Dispatched {
        /// Tenant that pays.
        tenant: Arc<str>,
        /// The provider account it goes to.
        provider: Arc<str>,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Time spent waiting so far, over all attempts.
        waited: Duration,
    },
    /// An attempt ended, in whatever way.
    #[non_exhaustive]
    Settled {
        /// The provider account it went to.
        provider: Arc<str>,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// Dispatch to completion.
        service: Duration,
    },
    /// An attempt failed, and the request goes back to the queue for another.
    #[non_exhaustive]
    Retried {
        /// Tenant that pays.
        tenant: Arc<str>,
        /// The provider account that failed.
        provider: Arc<str>,
        /// Number of the attempt that failed, from 1.
        attempt: u32,
        /// How it failed.
        outcome: Outcome,
    },
    /// A route's window moved.
    #[non_exhaustive]
    WindowChanged {
        /// The route's provider account.
        provider: Arc<str>,
        /// Why.
        kind: ChangeKind,
        /// The window before, in requests in flight.
        from: u32,
        /// The window now.
        to: u32,
        /// Where it is held from here on: windows' worth of completions until it asks for more again.
        probe_in: Option<u32>,
    },
    /// A route sends nothing for a while, since its provider asked for that or its rate is used up.
    #[non_exhaustive]
    Held {
        /// The route's provider account.
        provider: Arc<str>,
        /// For how long, from now.
        wait: Duration,
    },
    /// An operator has lifted what held a route.
    #[non_exhaustive]
    Lifted {
        /// The route's provider account.
        provider: Arc<str>,
    },
    /// An answer was judged to concern more than its own request: a quota, money, the key, or a suspicion of that.
    #[non_exhaustive]
    Judged {
        /// The route's provider account.
        provider: Arc<str>,
        /// Verdict: the part of the system concerned, the matter, and the basis.
        verdict: Verdict,
    },
    /// A request was refused at admission.
    #[non_exhaustive]
    Rejected {
        /// Tenant that asked.
        tenant: Arc<str>,
        /// The reason of its refusal.
        reason: Reason,
    },
    /// A request was dropped after it had waited, or abandoned in an attempt since its caller's deadline had passed.
    #[non_exhaustive]
    Shed {
        /// Tenant that pays.
        tenant: Arc<str>,
        /// The reason of its refusal.
        reason: Reason,
        /// How long ago it was admitted.
        waited: Duration,
    },
}

/// A listener was too slow: that many events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the listener was too slow and missed {0} events")]
pub struct Missed(pub u64);

/// A listener; see [`Fairflow::events`](crate::Fairflow::events).
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    listeners: Arc<AtomicUsize>,
}

impl Events {
    /// Waits for the next event; `None` once the engine has stopped. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`Missed`] where this listener was more than about a thousand events behind; the next call goes on with the
    /// oldest that is left.
    pub async fn next(&mut self) -> Option<Result<Event, Missed>> {
        match self.receiver.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Lagged(missed)) => Some(Err(Missed(missed))),
            Err(RecvError::Closed) => None,
        }
    }

    /// Turns the listener into a stream that ends when the engine has stopped.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, Missed>> + Send + 'static {
        unfold(self, |mut events| async move { events.next().await.map(|event| (event, events)) })
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A broadcast that is made for its first listener.
#[derive(Debug, Default)]
struct Channel {
    sender: OnceLock<broadcast::Sender<Event>>,
    listeners: Arc<AtomicUsize>,
}

impl Channel {
    fn listen(&self) -> Events {
        let receiver = self.sender.get_or_init(|| broadcast::Sender::new(KEPT)).subscribe();
        self.listeners.fetch_add(1, Ordering::Relaxed);
        Events { receiver, listeners: self.listeners.clone() }
    }

    /// Tells what `event` says, where anybody listens.
    fn tell(&self, event: impl FnOnce() -> Event) {
        if self.listeners.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(sender) = self.sender.get() {
            // An error says that the last listener has just gone.
            drop(sender.send(event()));
        }
    }
}

/// Where events are told and heard.
///
/// Decisions of controllers go over a channel of their own too: they are rare, so that listening to them costs requests
/// nothing, and no flood of requests makes a listener miss them.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    all: Channel,
    decisions: Channel,
}

impl Hub {
    pub(crate) fn listen(&self) -> Events {
        self.all.listen()
    }

    pub(crate) fn decisions(&self) -> Events {
        self.decisions.listen()
    }
}

/// A model's way to the hub.
#[derive(Debug, Clone)]
pub(crate) struct Tap {
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Clock,
    pub(crate) model: Arc<str>,
}

impl Tap {
    /// Tells what `kind` says, where anybody listens.
    pub(crate) fn tell(&self, kind: impl FnOnce() -> EventKind) {
        self.hub.all.tell(|| self.event(kind()));
    }

    /// Tells what a controller decided, where anybody listens.
    pub(crate) fn decide(&self, kind: impl Fn() -> EventKind) {
        self.hub.all.tell(|| self.event(kind()));
        self.hub.decisions.tell(|| self.event(kind()));
    }

    fn event(&self, kind: EventKind) -> Event {
        Event { at: self.clock.instant(self.clock.now()), model: self.model.clone(), kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_listens_to_decisions_hears_nothing_else() {
        let hub: Arc<Hub> = Arc::default();
        let tap = Tap { hub: hub.clone(), clock: Clock::start(), model: "m".into() };
        let rejected = || EventKind::Rejected { tenant: "t".into(), reason: Reason::QueueFull };
        let held = || EventKind::Held { provider: "p".into(), wait: Duration::from_secs(1) };
        let mut decisions = hub.decisions();
        (0..2 * KEPT).for_each(|_| tap.tell(rejected));
        tap.decide(held);
        let heard = decisions.next().await.expect("the hub is there").expect("no flood hides it");
        assert_eq!((&*heard.model, heard.kind), ("m", held()));
        let mut all = hub.listen();
        tap.tell(rejected);
        tap.decide(held);
        for kind in [rejected(), held()] {
            assert_eq!(all.next().await.expect("the hub is there").expect("in time").kind, kind);
        }
    }
}
