//! Streams that hold their slot: it ends with the stream, at once when the stream is dropped, and when nothing comes of it.
//!
//! A stream is watched by a task of its own: nobody may be there to poll it, since a caller that does not read what it
//! asked for does not look at the provider either.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::StreamExt;
use tokio::task::AbortHandle;

use crate::contract::failure::Failure;
use crate::contract::provider::Pieces;
use crate::contract::streams::Streams;
use crate::core::cost::Cost;
use crate::core::outcome::Outcome;
use crate::core::time::Time;
use crate::engine::caller::slot::Settling;
use crate::task::Usage;

/// Work behind a piece of a stream.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Work that went into it.
    pub(crate) units: u64,
    /// Usage and cost of the whole generation.
    pub(crate) end: Option<(Usage, Option<Cost>)>,
    /// Whether the piece brings the generation no further.
    pub(crate) is_idle: bool,
    /// Failure of the generation, where the piece tells one.
    pub(crate) broken: Option<Failure>,
}

/// A stream with the slot that serves it; `read` reads what its pieces tell.
struct Held<T, F> {
    shared: Arc<Mutex<Shared<T>>>,
    read: F,
    watch: AbortHandle,
}

/// State that a stream and its watch share.
struct Shared<T> {
    /// Taken when the stream ends; dropped with the stream otherwise, which counts as cancelled.
    running: Option<Running<T>>,
    /// Longest time from one piece to the next.
    patience: Duration,
    /// When it is over.
    due: Time,
    /// Task that waits for the provider's next piece.
    waiting: Option<Waker>,
    /// The last pieces said nothing.
    is_idle: bool,
    /// Failure of a stream that the watch has ended, for its caller.
    cut: Option<Failure>,
}

struct Running<T> {
    inner: Pieces<T>,
    settling: Settling,
    /// The provider has said that it failed.
    broken: Option<Failure>,
}

impl<T> Running<T> {
    fn end(self) {
        match self.broken {
            Some(failure) => self.settling.slot.fail(&failure),
            None => self.settling.done(),
        }
    }
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T, F: FnMut(&T) -> Told + Unpin> Stream for Held<T, F> {
    type Item = Result<T, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let shared = &mut *lock(&this.shared);
        if let Some(failure) = shared.cut.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let Some(running) = &mut shared.running else { return Poll::Ready(None) };
        let Poll::Ready(item) = running.inner.poll_next_unpin(cx) else {
            if shared.waiting.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
                shared.waiting = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        shared.waiting = None;
        match &item {
            Some(Ok(piece)) => {
                let Told { units, end, is_idle, broken } = (this.read)(piece);
                let settling = &mut running.settling;
                settling.slot.spend(units);
                if let Some((usage, cost)) = end {
                    settling.slot.tell(usage);
                    (settling.usage, settling.cost) = (settling.slot.told(), cost);
                }
                running.broken = broken.or(running.broken.take());
                shared.is_idle = is_idle;
                if !is_idle {
                    shared.due = settling.slot.now() + shared.patience;
                }
            }
            Some(Err(failure)) => {
                if let Some(running) = shared.running.take() {
                    running.settling.slot.fail(failure);
                }
            }
            None => {
                if let Some(running) = shared.running.take() {
                    running.end();
                }
            }
        }
        Poll::Ready(item)
    }
}

impl<T, F> Drop for Held<T, F> {
    /// The watch keeps what is shared for a moment yet; the slot and the call are free now.
    fn drop(&mut self) {
        self.watch.abort();
        let running = lock(&self.shared).running.take();
        drop(running);
    }
}

impl<T> Shared<T> {
    /// Ends the stream where its time is over, and with it the call to the provider and the slot.
    fn give_up(&mut self, now: Time) -> Option<Waker> {
        if now < self.due {
            return None;
        }
        let Running { inner, settling, .. } = self.running.take()?;
        drop(inner);
        let patience = self.patience;
        self.cut = Some(if self.waiting.is_some() || self.is_idle {
            let message = format!("the provider sent nothing new for {patience:.1?}");
            let failure = Failure { timed_out: true, ..Failure::new(Outcome::Overloaded, message) };
            settling.slot.fail(&failure);
            failure
        } else {
            // The provider may well have more to say: this is the caller's doing, and counts as if it had left.
            drop(settling);
            Failure::new(Outcome::Cancelled, format!("the stream was not read for {patience:.1?}"))
        });
        self.waiting.take()
    }
}

/// Holds the slot of an answer that comes in pieces until it ends. It ends by itself when for as long as an attempt may
/// take no piece has come that tells anything.
pub(crate) fn hold_with<T: Send + 'static>(
    inner: Pieces<T>,
    settling: Settling,
    read: impl FnMut(&T) -> Told + Send + Unpin + 'static,
) -> Pieces<T> {
    let (patience, clock) = (settling.slot.patience(), settling.slot.clock());
    let running = Some(Running { inner, settling, broken: None });
    let due = clock.now() + patience;
    let shared = Shared { running, patience, due, waiting: None, is_idle: false, cut: None };
    let shared = Arc::new(Mutex::new(shared));
    let watched = shared.clone();
    let watch = tokio::spawn(async move {
        loop {
            let due = lock(&watched).due;
            tokio::time::sleep_until(clock.instant(due)).await;
            let (woken, over) = {
                let mut shared = lock(&watched);
                (shared.give_up(clock.now()), shared.running.is_none())
            };
            if let Some(caller) = woken {
                caller.wake();
            }
            if over {
                return;
            }
        }
    });
    Box::pin(Held { shared, read, watch: watch.abort_handle() })
}

/// Holds the slot of a task that is streamed until it ends.
pub(crate) fn hold<T: Streams>(inner: Pieces<T::Piece>, settling: Settling) -> Pieces<T::Piece> {
    hold_with(inner, settling, |piece| Told {
        units: T::units(piece),
        end: T::usage(piece).map(|usage| (usage, T::spent(usage))),
        ..Told::default()
    })
}
