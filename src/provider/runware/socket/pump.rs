//! The task that holds the connection: frames out, answers to whom they belong, a heartbeat, and a new connection when
//! the old one is gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;

use super::link::Stream;
use super::{Event, Frame, Object, Shared};
use crate::provider::Failure;
use crate::provider::runware::objects;

/// Connections in a row that may fail before the callers are told.
const MOST_FAILURES: u32 = 3;
/// Wait before the second try to connect; it doubles.
const BACKOFF: Duration = Duration::from_millis(200);

pub(super) struct Pump {
    shared: Arc<Shared>,
    frames: mpsc::Receiver<Frame>,
    session: Option<String>,
    /// A frame that ended a time without a connection.
    first: Option<Frame>,
}

impl Pump {
    pub(super) fn new(shared: Arc<Shared>, frames: mpsc::Receiver<Frame>) -> Self {
        Self { shared, frames, session: None, first: None }
    }

    /// Runs until the account is no more, or no connection can be had.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            match self.shared.address.open(self.shared.key.as_ref(), self.session.as_deref()).await {
                Ok((stream, session)) => {
                    failures = 0;
                    let resumed = self.session.as_deref() == Some(&session);
                    self.session = Some(session);
                    if self.hold(stream, resumed).await.is_none() {
                        return;
                    }
                    tracing::info!(address = ?self.shared.address, "the provider's socket closed; connecting anew");
                    if self.shared.waiting().is_empty() {
                        self.first = self.frames.recv().await;
                        if self.first.is_none() {
                            return;
                        }
                    }
                }
                Err(failure) => {
                    failures += 1;
                    // A refused key stays refused.
                    if failures >= MOST_FAILURES || failure.verdict.scope.is_account() {
                        return self.give_up(&failure);
                    }
                    tokio::time::sleep(BACKOFF * 2u32.pow(failures - 1)).await;
                }
            }
        }
    }

    /// Serves one connection until it breaks; `None` when the account is no more.
    async fn hold(&mut self, mut stream: Stream, resumed: bool) -> Option<()> {
        if !resumed {
            for text in self.owed() {
                if stream.send(Message::text(text)).await.is_err() {
                    return Some(());
                }
            }
        }
        if let Some(text) = self.first.take().and_then(|frame| self.text_of(frame))
            && stream.send(Message::text(text)).await.is_err()
        {
            return Some(());
        }
        let mut beat = interval(self.shared.beat.every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        let mut heard = now();
        loop {
            tokio::select! {
                frame = self.frames.recv() => {
                    let text = self.text_of(frame?);
                    if let Some(text) = text && stream.send(Message::text(text)).await.is_err() {
                        return Some(());
                    }
                }
                message = stream.next() => {
                    heard = now();
                    match message {
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Some(()),
                        Some(Ok(message)) => {
                            if let Some(frame) = self.shared.address.object(message) {
                                self.pass_on(frame);
                            }
                        }
                    }
                }
                _ = beat.tick() => {
                    let silent = now().duration_since(heard) > self.shared.beat.dead;
                    let ping = json!([{"taskType": "ping", "ping": true}]).to_string();
                    if silent || stream.send(Message::text(ping)).await.is_err() {
                        return Some(());
                    }
                }
            }
        }
    }

    /// Returns what to write for a frame; nothing when its caller has left.
    fn text_of(&self, frame: Frame) -> Option<String> {
        let mut waiting = self.shared.waiting();
        let waiter = waiting.get_mut(&frame.uuid)?;
        if frame.text.is_some() {
            return frame.text;
        }
        waiter.sent = true;
        Some(waiter.frame.clone())
    }

    /// Returns the tasks that a lost session has lost too, in a fixed order.
    fn owed(&self) -> Vec<String> {
        let mut waiting = self.shared.waiting();
        let mut owed: Vec<_> = waiting.iter_mut().filter(|(_, waiter)| waiter.sent).collect();
        owed.sort_by(|one, other| one.0.cmp(other.0));
        let again = |(_, waiter): (&String, &mut super::Waiter)| {
            waiter.resent = true;
            waiter.frame.clone()
        };
        owed.into_iter().map(again).collect()
    }

    /// Gives each answer to the caller whose UUID it bears.
    fn pass_on(&self, mut frame: Object) {
        let waiting = self.shared.waiting();
        let tell = |object: &Object, event: Event| {
            let waiter = object.get("taskUUID").and_then(Value::as_str).and_then(|uuid| waiting.get(uuid));
            if waiter.is_some_and(|waiter| waiter.events.try_send(event).is_err()) {
                tracing::warn!("an answer came that its caller had no room for");
            }
        };
        for item in objects(frame.remove("data")).unwrap_or_default() {
            tell(&item.clone(), Event::Item(item));
        }
        for error in objects(frame.remove("errors")).unwrap_or_default() {
            let answer = Map::from_iter([("errors".to_owned(), json!([error]))]);
            tell(&error, Event::Error(answer));
        }
    }

    /// Takes no more frames and tells the callers of those that are left.
    fn give_up(&mut self, failure: &Failure) {
        self.frames.close();
        while self.frames.try_recv().is_ok() {}
        let mut waiting = self.shared.waiting();
        let mut uuids: Vec<String> = waiting.keys().cloned().collect();
        uuids.sort();
        for waiter in uuids.iter().filter_map(|uuid| waiting.remove(uuid)) {
            // A caller without room or gone finds its channel closed.
            drop(waiter.events.try_send(Event::Lost(failure.clone())));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a provider is outside the engine")]
fn now() -> Instant {
    Instant::now()
}
