//! Sessions: the tasks that a client has asked for over a socket; a session outlives its connection for a while.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::web::Data;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::outbox::{Frame, Outbox};
use super::store::{Begun, Delivery, Done, Made, Refused, told_of};
use crate::Error;
use crate::config::SocketConfig;
use crate::gateway::http::caller::Caller;
use crate::gateway::http::door::Door;
use crate::gateway::http::refusal::Refusal;

/// Most sessions kept without a connection.
const MOST_DETACHED: usize = 10_000;

/// A client's tasks, and the frames that it has not been sent yet.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: Arc<str>,
    pub(super) caller: Caller,
    pub(super) outbox: Arc<Outbox>,
    /// Counts the refusals that the client is sent.
    door: Data<Door>,
    /// The waits for results; dropped with the session, so that tasks that only it waited for are given up.
    couriers: Mutex<JoinSet<()>>,
    /// The tasks that are waited for.
    awaited: Arc<Mutex<HashSet<Arc<str>>>>,
}

/// Writes a frame that holds results.
pub(super) fn data(items: Vec<Map<String, Value>>) -> Frame {
    Frame::Text(json!({"data": items}).to_string().into())
}

/// Writes a frame that holds one error, in both places where SDKs look for one.
pub(super) fn error(error: &Value) -> Frame {
    let mut frame = json!({"errors": [error]});
    if error["code"] == "invalidApiKey" {
        frame["error"] = error.clone();
    }
    Frame::Text(frame.to_string().into())
}

impl Session {
    pub(super) fn new(caller: Caller, config: &SocketConfig, door: Data<Door>) -> Self {
        Self {
            id: uuid::Uuid::new_v4().to_string().into(),
            caller,
            door,
            outbox: Arc::new(Outbox::new(config.unsent.0)),
            couriers: Mutex::default(),
            awaited: Arc::default(),
        }
    }

    fn awaited(&self) -> std::sync::MutexGuard<'_, HashSet<Arc<str>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many tasks it waits for.
    pub(super) fn pending(&self) -> usize {
        self.awaited().len()
    }

    pub(super) fn awaits(&self, uuid: &str) -> bool {
        self.awaited().contains(uuid)
    }

    /// Acknowledges a task that was begun, unless it is synchronous or is refused at once, and then follows it.
    pub(super) fn accept(&self, begun: Begun, patience: Duration) {
        let acknowledge = begun.delivery != Delivery::Sync;
        if acknowledge && self.awaits(&begun.uuid) {
            self.outbox.push(data(vec![begun.acknowledgement()]));
        }
        self.spawn(begun, patience, acknowledge);
    }

    /// Sends the end of a task when it comes.
    pub(super) fn follow(&self, begun: Begun) {
        self.spawn(begun, Duration::MAX, false);
    }

    /// A synchronous task is refused after `patience`; the results of one with a webhook go there alone.
    fn spawn(&self, mut begun: Begun, patience: Duration, acknowledge: bool) {
        if !self.awaited().insert(begun.uuid.clone()) {
            return;
        }
        let (outbox, awaited, door) = (self.outbox.clone(), self.awaited.clone(), self.door.clone());
        let mut couriers = self.couriers.lock().unwrap_or_else(PoisonError::into_inner);
        while couriers.try_join_next().is_some() {}
        let waiting = async move {
            let free = |uuid| awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(uuid);
            if acknowledge {
                if begun.is_refused_at_once().await {
                    begun.delivery = Delivery::Async;
                } else {
                    outbox.push(data(vec![begun.acknowledgement()]));
                }
            }
            let end = match begun.delivery {
                Delivery::Sync => tokio::time::timeout(patience, begun.end()).await,
                Delivery::Async => Ok(begun.end().await),
                Delivery::Webhook => {
                    free(&begun.uuid);
                    return;
                }
            };
            // Free again before the client can know, or what it sends in answer would be one too many.
            free(&begun.uuid);
            let ended = match end {
                Ok(Some(done)) => ended(&done, &begun),
                Ok(None) => Err(told_of(&begun.task_type, &begun.uuid, Error::Stopped.into())),
                Err(_) => Err(told_of(&begun.task_type, &begun.uuid, Refusal::too_slow(patience))),
            };
            let frames = ended.unwrap_or_else(|(refusal, told)| {
                door.count(&refusal);
                vec![error(&told)]
            });
            frames.into_iter().for_each(|frame| outbox.push(frame));
        };
        couriers.spawn(waiting.in_current_span());
    }
}

/// Writes what was made, then each error of what was not in a frame of its own: SDKs look at the first alone.
pub(super) fn frames(made: Made) -> Vec<Frame> {
    std::iter::once(data(made.items)).chain(made.errors.iter().map(error)).collect()
}

fn ended(done: &Done, begun: &Begun) -> Result<Vec<Frame>, Refused> {
    let told = match begun.delivery {
        Delivery::Sync => done.told(&begun.uuid),
        Delivery::Async | Delivery::Webhook => done.state(&begun.uuid),
    };
    told.map(frames)
}

/// The sessions that can be resumed: of connections that are there, and of those that broke lately.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Sessions(Mutex<HashMap<Arc<str>, Arc<Session>>>);

impl Sessions {
    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the session of that id where the caller has one, or a new one.
    pub(super) fn open(
        &self,
        id: Option<&str>,
        caller: &Caller,
        config: &SocketConfig,
        door: &Data<Door>,
    ) -> Arc<Session> {
        let mut table = self.table();
        let known = id.and_then(|id| table.get(id));
        let known = known.filter(|known| known.caller.tenant == caller.tenant && !known.outbox.has_overflowed());
        if let Some(known) = known {
            return known.clone();
        }
        let session = Arc::new(Session::new(caller.clone(), config, door.clone()));
        table.insert(session.id.clone(), session.clone());
        session
    }

    /// Lets go of a session whose connection, number `sender`, is gone: at once where nothing is left to resume.
    pub(super) async fn detach(&self, session: Arc<Session>, sender: u64, resume: Duration) {
        let idle = session.pending() == 0 && session.outbox.is_empty();
        if !idle && !session.outbox.has_overflowed() && self.table().len() < MOST_DETACHED {
            let (id, outbox) = (session.id.clone(), session.outbox.clone());
            drop(session);
            tokio::time::sleep(resume).await;
            if outbox.is_last(sender) {
                self.table().remove(&id);
            }
        } else if session.outbox.is_last(sender) {
            self.table().remove(&session.id);
        }
    }
}
