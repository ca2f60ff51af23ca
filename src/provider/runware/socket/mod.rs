//! The WebSocket that carries an account's tasks, and each answer to its caller; a second for tenants that closed it.
//!
//! A task of its own holds the connection; callers register, hand over a frame and wait for what bears their UUID. When
//! the connection breaks, the next one resumes the session, and the service sends what it owes; where the session is
//! lost, the frames go again, harmlessly, since a UUID stands for one task. No frame goes again and again, and no
//! connection follows another without a pause, unless that one held.

mod aside;
mod link;
mod pump;
mod shared;
mod suspects;
#[cfg(test)]
mod tests;
mod waiters;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

pub(super) use self::aside::Connections;
use self::link::Address;
pub(super) use self::link::read;
use self::pump::Pump;
use self::shared::{Beat, Frame, Shared};
use self::suspects::Records;
use self::waiters::{Event, Ticket, Waiter};
use super::common::now;
use super::follow::{Follow, Standing};
use super::outgoing::Outgoing;
use crate::config::{Endpoint, PollSettings};
use crate::provider::task::pace::{Budget, Pace};
use crate::provider::{Attempt, Failure, Outcome};
use crate::task::RawResult;

/// Frames handed over and not yet written.
const OUTBOX: usize = 256;

/// As the official Python SDK has it, but for an interval that is no burden.
const BEAT: Beat = Beat { every: Duration::from_secs(10), dead: Duration::from_secs(30) };

/// A connection of the account.
#[derive(Debug)]
struct Socket {
    shared: Arc<Shared>,
    outbox: Mutex<Option<mpsc::Sender<Frame>>>,
    poll: PollSettings,
    budget: Budget,
}

impl Socket {
    fn new(endpoint: &Endpoint, poll: &PollSettings, beat: Beat, records: Arc<Records>) -> Result<Self, String> {
        let shared = Shared {
            address: Address::new(endpoint)?,
            key: endpoint.api_key.clone(),
            beat,
            waiters: Arc::default(),
            records,
        };
        let budget = Budget::new(poll.per_second);
        Ok(Self { shared: Arc::new(shared), outbox: Mutex::new(None), poll: poll.clone(), budget })
    }

    /// Sends a task and returns what was made.
    async fn run(&self, task: Outgoing, attempt: &Attempt) -> Result<RawResult, Failure> {
        // A named task may have been sent before a restart.
        let was_sent = attempt.number() > 1 || attempt.job().is_some();
        let follow = Follow::new(&task, was_sent, now(), attempt.deadline());
        self.follow(task, follow).await
    }

    async fn follow(&self, task: Outgoing, mut follow: Follow) -> Result<RawResult, Failure> {
        let mut ticket = self.register(task)?;
        let uuid = follow.uuid().to_owned();
        let frame = |question| Frame { uuid: uuid.clone(), question };
        self.hand_over(frame(None)).await;
        let mut pace = Pace::new(&self.poll);
        let mut next = now() + pace.wait(None, rand::random());
        loop {
            let until = follow.until();
            let turn = async {
                tokio::time::sleep_until(next).await;
                self.budget.turn().await;
            };
            let event = tokio::select! {
                biased;
                event = ticket.next() => event,
                // Only what does not answer by itself is asked for.
                () = turn, if follow.is_asked => {
                    let question = json!([{"taskType": "getResponse", "taskUUID": follow.uuid()}]).to_string();
                    self.hand_over(frame(Some(question))).await;
                    next = now() + pace.wait(None, rand::random());
                    continue;
                }
                () = tokio::time::sleep_until(until.unwrap_or(next)), if until.is_some() => return follow.end(),
            };
            let lost = match event {
                Some(Event::Told(told)) => match follow.hear(told, now())? {
                    Standing::Ended => return follow.end(),
                    Standing::UnderWay => continue,
                },
                Some(Event::SentAgain) => {
                    follow.was_sent = true;
                    continue;
                }
                Some(Event::InDoubt) => {
                    (follow.was_sent, follow.is_asked) = (true, true);
                    continue;
                }
                Some(Event::Lost(failure)) => failure,
                None => Failure::new(Outcome::Failed, "the provider said more of the task than can be kept"),
            };
            // What was made is not lost with the connection.
            return if follow.until().is_some() { follow.end() } else { Err(lost) };
        }
    }

    fn register(&self, task: Outgoing) -> Result<Ticket, Failure> {
        let suspicions = self.shared.records.find(&task.uuid, now())?;
        self.shared.waiters.register(&task.uuid, Waiter::new(&task.kind, task.text, suspicions))
    }

    /// Hands a frame to the connection's task, which is started where none runs.
    async fn hand_over(&self, mut frame: Frame) {
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
                Ok(()) => return,
                Err(returned) => frame = returned.0,
            }
        }
    }
}
