//! What a caller is told, and what it can do.

use std::time::Duration;

use thiserror::Error;

use super::provider::Failure;
use crate::core::fair_queue::Refusal;
use crate::task::wire::Malformed;

/// Why a generation was refused or failed.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// The request itself is wrong; change it.
    #[error("invalid request: {0}")]
    InvalidRequest(#[from] Malformed),
    /// No such model; configure it, or ask for another.
    #[error("model {model:?} is not configured{}", near.as_ref().map_or(String::new(), |near| format!("; did you mean {near:?}?")))]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// The nearest configured name.
        near: Option<String>,
    },
    /// The model's queue is at capacity; come back later.
    #[error("the queue of this model is full; retry in {retry_after:.1?}")]
    QueueFull {
        /// When a place will likely be free.
        retry_after: Duration,
    },
    /// The tenant's share of the queue is used up; come back later or send less.
    #[error("this tenant has as many requests waiting as it may; retry in {retry_after:.1?}")]
    TenantQueueFull {
        /// When one of its places will likely be free.
        retry_after: Duration,
    },
    /// It would not be dispatched in the time it may wait; allow more, or come back later.
    #[error("the estimated wait of {estimate:.1?} exceeds what this request may wait; retry in {retry_after:.1?}")]
    DeadlineUnreachable {
        /// Estimated wait (P90).
        estimate: Duration,
        /// By how much it exceeds the time allowed.
        retry_after: Duration,
    },
    /// Every route is closed, or a drain is on; come back later.
    #[error("no provider can take this model now; retry in {retry_after:.1?}")]
    NoCapacity {
        /// When the next probe will tell.
        retry_after: Duration,
    },
    /// It waited as long as it may without being dispatched.
    #[error("waited {waited:.1?} without being dispatched; retry in {retry_after:.1?}")]
    QueueTimeout {
        /// How long it waited.
        waited: Duration,
        /// When the queue will likely have moved.
        retry_after: Duration,
    },
    /// The provider kept failing.
    #[error("the provider failed {attempts} times; retry in {retry_after:.1?}; last: {last}")]
    RetriesExhausted {
        /// Attempts made.
        attempts: u32,
        /// From the backoff.
        retry_after: Duration,
        /// The last failure.
        last: Box<Failure>,
    },
    /// The provider took the request and did not answer in time; retries are used up.
    #[error("the provider did not answer within the attempt's timeout, {attempts} times")]
    UpstreamTimeout {
        /// Attempts made.
        attempts: u32,
    },
    /// The attempt failed after the provider may have taken the work: sending it again could be paid twice. Look at the
    /// provider, or allow it with `retry.resubmit`.
    #[error("it is not known whether the provider did the work, and it was not sent again: {0}")]
    Unconfirmed(Box<Failure>),
    /// The provider refused the request itself (bad prompt, moderation, …): its answer is in the failure.
    #[error("the provider refused the request: {0}")]
    Rejected(Box<Failure>),
    /// The engine was stopped while the request was with it.
    #[error("the scheduler has stopped")]
    Stopped,
    /// A fault in the scheduler or in a provider adapter.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Returns the reason as `x-fairflow-reason` says it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::UnknownModel { .. } => "unknown_model",
            Self::QueueFull { .. } => "queue_full",
            Self::TenantQueueFull { .. } => "tenant_queue_full",
            Self::DeadlineUnreachable { .. } => "deadline_unreachable",
            Self::NoCapacity { .. } | Self::Stopped => "no_capacity",
            Self::QueueTimeout { .. } => "queue_timeout",
            Self::RetriesExhausted { .. } => "retries_exhausted",
            Self::UpstreamTimeout { .. } => "upstream_timeout",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Rejected(_) => "rejected",
            Self::Internal(_) => "internal",
        }
    }

    /// Returns the HTTP status of the refusal; a provider's own where it gave one.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest(_) => 400,
            Self::UnknownModel { .. } => 404,
            Self::QueueFull { .. } | Self::TenantQueueFull { .. } | Self::DeadlineUnreachable { .. } => 429,
            Self::NoCapacity { .. } | Self::RetriesExhausted { .. } | Self::Stopped => 503,
            Self::QueueTimeout { .. } | Self::UpstreamTimeout { .. } => 504,
            Self::Unconfirmed(failure) => {
                if failure.timed_out {
                    504
                } else {
                    502
                }
            }
            Self::Rejected(failure) => failure.upstream.as_ref().map_or(400, |upstream| upstream.status),
            Self::Internal(_) => 500,
        }
    }

    /// Returns when it makes sense to come back, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QueueFull { retry_after }
            | Self::TenantQueueFull { retry_after }
            | Self::DeadlineUnreachable { retry_after, .. }
            | Self::NoCapacity { retry_after }
            | Self::QueueTimeout { retry_after, .. }
            | Self::RetriesExhausted { retry_after, .. } => Some(*retry_after),
            Self::Stopped => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Says whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retry_after().is_some() || matches!(self, Self::UpstreamTimeout { .. })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::QueueFull { retry_after } => Self::QueueFull { retry_after },
            Refusal::TenantQueueFull { retry_after } => Self::TenantQueueFull { retry_after },
            Refusal::DeadlineUnreachable { estimate, retry_after } => {
                Self::DeadlineUnreachable { estimate, retry_after }
            }
        }
    }
}
