//! The way to an actor: what callers, tickets and shared state hold instead of an address.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::oneshot;

/// Hands a message to its actor.
type Deliver<M> = Arc<dyn Fn(M) + Send + Sync>;

/// A door to whatever handles messages of one type, in its present life: an actor of this process.
///
/// A message that is sent while nothing is behind the door is dropped, with all that it carries: replies, leases, permits.
pub(crate) struct Door<M>(RwLock<Option<Deliver<M>>>);

impl<M> Door<M> {
    /// Leads all messages from here on to `deliver`.
    pub(crate) fn open(&self, deliver: impl Fn(M) + Send + Sync + 'static) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(deliver));
    }

    /// Leads messages nowhere from here on.
    pub(crate) fn close(&self) {
        let before = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(before);
    }

    /// Sends a message. It may be handled here and now, so the caller must hold no lock that a handler might want.
    pub(crate) fn send(&self, message: M) {
        let deliver = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(deliver) = deliver {
            deliver(message);
        }
    }

    /// Sends a question and waits for its answer; `None` where it is dropped unanswered.
    pub(crate) async fn ask<A>(&self, question: impl FnOnce(oneshot::Sender<A>) -> M) -> Option<A> {
        let (reply, answer) = oneshot::channel();
        self.send(question(reply));
        answer.await.ok()
    }
}

impl<M> Default for Door<M> {
    fn default() -> Self {
        Self(RwLock::new(None))
    }
}

impl<M> fmt::Debug for Door<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_leads_to_the_present_life_and_drops_what_nobody_takes() {
        let door: Door<oneshot::Sender<u32>> = Door::default();
        assert_eq!(door.ask(|reply| reply).await, None, "nothing is behind it");
        for life in [1, 2] {
            door.open(move |reply| assert!(reply.send(life).is_ok(), "it waits"));
            assert_eq!(door.ask(|reply| reply).await, Some(life));
        }
    }
}
