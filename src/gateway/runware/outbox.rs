//! Frames that wait to be sent, bounded in bytes.
//!
//! They wait here and not in the connection, so that they outlive it: whoever resumes the session gets them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// A frame for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Text(Bytes),
    Pong(Bytes),
}

impl Frame {
    fn len(&self) -> usize {
        let (Self::Text(bytes) | Self::Pong(bytes)) = self;
        // With what keeping it takes: a flood of small ones is bounded too.
        bytes.len() + 64
    }
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    overflowed: bool,
    /// The number of the connection that sends; older connections have been taken over from.
    sender: u64,
}

/// The frames of one session.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
    limit: usize,
}

/// The next step of the sending connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Send(Frame),
    /// The client reads too slowly: everything was dropped.
    Overflowed,
    /// Another connection sends now.
    TakenOver,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { queue: Mutex::default(), changed: Notify::new(), limit }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame. One that does not fit beside others ends the session; alone, any frame fits.
    pub(super) fn push(&self, frame: Frame) {
        let mut queue = self.queue();
        if queue.overflowed {
            return;
        }
        if !queue.frames.is_empty() && queue.bytes + frame.len() > self.limit {
            queue.frames.clear();
            (queue.bytes, queue.overflowed) = (0, true);
        } else {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
        }
        drop(queue);
        self.changed.notify_waiters();
    }

    /// Takes over the sending and returns the number to send with.
    pub(super) fn attach(&self) -> u64 {
        let mut queue = self.queue();
        queue.sender += 1;
        let number = queue.sender;
        drop(queue);
        self.changed.notify_waiters();
        number
    }

    /// Waits for what to send; it stays in the box until [`sent`](Self::sent).
    pub(super) async fn next(&self, sender: u64) -> Next {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, or a push in between would be missed.
            changed.as_mut().enable();
            {
                let queue = self.queue();
                if queue.sender != sender {
                    return Next::TakenOver;
                }
                if queue.overflowed {
                    return Next::Overflowed;
                }
                if let Some(frame) = queue.frames.front() {
                    return Next::Send(frame.clone());
                }
            }
            changed.await;
        }
    }

    /// Drops the first frame, unless somebody else sends by now.
    pub(super) fn sent(&self, sender: u64) {
        let mut queue = self.queue();
        if queue.sender == sender
            && let Some(frame) = queue.frames.pop_front()
        {
            queue.bytes -= frame.len();
        }
    }

    /// Waits until more was put in than fits.
    pub(super) async fn overflow(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has_overflowed() {
                return;
            }
            changed.await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue().frames.is_empty()
    }

    pub(super) fn has_overflowed(&self) -> bool {
        self.queue().overflowed
    }

    /// Says whether nobody has attached since.
    pub(super) fn is_last(&self, sender: u64) -> bool {
        self.queue().sender == sender
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn text(size: usize) -> Frame {
        Frame::Text(vec![b'x'; size].into())
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_bounded() {
        let outbox = Outbox::new(1_000);
        let sender = outbox.attach();
        outbox.push(text(5_000));
        assert!(matches!(outbox.next(sender).await, Next::Send(_)), "alone any frame fits");
        outbox.sent(sender);
        for _ in 0..8 {
            outbox.push(text(50));
        }
        assert!(!outbox.has_overflowed() && !outbox.is_empty());
        outbox.push(text(100));
        assert_eq!((outbox.next(sender).await, outbox.is_empty()), (Next::Overflowed, true));
        outbox.push(text(1));
        assert!(outbox.is_empty(), "nothing more is kept");
    }

    #[tokio::test]
    async fn what_was_not_sent_goes_to_who_resumes() {
        let outbox = Outbox::new(1_000);
        let first = outbox.attach();
        outbox.push(text(1));
        outbox.push(text(2));
        assert_eq!(outbox.next(first).await, Next::Send(text(1)));
        let second = outbox.attach();
        assert_eq!(outbox.next(first).await, Next::TakenOver);
        outbox.sent(first);
        for size in 1..=2 {
            assert_eq!(outbox.next(second).await, Next::Send(text(size)));
            outbox.sent(second);
        }
        assert!(outbox.next(second).now_or_never().is_none());
    }
}
