//! The caller's side of a place in the queue: dropping it frees the place.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use crate::core::broker::Refused;
use crate::core::past::Past;
use crate::engine::ticket::door::Door;
use crate::engine::ticket::gate::Permit;
use crate::engine::ticket::lease::{Grant, Waiter};
use crate::engine::ticket::messages::QueueMessage;
use crate::engine::ticket::seat::Seat;

/// The caller's side of a waiting request. Dropping it frees the place at once.
#[derive(Debug)]
pub(crate) struct Waiting {
    reply: oneshot::Receiver<Result<Grant, Refused>>,
    queue: Arc<Door<QueueMessage>>,
    seat: Arc<Seat>,
    settled: bool,
}

impl Waiting {
    pub(crate) fn new(queue: Arc<Door<QueueMessage>>, permit: Option<Permit>, past: Past) -> (Waiter, Self) {
        let (sender, reply) = oneshot::channel();
        let seat = Arc::new(Seat::default());
        let waiter = Waiter { reply: sender, seat: seat.clone(), _permit: permit, past };
        (waiter, Self { reply, queue, seat, settled: false })
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
            self.queue.send(QueueMessage::Cancel(self.seat.clone()));
        }
    }
}
