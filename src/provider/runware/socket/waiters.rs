//! Callers that wait for their tasks on a connection, and the one that an answer belongs to.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderMap;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::provider::http::remedy;
use crate::provider::runware::common::is_under_way;
use crate::provider::runware::refusals::failure;
use crate::provider::runware::told::{Fault, Told, is_result, text};
use crate::provider::{Failure, Outcome};

/// Most tasks under way on one connection.
const MOST_TASKS: usize = 10_000;
/// Most tasks that are remembered of callers that left; the oldest is forgotten first.
const MOST_GONE: usize = 256;
/// Answers to one task that its caller has not looked at yet.
const INBOX: usize = 64;

/// An event that a caller is told.
#[derive(Debug)]
pub(super) enum Event {
    Told(Told),
    /// Its frame goes again.
    SentAgain,
    /// The connection broke just after its frame was written: only asking tells whether it was read.
    InDoubt,
    Lost(Failure),
}

/// A caller that waits for its task.
#[derive(Debug)]
pub(super) struct Waiter {
    events: mpsc::Sender<Event>,
    kind: String,
    pub(super) frame: Utf8Bytes,
    /// How often its frame was written.
    pub(super) sends: u32,
    /// When its frame was last written, as long as nothing has been heard of it since.
    pub(super) unheard: Option<Instant>,
    /// Whether it is asked for.
    pub(super) is_asked: bool,
    /// Connections in a row that closed upon its frame, or upon others written with it.
    pub(super) suspicions: u32,
}

impl Waiter {
    /// Builds the place of a caller whose task is of the type `kind`, and what it hears from.
    pub(super) fn new(kind: &str, frame: String, suspicions: u32) -> (Self, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(INBOX);
        let (kind, frame) = (kind.to_owned(), frame.into());
        (Self { events: sender, kind, frame, sends: 0, unheard: None, is_asked: false, suspicions }, events)
    }

    /// Tells its caller; says whether that had room.
    pub(super) fn tell(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }

    fn heard(&mut self) {
        (self.unheard, self.suspicions) = (None, 0);
    }
}

/// All callers, by the UUIDs of their tasks.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    all: Mutex<HashMap<String, Waiter>>,
    /// Tasks that were written to this connection and not heard of when their callers left, the latest last.
    gone: Mutex<VecDeque<(String, Instant)>>,
}

/// A caller's place; given up on drop.
#[derive(Debug)]
pub(super) struct Ticket {
    waiters: Arc<Waiters>,
    uuid: String,
    events: mpsc::Receiver<Event>,
}

impl Ticket {
    /// Waits for what its caller hears next; `None` when it was told more than there was room for.
    pub(super) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let left = self.waiters.all().remove(&self.uuid);
        if let Some(written) = left.and_then(|waiter| waiter.unheard) {
            let mut gone = self.waiters.gone();
            if gone.len() >= MOST_GONE {
                gone.pop_front();
            }
            gone.push_back((std::mem::take(&mut self.uuid), written));
        }
    }
}

impl Waiters {
    /// Locks the tasks whose callers have left; never before [`all`](Self::all).
    pub(super) fn gone(&self) -> MutexGuard<'_, VecDeque<(String, Instant)>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> MutexGuard<'_, HashMap<String, Waiter>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a caller its place, for the task `uuid`.
    ///
    /// # Errors
    ///
    /// The failure of a task whose UUID is under way, or of one task too many.
    pub(super) fn register(
        self: &Arc<Self>,
        uuid: &str,
        (waiter, events): (Waiter, mpsc::Receiver<Event>),
    ) -> Result<Ticket, Failure> {
        let mut all = self.all();
        if all.len() >= MOST_TASKS {
            let message = format!("{MOST_TASKS} tasks are under way on one connection");
            return Err(Failure::new(Outcome::Throttled, message));
        }
        if all.contains_key(uuid) {
            return Err(is_under_way(uuid));
        }
        all.insert(uuid.to_owned(), waiter);
        Ok(Ticket { waiters: self.clone(), uuid: uuid.to_owned(), events })
    }

    /// Gives what an answer tells to those it belongs to, and says whether that brought anybody a result or an error.
    pub(super) fn pass_on(&self, told: Told) -> bool {
        let mut all = self.all();
        let mut parts: BTreeMap<String, Told> = BTreeMap::new();
        let mut ambiguous: Vec<(String, Failure)> = Vec::new();
        for item in told.items {
            let uuid = text(&item, "taskUUID");
            if all.contains_key(uuid) {
                parts.entry(uuid.to_owned()).or_default().items.push(item);
            }
        }
        for fault in told.errors {
            let meant = meant(&all, &fault);
            let unclear = (meant.len() > 1).then(|| unclear(&fault)).flatten();
            for uuid in meant {
                match &unclear {
                    Some(failure) => ambiguous.push((uuid, failure.clone())),
                    None => parts.entry(uuid).or_default().errors.push(fault.clone()),
                }
            }
        }
        let mut has_delivered = !ambiguous.is_empty();
        for (uuid, failure) in ambiguous {
            has_delivered |= all.remove(&uuid).is_some_and(|waiter| waiter.tell(Event::Lost(failure)));
        }
        for (uuid, part) in parts {
            let Some(waiter) = all.get_mut(&uuid) else { continue };
            has_delivered |= !part.errors.is_empty() || part.items.iter().any(|item| is_result(item, &waiter.kind));
            waiter.heard();
            if !waiter.tell(Event::Told(part)) {
                tracing::warn!(task = uuid, "a task is given up: its answers come faster than they are read");
                all.remove(&uuid);
            }
        }
        has_delivered
    }

    /// Ends all tasks with one failure.
    pub(super) fn lose_all(&self, failure: &Failure) {
        let mut all = self.all();
        let mut uuids: Vec<String> = all.keys().cloned().collect();
        uuids.sort();
        for waiter in uuids.iter().filter_map(|uuid| all.remove(uuid)) {
            // A caller without room finds its channel closed.
            let failure = failure.clone();
            waiter.tell(Event::Lost(if waiter.sends == 0 { unsent(failure) } else { failure }));
        }
    }

    /// Ends one task with a failure.
    pub(super) fn lose(&self, uuid: &str, failure: Failure) {
        if let Some(waiter) = self.all().remove(uuid) {
            waiter.tell(Event::Lost(failure));
        }
    }
}

/// Returns the tasks that an error can be of: the one that it names, or else those of its type, of which those are meant
/// that nothing has been heard of.
fn meant(all: &HashMap<String, Waiter>, fault: &Fault) -> Vec<String> {
    let named = fault.text("taskUUID");
    if !named.is_empty() {
        return all.contains_key(named).then(|| named.to_owned()).into_iter().collect();
    }
    let kind = fault.text("taskType");
    if kind == "ping" {
        return Vec::new();
    }
    let sent = |waiter: &&Waiter| waiter.sends > 0;
    let of_kind = |waiter: &&Waiter| waiter.kind == kind || kind == "getResponse" && waiter.is_asked;
    let is_known_kind = all.values().filter(sent).any(|waiter| of_kind(&waiter));
    let can_be = |waiter: &&Waiter| sent(waiter) && (!is_known_kind || of_kind(waiter));
    let is_any_unheard = all.values().filter(can_be).any(|waiter| waiter.unheard.is_some());
    let is_meant = |waiter: &Waiter| can_be(&waiter) && (!is_any_unheard || waiter.unheard.is_some());
    let mut meant: Vec<String> =
        all.iter().filter(|(_, waiter)| is_meant(waiter)).map(|(uuid, _)| uuid.clone()).collect();
    meant.sort();
    meant
}

/// Words an error that names none of several tasks: where one of them is at fault, the others must not be; each goes
/// again by itself, which its UUID makes harmless.
fn unclear(fault: &Fault) -> Option<Failure> {
    let meant = failure(std::slice::from_ref(&fault.object), 400, &HeaderMap::new());
    let message = || format!("the provider reports an error that names no task: {}", meant.message);
    (meant.outcome == Outcome::Rejected).then(|| Failure::new(Outcome::Failed, message()))
}

/// Says of a failure that nothing was sent, so that the attempt costs nothing. A peer that is not trusted never will be:
/// there it does, and its caller hears why.
pub(super) fn unsent(failure: Failure) -> Failure {
    Failure { unsent: remedy(&failure.message).is_empty(), ..failure }
}
