//! The story of one request, told when it has ended: for logs and traces.
//!
//! It is recorded where the request is (`run`), only for those whose spec names a witness, and told exactly once, also
//! of requests whose callers go away. [`events`](super::events) tell of all requests and routes, as it happens.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::clock::Clock;
use super::error::Error;
use super::lease::{Route, Seat};
use super::provider::Failure;
use super::reason::{Reason, RequestOutcome};
use crate::core::outcome::Outcome;
use crate::core::time::Time;
use crate::core::verdict::Verdict;
use crate::task::Usage;

/// The HTTP status of a request whose caller went away, by custom.
const GONE: u16 = 499;

/// Is told how a request went.
pub trait Witness: fmt::Debug + Send + Sync {
    /// Returns the W3C trace context to send with an attempt, counted from 1; none by default.
    fn trace(&self, attempt: u32) -> Option<Arc<TraceContext>> {
        let _ = attempt;
        None
    }

    /// Is told, once, in the task that carried the request. It must not block.
    fn ended(&self, story: Story);
}

/// What tells a provider that a call belongs to a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The header `traceparent`.
    pub parent: String,
    /// The header `tracestate`, where the caller sent one.
    pub state: Option<Arc<str>>,
}

/// How a request went, from admission to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Story {
    /// The model, by the name callers use.
    pub model: Arc<str>,
    /// Who pays.
    pub tenant: Arc<str>,
    /// What it did, one after the other and without gaps: it waits, is attempted, backs off, waits, is attempted again.
    pub steps: Vec<Step>,
    /// When the answer began, where it came to that.
    pub answered: Option<Instant>,
    /// When it ended; of a stream, with its last piece.
    pub ended: Instant,
    /// The way in which it ended, as [`stats`](super::stats) counts it.
    pub outcome: RequestOutcome,
    /// The HTTP status that says the same: 200, [`Error::status`], or 499 where the caller went away.
    pub status: u16,
    /// What it used, as far as the provider said.
    pub usage: Usage,
}

/// One thing a request did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// What.
    pub doing: Doing,
    /// From when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

/// What a request is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Doing {
    /// It waits for a slot.
    Waiting,
    /// It may not be attempted again yet.
    BackingOff,
    /// A provider has it.
    Attempt(Made),
}

/// An attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Made {
    /// Which, from 1.
    pub number: u32,
    /// The provider account.
    pub provider: Arc<str>,
    /// The model's name there.
    pub upstream_model: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of a provider's refusal that is passed on; of other failures the outcome says enough.
    pub status: Option<u16>,
    /// Whether it ran into its timeout.
    pub timed_out: bool,
    /// The provider's own name for it, where it gave one.
    pub upstream_id: Option<Arc<str>>,
    /// Whose matter a failure was, and what it was about; nothing for a success.
    pub verdict: Option<Verdict>,
}

impl Step {
    /// Says whether a provider had the request.
    #[must_use]
    pub fn is_attempt(&self) -> bool {
        matches!(self.doing, Doing::Attempt(_))
    }
}

impl Story {
    /// Returns the last attempt.
    #[must_use]
    pub fn last_attempt(&self) -> Option<(&Made, &Step)> {
        self.steps.iter().rev().find_map(|step| match &step.doing {
            Doing::Attempt(made) => Some((made, step)),
            _ => None,
        })
    }

    /// Returns when it began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.steps.first().map_or(self.ended, |step| step.from)
    }
}

/// Writes a story down while it goes on.
#[derive(Debug)]
pub(super) struct Diary {
    witness: Arc<dyn Witness>,
    clock: Clock,
    story: Story,
    /// Since when it does what it does now; what that is stands in `now`.
    since: Time,
    now: Now,
}

#[derive(Debug)]
enum Now {
    Waiting,
    /// Backing off first; the seat tells until when.
    Again(Arc<Seat>),
    Attempt(Made),
}

impl Diary {
    pub(super) fn open(
        witness: Arc<dyn Witness>,
        clock: Clock,
        model: &Arc<str>,
        tenant: &Arc<str>,
        admitted: Time,
    ) -> Self {
        let story = Story {
            model: model.clone(),
            tenant: tenant.clone(),
            steps: Vec::new(),
            answered: None,
            ended: clock.instant(admitted),
            outcome: RequestOutcome::Cancelled,
            status: GONE,
            usage: Usage::default(),
        };
        Self { witness, clock, story, since: admitted, now: Now::Waiting }
    }

    fn step(&mut self, doing: Doing, from: Time, to: Time) {
        let (from, to) = (self.clock.instant(from), self.clock.instant(to));
        self.story.steps.push(Step { doing, from, to });
    }

    /// Writes down what it was doing, now that this is over.
    fn turn(&mut self, at: Time, next: Now) {
        let since = std::mem::replace(&mut self.since, at);
        match std::mem::replace(&mut self.now, next) {
            Now::Waiting => self.step(Doing::Waiting, since, at),
            Now::Attempt(made) => self.step(Doing::Attempt(made), since, at),
            Now::Again(seat) => {
                let until = seat.not_before().max(since).min(at);
                if until > since {
                    self.step(Doing::BackingOff, since, until);
                }
                self.step(Doing::Waiting, until, at);
            }
        }
    }

    pub(super) fn attempt(&mut self, number: u32, route: &Route, at: Time) {
        let made = Made {
            number,
            provider: route.provider_name.clone(),
            upstream_model: route.upstream.clone(),
            outcome: Outcome::Cancelled,
            status: None,
            timed_out: false,
            upstream_id: None,
            verdict: None,
        };
        self.turn(at, Now::Attempt(made));
    }

    pub(super) fn answered(&mut self, at: Time, id: Option<Arc<str>>) {
        if let Now::Attempt(made) = &mut self.now {
            made.upstream_id = id;
        }
        self.story.answered = Some(self.clock.instant(at));
    }

    /// Says how the attempt under way ends.
    pub(super) fn judge(&mut self, outcome: Outcome, failure: Option<&Failure>) {
        if let Now::Attempt(made) = &mut self.now {
            made.outcome = outcome;
            made.status = failure.and_then(|failure| failure.upstream.as_ref()).map(|upstream| upstream.status);
            made.verdict = failure.map(|failure| failure.verdict);
            made.timed_out = failure.is_some_and(|failure| failure.timed_out);
            made.upstream_id = made.upstream_id.take().or_else(|| failure?.upstream_id.clone());
        }
    }

    /// Notes that it goes back to the queue, to that seat.
    pub(super) fn again(&mut self, seat: &Arc<Seat>, at: Time) {
        self.turn(at, Now::Again(seat.clone()));
    }

    pub(super) fn used(&mut self, usage: Usage) {
        self.story.usage = usage;
    }

    pub(super) fn close(mut self, end: End<'_>) {
        let now = self.clock.now();
        self.turn(now, Now::Waiting);
        let status = match end {
            // Of a stream that broke off, it had been sent before.
            End::Success | End::Broken => 200,
            End::Cancelled => GONE,
            End::Error(error) => error.status(),
        };
        let ended = self.clock.instant(now);
        self.witness.ended(Story { ended, outcome: end.outcome(), status, ..self.story });
    }
}

/// How a request ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'a> {
    Success,
    /// A stream broke off.
    Broken,
    /// The caller went away.
    Cancelled,
    Error(&'a Error),
}

impl End<'_> {
    /// Returns the outcome that is counted.
    pub(super) fn outcome(self) -> RequestOutcome {
        match self {
            Self::Success => RequestOutcome::Success,
            Self::Broken => RequestOutcome::Refused(Reason::Rejected),
            Self::Cancelled => RequestOutcome::Cancelled,
            Self::Error(error) => RequestOutcome::Refused(error.reason()),
        }
    }
}
