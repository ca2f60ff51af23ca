//! How an attempt failed: what the controllers learn from it, and what the caller is shown.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::contract::words::Words;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::report::{Reached, Report};
use crate::core::verdict::{self, Verdict};

/// A provider's own answer, verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upstream {
    /// HTTP status.
    pub status: u16,
    /// Its `content-type`.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

impl Upstream {
    /// Puts an answer together.
    #[must_use]
    pub fn new(status: u16, content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: content_type.into(), body: body.into() }
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// Outcome that the controllers learn from.
    pub outcome: Outcome,
    /// For people; never holds a key.
    pub message: String,
    /// Verdict: the part of the system concerned, the matter, and whether the request may be sent again.
    pub verdict: Verdict,
    /// How long the provider said to stay away.
    pub retry_after: Option<Duration>,
    /// Whether the request never reached the provider, so that the caller loses no attempt by it.
    pub unsent: bool,
    /// Whether the attempt ran into its own timeout.
    pub timed_out: bool,
    /// Whether the provider may have taken the work all the same, so that another attempt could be paid twice.
    pub spent: bool,
    /// Rate hints of the response's headers.
    pub hints: Box<RateHints>,
    /// The provider's answer, to be passed through where it is the request's own matter.
    pub upstream: Option<Upstream>,
    /// Words of the provider, as far as they were understood.
    pub words: Option<Box<Words>>,
    /// The provider's own name for the request, where it gave one.
    pub upstream_id: Option<Arc<str>>,
    /// Error of the caller's own client that it was made from.
    pub source: Option<Source>,
}

/// The error behind a [`Failure`], shared so that failures can be cloned. Two are equal when they are the same one.
#[derive(Debug, Clone)]
pub struct Source(Arc<dyn std::error::Error + Send + Sync>);

impl Source {
    /// Keeps an error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// Returns the error.
    #[must_use]
    pub fn get(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Failure {
    /// Builds a failure of an outcome.
    #[must_use]
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
            verdict: Verdict::of(outcome),
            retry_after: None,
            unsent: false,
            timed_out: false,
            spent: false,
            hints: Box::default(),
            upstream: None,
            words: None,
            upstream_id: None,
            source: None,
        }
    }

    /// Builds a failure of which a verdict says what it means.
    #[must_use]
    pub fn judged(verdict: Verdict, message: impl Into<String>) -> Self {
        let rest = verdict.suspends().then_some(verdict::REST);
        Self { verdict, retry_after: rest, ..Self::new(verdict.outcome(), message) }
    }

    /// Reads an HTTP status, as [`Verdict::of_status`] does: 408, 502, 503, 504 and 529 as overload; other 5xx, redirects
    /// and answers that are none as failures of the provider; a 429 as a limit of concurrency or of a rate, which its
    /// behaviour tells; 401, 402, 403 and 404 as what may concern more than this request, to be tried once on each other
    /// route; any other 4xx as the caller's fault. A 429 that says which limit it is about is better built with
    /// [`Outcome::Throttled`] or [`Outcome::RateLimited`].
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        let words = Some(Box::new(Words { status, ..Words::default() }));
        Self { words, ..Self::judged(Verdict::of_status(status), format!("the provider answered {status}")) }
    }

    /// Changes the verdict, and the outcome with it.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        (self.verdict, self.outcome) = (verdict, verdict.outcome());
        self
    }

    /// Adds the error that it was made from.
    #[must_use]
    pub fn caused_by(mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(Source::new(error));
        self
    }

    /// Returns what a route and its account learn from the failure.
    pub(crate) fn report(&self) -> Report {
        let reached = match self {
            Self { spent: true, .. } => Reached::Work,
            Self { timed_out: true, .. } => Reached::Timeout,
            Self { unsent: true, .. } => Reached::Nothing,
            _ => Reached::Provider,
        };
        Report {
            verdict: self.verdict,
            words: self.words.as_ref().map_or(0, |words| words.fingerprint()),
            retry_after: self.retry_after,
            hints: *self.hints,
            reached,
            ..Report::new(self.outcome)
        }
    }

    /// Adds how long to stay away.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.get() })
    }
}
