//! Whose frame closed the connection.
//!
//! A service that cannot bear a frame closes upon it, and takes what else was on its way with it. Suspected is whatever
//! was written just before and has not been heard of. On the next connection the suspects go by themselves, the latest
//! first, then more at a time; a frame upon which that closes too, with nothing else on its way, is the culprit. Its task
//! ends, and is not sent over this connection again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::waiters::{Event, Waiters};
use crate::core::verdict::{Again, Matter, Scope, Verdict};
use crate::provider::Failure;

/// How long before a connection closed a frame was written that may have closed it.
pub(super) const JUST_BEFORE: Duration = Duration::from_secs(1);
/// Connections that close upon a frame until that is held to be the cause.
const ENOUGH: u32 = 2;
/// How long a suspicion is remembered: longer than a request is tried.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Most suspicions that are remembered; the oldest is forgotten first.
const MOST_RECORDS: usize = 1_024;

/// How often connections closed upon something, alone or with others, and when last. It outlives the attempts of a request.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<HashMap<String, (u32, Instant)>>);

impl Records {
    fn all(&self) -> MutexGuard<'_, HashMap<String, (u32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how often connections have closed upon it lately.
    pub(super) fn count(&self, name: &str, now: Instant) -> u32 {
        let all = self.all();
        let recent = all.get(name).filter(|(_, at)| now.saturating_duration_since(*at) < REMEMBERED);
        recent.map_or(0, |(count, _)| *count)
    }

    /// Returns when a connection closed upon it last.
    pub(super) fn last(&self, name: &str) -> Option<Instant> {
        self.all().get(name).map(|(_, at)| *at)
    }

    /// Returns how often connections have closed upon a task.
    ///
    /// # Errors
    ///
    /// The verdict, where the task is a culprit.
    pub(super) fn find(&self, uuid: &str, now: Instant) -> Result<u32, Failure> {
        match self.count(uuid, now) {
            ENOUGH.. => Err(verdict()),
            few => Ok(few),
        }
    }

    pub(super) fn note(&self, name: &str, count: u32, now: Instant) {
        let mut all = self.all();
        if all.len() >= MOST_RECORDS && !all.contains_key(name) {
            all.retain(|_, (_, at)| now.saturating_duration_since(*at) < REMEMBERED);
            let oldest = all.iter().min_by_key(|(_, (_, at))| *at).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest.filter(|_| all.len() >= MOST_RECORDS) {
                all.remove(&oldest);
            }
        }
        all.insert(name.to_owned(), (count, now));
    }
}

/// Makes the failure of a suspected task: the matter is the task's alone, and another account may bear it.
fn verdict() -> Failure {
    let verdict = Verdict { again: Again::Elsewhere, ..Verdict::new(Scope::Request, Matter::Fault) };
    Failure::judged(verdict, "the provider closes its connection whenever it gets this task")
}

/// Returns the tasks that were written just before `now` and have not been heard of since, the latest last.
pub(super) fn unheard(waiters: &Waiters, now: Instant) -> Vec<String> {
    let all = waiters.all();
    let is_recent = |at: &Instant| now.saturating_duration_since(*at) <= JUST_BEFORE;
    let found = all.iter().filter_map(|(uuid, waiter)| Some((waiter.unheard.filter(is_recent)?, uuid.clone())));
    let mut found: Vec<_> = found.collect();
    found.sort();
    found.into_iter().map(|(_, uuid)| uuid).collect()
}

/// Begins a connection: nothing was written to it yet.
pub(super) fn forget_writes(waiters: &Waiters) {
    waiters.all().values_mut().for_each(|waiter| waiter.unheard = None);
    waiters.gone().clear();
}

/// Accuses the suspects of a connection that the other side closed; says whether a culprit is found, and was told.
pub(super) fn accuse(suspects: &mut Vec<String>, waiters: &Waiters, records: &Records, now: Instant) -> bool {
    let mut all = waiters.all();
    // Nobody waits for these any more: their tenants answer for them.
    for (uuid, written) in waiters.gone().iter() {
        if now.saturating_duration_since(*written) <= JUST_BEFORE {
            records.note(uuid, ENOUGH - 1, now);
        }
    }
    suspects.retain(|uuid| all.contains_key(uuid));
    for uuid in &*suspects {
        if let Some(waiter) = all.get_mut(uuid) {
            waiter.suspicions += 1;
            // Together they are suspects at most: only alone is a frame a culprit.
            let most = if suspects.len() == 1 { ENOUGH } else { ENOUGH - 1 };
            records.note(uuid, waiter.suspicions.min(most), now);
        }
    }
    let [uuid] = &suspects[..] else { return false };
    let is_culprit = all.get(uuid).is_some_and(|waiter| waiter.suspicions >= ENOUGH);
    if is_culprit && let Some(waiter) = all.remove(uuid) {
        waiter.tell(Event::Lost(verdict()));
        suspects.clear();
    }
    is_culprit
}
