//! The story of one request, told when it has ended: for logs and traces.
//!
//! It is recorded for requests that name a [`Witness`], and told exactly once, also where the caller goes away.
//! [`events`](super::events) tell of all requests and routes, as it happens.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::reason::RequestOutcome;

pub use crate::contract::attempt::TraceContext;
use crate::core::outcome::Outcome;
use crate::core::verdict::Verdict;
use crate::task::Usage;

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

/// How a request went, from admission to its end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Story {
    /// The model, by the name callers use.
    pub model: Arc<str>,
    /// Tenant that pays.
    pub tenant: Arc<str>,
    /// Steps of the request, one after the other and without gaps: it waits, is attempted, backs off, is attempted again.
    pub steps: Vec<Step>,
    /// When the answer began, where it came to that.
    pub answered: Option<Instant>,
    /// When it ended; of a stream, with its last piece.
    pub ended: Instant,
    /// The way in which it ended, as [`stats`](super::stats) counts it.
    pub outcome: RequestOutcome,
    /// The HTTP status that says the same: 200, [`Error::status`](crate::Error::status), or 499 where the caller went away.
    pub status: u16,
    /// Usage, as far as the provider stated it.
    pub usage: Usage,
}

/// A step of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// Activity of the request in the step.
    pub doing: Doing,
    /// Begin of the step.
    pub from: Instant,
    /// End of the step.
    pub to: Instant,
}

/// Activity of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Doing {
    /// The request waits for a slot.
    Waiting,
    /// The request may not be attempted again yet.
    BackingOff,
    /// A provider has it.
    Attempt(Made),
}

/// An attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Made {
    /// Number of the attempt, from 1.
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
    /// Scope and matter of a failure; nothing for a success.
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
