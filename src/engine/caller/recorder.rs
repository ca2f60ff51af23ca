//! How the story of a request is written down while it goes on.

use std::sync::Arc;

use crate::clock::Clock;
use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::core::time::Time;
use crate::engine::ticket::lease::Route;
use crate::engine::ticket::seat::Seat;
use crate::engine::view::error::Error;
use crate::engine::view::reason::{Reason, RequestOutcome};
use crate::engine::view::story::{Doing, Made, Step, Story, Witness};
use crate::task::Usage;

/// The HTTP status of a request whose caller went away, by custom.
const GONE: u16 = 499;

/// Writes a story down while it goes on.
#[derive(Debug)]
pub(super) struct StoryRecorder {
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

impl StoryRecorder {
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
