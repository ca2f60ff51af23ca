//! Runware over one WebSocket: every task of the account on one connection, told apart by its `taskUUID`.
//!
//! A task of its own holds the connection; callers register, hand over a frame and wait for what bears their UUID. When
//! the connection breaks, the next one resumes the session, and the service sends what it owes; where the session is
//! lost, the frames go again, harmlessly, since a UUID stands for one task.

mod link;
mod pump;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use self::link::Address;
pub(super) use self::link::read;
use self::pump::Pump;
use super::Object;
use super::polled::is_result;
use super::refusals::{CONFLICT, code, coded};
use crate::config::{Endpoint, PollSettings};
use crate::provider::task::pace::{Budget, Pace};
use crate::provider::{Failure, Outcome};
use crate::task::results_wanted;

/// Most tasks under way on one connection.
const MOST_TASKS: usize = 10_000;
/// Frames handed over and not yet written.
const OUTBOX: usize = 256;
/// Answers to one task that its caller has not looked at yet.
const INBOX: usize = 64;

/// When to ask whether the other side lives, and when to take it for dead.
#[derive(Debug, Clone, Copy)]
struct Beat {
    every: Duration,
    dead: Duration,
}

/// As the official Python SDK has it, but for an interval that is no burden.
const BEAT: Beat = Beat { every: Duration::from_secs(10), dead: Duration::from_secs(30) };

/// The connection of one account.
#[derive(Debug)]
pub(super) struct Socket {
    shared: Arc<Shared>,
    outbox: Mutex<Option<mpsc::Sender<Frame>>>,
    poll: PollSettings,
    budget: Budget,
}

/// What callers and the connection's task share.
#[derive(Debug)]
struct Shared {
    address: Address,
    key: Option<SecretString>,
    beat: Beat,
    waiting: Mutex<HashMap<String, Waiter>>,
}

/// One caller.
#[derive(Debug)]
struct Waiter {
    events: mpsc::Sender<Event>,
    frame: String,
    /// Whether the frame was written.
    sent: bool,
    /// Whether it was written more than once.
    resent: bool,
}

/// A frame on its way out, and whose it is.
#[derive(Debug)]
struct Frame {
    uuid: String,
    /// `None` for the waiter's own.
    text: Option<String>,
}

/// What a caller hears.
#[derive(Debug)]
enum Event {
    Item(Object),
    Error(Object),
    Lost(Failure),
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    pub(super) fn new(endpoint: &Endpoint, poll: &PollSettings) -> Result<Self, String> {
        Self::with_beat(endpoint, poll, BEAT)
    }

    fn with_beat(endpoint: &Endpoint, poll: &PollSettings, beat: Beat) -> Result<Self, String> {
        let shared =
            Shared { address: Address::new(endpoint)?, key: endpoint.api_key.clone(), beat, waiting: Mutex::default() };
        let budget = Budget::new(poll.per_second);
        Ok(Self { shared: Arc::new(shared), outbox: Mutex::new(None), poll: poll.clone(), budget })
    }

    /// Sends a task and returns its results; `again` where an earlier attempt of the same request may have sent it.
    pub(super) async fn run(&self, task: &Object, again: bool) -> Result<Vec<Object>, Failure> {
        let text = |name: &str| task.get(name).and_then(Value::as_str).unwrap_or_default();
        let uuid = text("taskUUID").to_owned();
        let wanted = usize::try_from(results_wanted(task).clamp(1, 1_000)).unwrap_or(1);
        // Only what is asynchronous needs to be asked for; the rest comes by itself.
        let mut asking = text("deliveryMethod") == "async";
        let mut ticket = self.register(&uuid, json!([task]).to_string())?;
        self.hand_over(Frame { uuid: uuid.clone(), text: None }).await?;
        let mut pace = Pace::new(&self.poll);
        let mut items = Vec::new();
        loop {
            let pause = pace.wait(None, rand::random());
            let event = tokio::select! {
                event = ticket.events.recv() => event,
                () = tokio::time::sleep(pause), if asking => {
                    self.budget.turn().await;
                    let question = json!([{"taskType": "getResponse", "taskUUID": uuid}]).to_string();
                    self.hand_over(Frame { uuid: uuid.clone(), text: Some(question) }).await?;
                    continue;
                }
            };
            match event {
                Some(Event::Item(item)) => {
                    // The same result may come unasked and again on request.
                    if is_result(&item) && !items.iter().any(|known| is_same(known, &item)) {
                        items.push(item);
                    }
                    if items.len() >= wanted {
                        return Ok(items);
                    }
                }
                Some(Event::Error(answer)) if code(&answer) == CONFLICT && (again || self.resent(&uuid)) => {
                    asking = true;
                }
                Some(Event::Error(answer)) => {
                    let unknown = || Failure::new(Outcome::Overloaded, "the provider reported an error without a code");
                    return Err(coded(&answer, 400, &HeaderMap::new()).unwrap_or_else(unknown));
                }
                Some(Event::Lost(failure)) => return Err(failure),
                None => return Err(Failure::new(Outcome::Overloaded, "the connection to the provider was given up")),
            }
        }
    }

    fn resent(&self, uuid: &str) -> bool {
        self.shared.waiting().get(uuid).is_some_and(|waiter| waiter.resent)
    }

    fn register(&self, uuid: &str, frame: String) -> Result<Ticket, Failure> {
        let mut waiting = self.shared.waiting();
        if waiting.len() >= MOST_TASKS {
            return Err(Failure::new(
                Outcome::Throttled,
                format!("{MOST_TASKS} tasks are under way on one connection"),
            ));
        }
        if waiting.contains_key(uuid) {
            let message = format!("taskUUID {uuid:?} is under way; give each task its own");
            return Err(Failure::new(Outcome::Rejected, message));
        }
        let (sender, events) = mpsc::channel(INBOX);
        waiting.insert(uuid.to_owned(), Waiter { events: sender, frame, sent: false, resent: false });
        Ok(Ticket { shared: self.shared.clone(), uuid: uuid.to_owned(), events })
    }

    /// Hands a frame to the connection's task, which is started where none runs.
    async fn hand_over(&self, mut frame: Frame) -> Result<(), Failure> {
        loop {
            let sender = {
                let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
                match &*outbox {
                    Some(sender) if !sender.is_closed() => sender.clone(),
                    _ => {
                        let (sender, frames) = mpsc::channel(OUTBOX);
                        tokio::spawn(Pump::new(self.shared.clone(), frames).run());
                        outbox.insert(sender).clone()
                    }
                }
            };
            match sender.send(frame).await {
                Ok(()) => return Ok(()),
                Err(returned) => frame = returned.0,
            }
        }
    }
}

/// Says whether two objects are one result, told twice: by the id of what was made, where it has one.
fn is_same(one: &Object, other: &Object) -> bool {
    let id = |object: &Object| {
        let names = ["imageUUID", "videoUUID", "audioUUID", "mediaUUID"];
        names.into_iter().find_map(|name| object.get(name).cloned())
    };
    id(one).map_or_else(|| one == other, |found| id(other) == Some(found))
}

/// A caller's place; given up on drop.
#[derive(Debug)]
struct Ticket {
    shared: Arc<Shared>,
    uuid: String,
    events: mpsc::Receiver<Event>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.uuid);
    }
}
