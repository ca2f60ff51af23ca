//! The task that holds the connection: frames out, answers to whom they belong, a heartbeat, and a new connection when
//! the old one is gone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rand::RngExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::link::Stream;
use super::shared::{Frame, Shared};
use super::suspects::{accuse, forget_writes, unheard};
use super::waiters::{Event, unsent};
use crate::provider::runware::common::now;
use crate::provider::runware::told::Told;
use crate::provider::{Failure, Outcome};

/// Connections in a row that may not hold before the callers are told.
const MOST_FAILURES: u32 = 3;
/// Connections more that the search for a culprit may cost before the callers are told.
const MOST_SEARCHES: u32 = 6;
/// Failures that lengthen the wait while a culprit is searched for: it shall be found before its caller leaves.
const FAILURES_OF_A_SEARCH: u32 = 2;
/// Upper end of the wait before the second try to connect; it doubles with each connection that does not hold.
const BACKOFF: Duration = Duration::from_millis(200);
/// Upper end of any such wait.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// How long a connection stands that holds, even where it has brought nothing.
const HOLDS: Duration = Duration::from_secs(5);
/// Times that one task is written to connections that break before it is given back.
const MOST_SENDS: u32 = 3;
/// Times that a suspected task is written so: more than it takes to find one culprit among thousands.
const MOST_SENDS_OF_SUSPECTS: u32 = 8;
/// How long suspected frames have the connection for themselves: what cannot bear a frame closes at once.
const ALONE: Duration = Duration::from_millis(250);
/// Factor by which the number of suspects that go together grows each time that the connection bears them.
const BOLDER: usize = 4;

pub(super) struct Pump {
    shared: Arc<Shared>,
    frames: mpsc::Receiver<Frame>,
    session: Option<String>,
    /// A frame that ended a time without a connection.
    first: Option<Frame>,
    /// Connections in a row that did not hold.
    failures: u32,
    /// Of those, the ones that the present search for a culprit has cost.
    searches: u32,
    /// Whether one of them ended upon no suspect, so that a culprit is not all that is wrong.
    is_unclear: bool,
    /// Whether the callers were told that no connection holds, and none has held since.
    gave_up: bool,
    not_before: Option<Instant>,
    why: Failure,
    /// Tasks that may have closed the last connection, or may not have been read, the likeliest last.
    suspects: Vec<String>,
    /// Suspects that have the connection for themselves.
    probed: Vec<String>,
    /// Most of them that go together next.
    together: usize,
    /// Whether the last connection was closed by the other side.
    is_accused: bool,
    has_delivered: bool,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By the other side, which may have met a frame that it cannot bear.
    Closed,
    /// By silence, or because the other side restarts: no frame is to blame.
    Left,
}

/// When the next suspects go, and how many together.
struct Probe {
    next: Instant,
    size: usize,
}

impl Pump {
    pub(super) fn new(shared: Arc<Shared>, frames: mpsc::Receiver<Frame>) -> Self {
        let why = Failure::new(Outcome::Failed, "the provider keeps closing its socket");
        Self {
            shared,
            frames,
            session: None,
            first: None,
            failures: 0,
            searches: 0,
            is_unclear: false,
            gave_up: false,
            not_before: None,
            why,
            suspects: Vec::new(),
            probed: Vec::new(),
            together: usize::MAX,
            is_accused: false,
            has_delivered: false,
        }
    }

    /// Runs until the account is no more.
    pub(super) async fn run(mut self) {
        loop {
            if self.shared.waiters.all().is_empty() && self.first.is_none() {
                self.first = self.frames.recv().await;
                if self.first.is_none() {
                    return;
                }
            }
            self.pause().await;
            if self.frames.is_closed() {
                return;
            }
            if self.shared.waiters.all().is_empty() {
                // Whoever wanted something has left, or was told.
                self.first = None;
                continue;
            }
            match self.shared.address.open(self.shared.key.as_ref(), self.session.as_deref()).await {
                Ok((stream, session)) => {
                    let resumed = session.is_some() && self.session == session;
                    self.session = session;
                    let opened = now();
                    self.has_delivered = false;
                    let Some(ending) = self.hold(stream, resumed).await else { return };
                    tracing::info!(address = ?self.shared.address, "the provider's socket closed");
                    self.broke(opened, ending);
                }
                Err(failure) => {
                    (self.failures, self.is_unclear) = (self.failures + 1, true);
                    // A refused key stays refused.
                    let is_final = self.failures >= MOST_FAILURES || failure.verdict.scope.is_account();
                    self.back_off(self.failures);
                    self.why = failure;
                    if is_final {
                        self.give_up();
                    }
                }
            }
        }
    }

    /// Waits until a connection may be tried. A caller who comes meanwhile is told at once, where many have failed.
    async fn pause(&mut self) {
        let Some(until) = self.not_before.take() else { return };
        if !self.gave_up {
            return sleep_until(until).await;
        }
        let mut frame = self.first.take();
        loop {
            if let Some(frame) = frame {
                self.shared.waiters.lose(&frame.uuid, unsent(self.lost(until)));
            }
            match timeout_at(until, self.frames.recv()).await {
                Ok(Some(next)) => frame = Some(next),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn lost(&self, until: Instant) -> Failure {
        let left = until.saturating_duration_since(now());
        Failure { retry_after: self.why.retry_after.or(Some(left)), ..self.why.clone() }
    }

    /// Waits longer with each connection in a row that did not hold.
    fn back_off(&mut self, failures: u32) {
        let ceiling = BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_BACKOFF);
        self.not_before = Some(now() + ceiling.mul_f64(rand::rng().random_range(0.5..=1.0)));
    }

    /// Tells all callers.
    fn give_up(&mut self) {
        let until = self.not_before.unwrap_or_else(now);
        self.suspects.clear();
        (self.searches, self.is_unclear, self.gave_up) = (0, false, true);
        self.shared.waiters.lose_all(&self.lost(until));
    }

    /// Looks back at a connection that broke.
    fn broke(&mut self, opened: Instant, ending: Ending) {
        let stood = now().saturating_duration_since(opened) >= HOLDS;
        self.failures = if stood || self.has_delivered { 0 } else { self.failures + 1 };
        // Of those that went together one is to blame: fewer go next.
        self.together = if self.probed.is_empty() { usize::MAX } else { (self.probed.len() / BOLDER).max(1) };
        let mut suspects = std::mem::take(&mut self.probed);
        if suspects.is_empty() {
            suspects = unheard(&self.shared.waiters, now());
        }
        // Where it is known why, the others need not be told.
        let is_closed = ending == Ending::Closed;
        let is_found = is_closed && accuse(&mut suspects, &self.shared.waiters, &self.shared.records, now());
        if is_found {
            self.failures = self.failures.min(1);
            self.together = usize::MAX;
        }
        if self.failures <= 1 {
            (self.searches, self.is_unclear, self.gave_up) = (0, false, false);
        }
        // Each connection of a search leaves fewer suspects. Told now, all would come again with the culprit among them.
        let is_step = is_found || is_closed && !suspects.is_empty();
        self.searches += u32::from(is_step);
        self.is_unclear |= !is_step;
        let is_search = is_step && !self.is_unclear && self.searches <= MOST_SEARCHES;
        self.suspects.retain(|uuid| !suspects.contains(uuid));
        self.suspects.extend(suspects);
        self.is_accused = is_closed;
        if !stood {
            self.back_off(if is_search { self.failures.min(FAILURES_OF_A_SEARCH) } else { self.failures });
        }
        if self.failures >= MOST_FAILURES && !is_search {
            let message = format!("the provider closed its socket {} times in a row without an answer", self.failures);
            self.why = Failure::new(Outcome::Failed, message);
            self.give_up();
        }
    }

    /// Serves one connection until it breaks; `None` when the account is no more.
    async fn hold(&mut self, mut stream: Stream, resumed: bool) -> Option<Ending> {
        let beat = self.shared.beat;
        forget_writes(&self.shared.waiters);
        if resumed {
            self.doubt();
        } else {
            for text in self.owed() {
                if !write(&mut stream, text, beat.dead).await {
                    return Some(Ending::Closed);
                }
            }
        }
        // The connection has to stand without them first, or they are not to blame.
        let mut probe = (!self.suspects.is_empty()).then(|| Probe { next: now() + ALONE, size: 1 });
        let mut ticks = interval(beat.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut heard = now();
        loop {
            let frame = async {
                match self.first.take() {
                    Some(first) => Some(first),
                    None => self.frames.recv().await,
                }
            };
            tokio::select! {
                // While suspects are on their way, nothing else is.
                frame = frame, if probe.is_none() => {
                    let text = self.text_of(frame?);
                    if let Some(text) = text && !write(&mut stream, text, beat.dead).await {
                        return Some(Ending::Closed);
                    }
                }
                () = sleep_until(probe.as_ref().map_or(heard, |probe| probe.next)), if probe.is_some() => {
                    self.probed.clear();
                    if self.suspects.is_empty() {
                        probe = None;
                    } else if let Some(Probe { next, size }) = &mut probe {
                        let rest = self.suspects.len().saturating_sub(*size);
                        (*next, *size) = (now() + ALONE, (*size * BOLDER).min(self.together));
                        self.together = self.together.saturating_mul(2);
                        self.probed = self.suspects.split_off(rest);
                        for uuid in self.probed.clone() {
                            let text = self.text_of(Frame { uuid, question: None });
                            if let Some(text) = text && !write(&mut stream, text, beat.dead).await {
                                return Some(Ending::Closed);
                            }
                        }
                    }
                }
                message = stream.next() => {
                    heard = now();
                    match message {
                        Some(Ok(Message::Close(reason))) => {
                            let code = reason.map_or(CloseCode::Status, |reason| reason.code);
                            let restarts = matches!(code, CloseCode::Away | CloseCode::Restart | CloseCode::Again);
                            return Some(if restarts { Ending::Left } else { Ending::Closed });
                        }
                        Some(Err(_)) | None => return Some(Ending::Closed),
                        Some(Ok(message)) => {
                            match self.shared.address.object(&message) {
                                Some(frame) => {
                                    let told = Told::read(frame);
                                    self.has_delivered |= told.is_some_and(|told| self.shared.waiters.pass_on(told));
                                }
                                None if message.is_text() || message.is_binary() => self.garbled(),
                                None => {}
                            }
                        }
                    }
                }
                _ = ticks.tick() => {
                    let silent = now().duration_since(heard) > beat.dead;
                    let ping = json!([{"taskType": "ping", "ping": true}]).to_string();
                    if silent || !write(&mut stream, ping.into(), beat.dead).await {
                        return Some(Ending::Left);
                    }
                }
            }
        }
    }

    /// Returns what to write for a frame; nothing when its caller has left.
    fn text_of(&self, frame: Frame) -> Option<Utf8Bytes> {
        let mut all = self.shared.waiters.all();
        let waiter = all.get_mut(&frame.uuid)?;
        if let Some(question) = frame.question {
            waiter.is_asked = true;
            return Some(question.into());
        }
        if waiter.sends > 0 {
            waiter.tell(Event::SentAgain);
        }
        waiter.sends += 1;
        waiter.unheard = Some(now());
        Some(waiter.frame.clone())
    }

    /// Returns the tasks that a lost session has lost too, in a fixed order, but for the suspects, which go by themselves.
    /// Returns the frames to be written again; a task that was written often enough is given back.
    fn owed(&mut self) -> Vec<Utf8Bytes> {
        let all = self.shared.waiters.all();
        // Where no frame is to blame, none goes by itself.
        let is_accused = self.is_accused;
        self.suspects.retain(|uuid| is_accused && all.contains_key(uuid));
        let mut owed: Vec<(String, u32)> = all
            .iter()
            .filter(|(_, waiter)| waiter.sends > 0)
            .map(|(uuid, waiter)| (uuid.clone(), waiter.sends))
            .collect();
        drop(all);
        owed.sort();
        let mut texts = Vec::new();
        for (uuid, sends) in owed {
            let is_suspect = self.suspects.contains(&uuid);
            if sends >= if is_suspect { MOST_SENDS_OF_SUSPECTS } else { MOST_SENDS } {
                let message = format!("the provider's connection broke {sends} times before this task was answered");
                self.shared.waiters.lose(&uuid, Failure::new(Outcome::Failed, message));
                self.suspects.retain(|suspect| *suspect != uuid);
            } else if !is_suspect {
                texts.extend(self.text_of(Frame { uuid, question: None }));
            }
        }
        texts
    }

    /// Ends what may have been answered by a frame that cannot be read; sent again, it is asked for.
    fn garbled(&self) {
        let failure = Failure::new(Outcome::Failed, "the provider sent a frame that cannot be read");
        for uuid in unheard(&self.shared.waiters, now()) {
            self.shared.waiters.lose(&uuid, failure.clone());
        }
    }

    /// Lets the suspects' callers ask what a resumed session knows of them.
    fn doubt(&mut self) {
        let all = self.shared.waiters.all();
        for waiter in self.suspects.drain(..).filter_map(|uuid| all.get(&uuid)) {
            waiter.tell(Event::InDoubt);
        }
    }
}

/// Writes a frame; says whether that could be done in time.
async fn write(stream: &mut Stream, text: Utf8Bytes, patience: Duration) -> bool {
    tokio::time::timeout(patience, stream.send(Message::Text(text))).await.is_ok_and(|sent| sent.is_ok())
}
