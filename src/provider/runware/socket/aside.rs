//! The account's connections: one for everybody, and one for tenants whose tasks closed the first.
//!
//! Whatever else is on its way is lost with a connection. Finding a culprit costs the others two of them; a tenant that
//! sends another culprit under every new UUID would cost them two each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::suspects::{Records, is_culprit};
use super::{BEAT, Beat, Socket};
use crate::config::{Endpoint, PollSettings};
use crate::provider::runware::{Object, now};
use crate::provider::{Attempt, Failure};
use crate::task::RawResult;

/// How long a tenant stays on the second connection after its last culprit.
const ASIDE: Duration = Duration::from_secs(600);
/// Most tenants that are remembered; the one that did no harm for longest is forgotten first.
const MOST_ASIDE: usize = 1_024;

/// The connections of one account; each opens when it is first needed.
#[derive(Debug)]
pub(in crate::provider::runware) struct Connections {
    common: Socket,
    aside: Socket,
    /// Tenants with a culprit, and when it was found.
    offenders: Mutex<HashMap<String, Instant>>,
}

impl Connections {
    pub(in crate::provider::runware) fn new(endpoint: &Endpoint, poll: &PollSettings) -> Result<Self, String> {
        Self::with_beat(endpoint, poll, BEAT)
    }

    pub(super) fn with_beat(endpoint: &Endpoint, poll: &PollSettings, beat: Beat) -> Result<Self, String> {
        // A culprit is known on both.
        let records = Arc::new(Records::default());
        let socket = || Socket::with_beat(endpoint, poll, beat, records.clone());
        Ok(Self { common: socket()?, aside: socket()?, offenders: Mutex::default() })
    }

    /// Sends a task and returns what was made.
    pub(in crate::provider::runware) async fn run(
        &self,
        task: &Object,
        attempt: &Attempt,
    ) -> Result<RawResult, Failure> {
        let ended = self.of(attempt.tenant()).run(task, attempt).await;
        self.note(attempt.tenant(), &ended);
        ended
    }

    /// Returns the connection that a tenant's tasks take now.
    pub(super) fn of(&self, tenant: &str) -> &Socket {
        let offenders = self.offenders.lock().unwrap_or_else(PoisonError::into_inner);
        let found = offenders.get(tenant).is_some_and(|at| now().saturating_duration_since(*at) < ASIDE);
        if found { &self.aside } else { &self.common }
    }

    /// Notes how a tenant's task ended.
    pub(super) fn note<T>(&self, tenant: &str, ended: &Result<T, Failure>) {
        if !ended.as_ref().is_err_and(is_culprit) {
            return;
        }
        let mut offenders = self.offenders.lock().unwrap_or_else(PoisonError::into_inner);
        if offenders.len() >= MOST_ASIDE && !offenders.contains_key(tenant) {
            let oldest = offenders.iter().min_by_key(|(_, at)| **at).map(|(tenant, _)| tenant.clone());
            oldest.and_then(|tenant| offenders.remove(&tenant));
        }
        offenders.insert(tenant.to_owned(), now());
    }
}
