//! A task on its way, as its answers tell: what was made, what failed, and when the rest is waited for no longer.
//!
//! It is told of answers and of the time, and says what is to be done; who carries the answers is another's matter.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;

use super::common::Object;
use super::outgoing::Outgoing;
use super::refusals::{failure, is_conflict, is_not_found};
use super::told::{Told, id, is_bare_end, is_hollow, is_result, text};
use crate::provider::{Failure, Outcome};
use crate::task::RawResult;
use crate::wire::runware::usage;

/// Shortest time that further results are waited for after the first; longer where the first took longer.
const STRAGGLERS: Duration = Duration::from_secs(5);
/// Time that the others of several results are waited for after an error that may be of one alone.
const AFTER_AN_ERROR: Duration = Duration::from_millis(250);
/// Time that a task may be unknown which was sent: one look too early, or a replica behind.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Most results that a task can ask for.
const MOST_RESULTS: u64 = 1_000;

/// The code of a result that is missing.
const MISSING: &str = "resultsMissing";

/// How a task stands after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// All is told.
    Ended,
    /// More is to come.
    UnderWay,
}

/// A task that was sent.
#[derive(Debug)]
pub(super) struct Follow {
    uuid: String,
    kind: String,
    wanted: usize,
    items: Vec<Object>,
    errors: Vec<Object>,
    /// Whether the task is to be asked for: it does not answer by itself.
    pub(super) is_asked: bool,
    /// Whether an earlier sending of the same task may have been taken.
    pub(super) was_sent: bool,
    /// Whether the last answer says that something is under way.
    pub(super) is_under_way: bool,
    begun: Instant,
    /// When something new was told.
    heard: Instant,
    /// By when something must be told, or it comes too late.
    last: Instant,
    until: Option<Instant>,
    unknown_since: Option<Instant>,
}

impl Follow {
    /// Follows a task from `now` to the `deadline` of its attempt; `was_sent` where an earlier attempt may have sent it.
    pub(super) fn new(task: &Outgoing, was_sent: bool, now: Instant, deadline: Instant) -> Self {
        // A tenth of the time is enough to carry what there is to the caller.
        let margin = (deadline.saturating_duration_since(now) / 10).min(Duration::from_secs(1));
        Self {
            uuid: task.uuid.clone(),
            kind: task.kind.clone(),
            wanted: usize::try_from(task.wanted.clamp(1, MOST_RESULTS)).unwrap_or(1),
            items: Vec::new(),
            errors: Vec::new(),
            is_asked: task.is_asked,
            was_sent,
            is_under_way: false,
            begun: now,
            heard: now,
            last: deadline.checked_sub(margin).unwrap_or(deadline),
            until: None,
            unknown_since: None,
        }
    }

    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Returns when the task ends with what there is; never where nothing is there.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Hears one answer.
    ///
    /// # Errors
    ///
    /// A failure that ends the task at once.
    pub(super) fn hear(&mut self, told: Told, now: Instant) -> Result<Standing, Failure> {
        let Told { mut items, mut errors } = told;
        // Another's result must not become this caller's, whatever the service mixes up.
        let is_ours = |object: &Object| {
            let uuid = text(object, "taskUUID");
            uuid.is_empty() || uuid.eq_ignore_ascii_case(&self.uuid)
        };
        items.retain(is_ours);
        errors.retain(|fault| is_ours(&fault.object));
        let is_unknown = self.is_asked && !errors.is_empty() && errors.iter().all(is_not_found);
        if is_unknown && items.is_empty() {
            return self.is_unknown(errors.into_iter().map(|fault| fault.object).collect(), now);
        }
        self.unknown_since = None;
        let before = (self.items.len(), self.errors.len());
        let mut is_of_one = true;
        let mut was_taken = false;
        for fault in errors {
            if is_conflict(&fault) && self.was_sent {
                // What an earlier sending of ours began is asked for.
                (self.is_asked, was_taken) = (true, true);
                continue;
            }
            is_of_one &= fault.is_of_one();
            if !self.errors.contains(&fault.object) || !self.may_repeat() {
                self.errors.push(fault.object);
            }
        }
        let is_under_way = self.take(items) || was_taken;
        let (made, failed) = (self.items.len(), self.errors.len());
        if made + failed >= self.wanted {
            return self.ended();
        }
        if made == 0 && failed > 0 && !is_under_way && !is_of_one && self.is_final() {
            return self.ended();
        }
        if (made, failed) != before || is_under_way {
            self.heard = now;
        }
        self.is_under_way = is_under_way;
        let elapsed = self.heard.saturating_duration_since(self.begun);
        let wait = if made == 0 && !is_of_one { AFTER_AN_ERROR } else { STRAGGLERS.max(elapsed) };
        self.until = match made + failed {
            0 => None,
            // The service says itself that the rest is under way.
            _ if is_under_way => Some(self.last),
            _ => Some(self.last.min(self.heard + wait)),
        };
        Ok(Standing::UnderWay)
    }

    /// Takes results, and says whether others are under way.
    fn take(&mut self, items: Vec<Object>) -> bool {
        let mut is_under_way = false;
        let mut taken: Vec<Object> = Vec::new();
        for item in items {
            if is_hollow(&item, &self.kind) {
                self.miss(&item);
                continue;
            }
            let is_end = !self.is_asked && is_bare_end(&item, &self.kind);
            if !is_result(&item, &self.kind) && !is_end {
                is_under_way = true;
                continue;
            }
            if id(&item).is_some() {
                match self.items.iter_mut().find(|known| id(known) == id(&item)) {
                    // The same result, told again.
                    Some(known) => known.extend(item),
                    None => self.items.push(item),
                }
                continue;
            }
            // Two results may be of equal text; where answers repeat, there are as many as one answer holds.
            taken.push(item.clone());
            let count = |list: &[Object]| list.iter().filter(|one| **one == item).count();
            if !self.may_repeat() || count(&self.items) < count(&taken) {
                self.items.push(item);
            }
        }
        is_under_way
    }

    /// Counts a result that the service says it has made, and does not give.
    fn miss(&mut self, item: &Object) {
        let mut error = missing("the provider says that a result was made, and gives none");
        error.extend(id(item).map(|(name, id)| (name.to_owned(), id.into())));
        if !self.errors.contains(&error) || !self.may_repeat() {
            self.errors.push(error);
        }
    }

    /// Says why nothing was made.
    fn refusal(&self) -> Failure {
        let mut errors = self.errors.iter();
        match errors.next() {
            Some(first) if text(first, "code") == MISSING && errors.all(|error| text(error, "code") == MISSING) => {
                Failure::new(Outcome::Failed, text(first, "message"))
            }
            _ => failure(&self.errors, 400, &HeaderMap::new()),
        }
    }

    /// Says whether an answer may tell what another told before.
    fn may_repeat(&self) -> bool {
        self.is_asked || self.was_sent
    }

    /// Says whether the first error leaves no hope for other results: of a single one, or of the account.
    fn is_final(&self) -> bool {
        self.wanted == 1 || self.refusal().outcome != Outcome::Rejected
    }

    fn ended(&self) -> Result<Standing, Failure> {
        if self.items.is_empty() { Err(self.refusal()) } else { Ok(Standing::Ended) }
    }

    fn is_unknown(&mut self, errors: Vec<Object>, now: Instant) -> Result<Standing, Failure> {
        let since = *self.unknown_since.get_or_insert(now);
        if now.saturating_duration_since(since) < UNKNOWN {
            return Ok(Standing::UnderWay);
        }
        if !self.items.is_empty() {
            self.errors.extend(errors);
            return Ok(Standing::Ended);
        }
        // Its UUID makes it harmless to send it again.
        let words = errors.first().map_or("", |error| text(error, "message"));
        let message = format!("the provider does not know the task any more: {words}");
        Err(Failure::new(Outcome::Failed, message))
    }

    /// Returns what was made, with the errors of what was not.
    ///
    /// # Errors
    ///
    /// A failure, where nothing was made.
    pub(super) fn end(mut self) -> Result<RawResult, Failure> {
        let (made, failed) = (self.items.len(), self.errors.len());
        if made == 0 && failed == 0 {
            return Err(Failure::new(Outcome::Failed, "the provider's answer holds no result"));
        }
        if made == 0 {
            return Err(self.refusal());
        }
        if made + failed < self.wanted {
            let mut error = missing(&format!("the provider delivered {made} of {} results", self.wanted));
            error.insert("parameter".into(), "numberResults".into());
            self.errors.push(error);
        }
        for error in &mut self.errors {
            error.insert("taskUUID".into(), self.uuid.as_str().into());
            error.entry("taskType").or_insert_with(|| Value::from(self.kind.as_str()));
        }
        let usage = usage(&self.items);
        Ok(RawResult { items: self.items, errors: self.errors, usage })
    }
}

/// Words the error of a result that is missing.
fn missing(message: &str) -> Object {
    let error = [("code", MISSING), ("message", message)];
    error.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()
}

#[cfg(test)]
mod tests;
