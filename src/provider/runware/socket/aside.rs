//! The account's connections: one for everybody, and one for tenants whose tasks closed the first.
//!
//! A connection that closes loses whatever else is on its way. Finding a culprit costs the others two connections; a
//! tenant that sends another culprit under every new UUID would cost them two each time, and one whose callers leave before
//! theirs are found would do so for ever. So such a tenant is set aside, too, after a few connections.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::suspects::{JUST_BEFORE, Records};
use super::{BEAT, Socket};
use crate::config::{Endpoint, PollSettings};
use crate::provider::runware::common::now;
use crate::provider::runware::outgoing::Outgoing;
use crate::provider::{Attempt, Failure};
use crate::task::RawResult;

/// Connections that closed upon a tenant's tasks, until it is set aside: one for each that its callers left unproven.
const ENOUGH: u32 = 3;
/// How long after a connection closed upon its task a caller leaves for that; longer than a search for a culprit takes.
const SOON: Duration = Duration::from_secs(5);
/// Most callers that are remembered as gone; the oldest is forgotten first.
const MOST_GONE: usize = 256;

/// The connections of one account; each opens when it is first needed.
#[derive(Debug)]
pub(in crate::provider::runware) struct Connections {
    common: Socket,
    aside: Socket,
    /// Suspected tasks and culprits, known on both.
    tasks: Arc<Records>,
    /// Connections that closed upon tasks of each tenant.
    tenants: Records,
    /// Tasks whose callers left a moment ago.
    gone: Mutex<VecDeque<Gone>>,
}

/// A task whose caller left before it ended.
#[derive(Debug)]
struct Gone {
    tenant: String,
    uuid: String,
    at: Instant,
}

/// A task under way; dropped before it has ended, its caller has left.
struct UnderWay<'a> {
    connections: &'a Connections,
    /// Whose task it is, and its UUID, until it has ended.
    task: Option<(&'a str, &'a str)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some((tenant, uuid)) = self.task {
            self.connections.left(tenant, uuid);
        }
    }
}

impl Connections {
    pub(in crate::provider::runware) fn new(endpoint: &Endpoint, poll: &PollSettings) -> Result<Self, String> {
        let tasks = Arc::new(Records::default());
        let socket = || Socket::new(endpoint, poll, BEAT, tasks.clone());
        Ok(Self { common: socket()?, aside: socket()?, tasks, tenants: Records::default(), gone: Mutex::default() })
    }

    /// Sends a task and returns what was made.
    pub(in crate::provider::runware) async fn run(
        &self,
        task: Outgoing,
        attempt: &Attempt,
    ) -> Result<RawResult, Failure> {
        let uuid = task.uuid.clone();
        self.follow(attempt.tenant(), &uuid, self.of(attempt.tenant()).run(task, attempt)).await
    }

    /// Follows a tenant's task to its end, and notes whether it closed connections.
    pub(super) async fn follow<T>(&self, tenant: &str, uuid: &str, run: impl Future<Output = T>) -> T {
        let mut under_way = UnderWay { connections: self, task: Some((tenant, uuid)) };
        let ended = run.await;
        under_way.task = None;
        if self.tasks.find(uuid, now()).is_err() {
            self.tenants.note(tenant, ENOUGH, now());
        }
        ended
    }

    /// Returns the connection that a tenant's tasks take now.
    pub(super) fn of(&self, tenant: &str) -> &Socket {
        self.judge(now());
        if self.tenants.count(tenant, now()) >= ENOUGH { &self.aside } else { &self.common }
    }

    fn left(&self, tenant: &str, uuid: &str) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.len() >= MOST_GONE {
            gone.pop_front();
        }
        gone.push_back(Gone { tenant: tenant.to_owned(), uuid: uuid.to_owned(), at: now() });
    }

    /// Blames the tenants of callers that left for the connections that closed upon their tasks: each tenant once for each
    /// connection.
    fn judge(&self, now: Instant) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|Gone { tenant, uuid, at }| {
            let Some(closed) = self.tasks.last(uuid) else {
                // A connection may close upon it yet.
                return now.saturating_duration_since(*at) <= JUST_BEFORE;
            };
            let is_new = self.tenants.last(tenant).is_none_or(|last| closed > last);
            if is_new && at.saturating_duration_since(closed) <= SOON {
                self.tenants.note(tenant, self.tenants.count(tenant, now) + 1, closed);
            }
            false
        });
    }
}
