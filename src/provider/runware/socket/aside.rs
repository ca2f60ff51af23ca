//! The account's connections: one for everybody, and one for tenants whose tasks closed the first.
//!
//! A connection that closes loses whatever else is on its way. Finding a culprit costs the others two connections; a
//! tenant that sends another culprit under every new UUID would cost them two each time.

use std::sync::Arc;

use super::suspects::Records;
use super::{BEAT, Socket};
use crate::config::{Endpoint, PollSettings};
use crate::provider::runware::common::now;
use crate::provider::runware::outgoing::Outgoing;
use crate::provider::{Attempt, Failure};
use crate::task::RawResult;

/// The connections of one account; each opens when it is first needed.
#[derive(Debug)]
pub(in crate::provider::runware) struct Connections {
    common: Socket,
    aside: Socket,
    /// Culprits, known on both.
    tasks: Arc<Records>,
    /// Whose they were.
    tenants: Records,
}

impl Connections {
    pub(in crate::provider::runware) fn new(endpoint: &Endpoint, poll: &PollSettings) -> Result<Self, String> {
        let tasks = Arc::new(Records::default());
        let socket = || Socket::new(endpoint, poll, BEAT, tasks.clone());
        Ok(Self { common: socket()?, aside: socket()?, tasks, tenants: Records::default() })
    }

    /// Sends a task and returns what was made.
    pub(in crate::provider::runware) async fn run(
        &self,
        task: Outgoing,
        attempt: &Attempt,
    ) -> Result<RawResult, Failure> {
        let uuid = task.uuid.clone();
        let ended = self.of(attempt.tenant()).run(task, attempt).await;
        self.note(attempt.tenant(), &uuid);
        ended
    }

    /// Returns the connection that a tenant's tasks take now.
    pub(super) fn of(&self, tenant: &str) -> &Socket {
        if self.tenants.count(tenant, now()) > 0 { &self.aside } else { &self.common }
    }

    /// Sets a tenant aside if its task, which ended, is a culprit.
    pub(super) fn note(&self, tenant: &str, uuid: &str) {
        if self.tasks.find(uuid, now()).is_err() {
            self.tenants.note(tenant, 1, now());
        }
    }
}
