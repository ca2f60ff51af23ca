//! The errors of callers: each variant names a thing that the caller can do.

use std::time::Duration;

use thiserror::Error;

use super::reason::Reason;
use crate::contract::failure::Failure;
use crate::core::fair_queue::Refusal;
use crate::wire::Malformed;
use crate::wire::openai::translatable::Untranslatable;

/// An error that ends a request: a refusal, or a failure.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Error {
    /// The request itself is wrong; change it.
    #[error("invalid request: {0}")]
    InvalidRequest(#[from] Malformed),
    /// No such model; configure it, or ask for another.
    #[error("model {model:?} is not configured{}", near.as_ref().map_or(String::new(), |near| format!("; did you mean {near:?}?")))]
    UnknownModel {
        /// Model that was asked for.
        model: String,
        /// The nearest configured name.
        near: Option<String>,
    },
    /// The tenant may not use this model; ask for another, or change `models` of its tier.
    #[error("this tenant may not use model {model:?}; GET /v1/models lists those it may")]
    ModelForbidden {
        /// Model that was asked for.
        model: String,
    },
    /// The tenant has spent what it may today, or requests under way hold the rest; come back later, or raise the budget.
    #[error("the budget of {budget} US dollars a day is used up; retry in {retry_after:.1?}")]
    BudgetExhausted {
        /// US dollars per UTC day.
        budget: f64,
        /// Until midnight UTC; about a second while requests under way hold the rest.
        retry_after: Duration,
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
    /// The request would not be dispatched in the time it may wait; allow more, or come back later.
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
    /// The request waited as long as it may without being dispatched; come back later, or allow a longer wait.
    #[error("waited {waited:.1?} without being dispatched; retry in {retry_after:.1?}")]
    QueueTimeout {
        /// How long it waited.
        waited: Duration,
        /// When the queue will likely have moved.
        retry_after: Duration,
    },
    /// The provider kept failing, or the retry budget is used up; come back later.
    #[error("the provider failed {attempts} times; retry in {retry_after:.1?}; last: {last}")]
    RetriesExhausted {
        /// Attempts made.
        attempts: u32,
        /// From the backoff.
        retry_after: Duration,
        /// The last failure; the closure's own error behind it: [`Error::cause`].
        #[source]
        last: Box<Failure>,
    },
    /// The provider took the request and did not answer in time; retries are used up. Come back later, ask for less, or
    /// allow a longer `timeout`. The provider may have done the work all the same.
    #[error(
        "the provider did not answer within the attempt's timeout, {attempts} times; come back later or ask for less"
    )]
    UpstreamTimeout {
        /// Attempts made.
        attempts: u32,
    },
    /// The attempt failed after the provider may have taken the work: sending it again could be paid twice. Look at the
    /// provider, or allow it with `retry.resubmit`.
    #[error("it is not known whether the provider did the work, and it was not sent again: {0}")]
    Unconfirmed(#[source] Box<Failure>),
    /// The provider refused the request itself (bad prompt, moderation, …), or the closure of a call gave up on it: change
    /// it. The provider's answer is in the failure, the closure's own error behind it: [`Error::cause`].
    #[error("the provider refused the request: {0}")]
    Rejected(#[source] Box<Failure>),
    /// The moment by which the caller wanted its answer has passed; allow more time.
    #[error("the answer was not there by the deadline asked for; allow more time")]
    DeadlineExceeded,
    /// The engine was stopped while the request was with it; start another.
    #[error("the scheduler has stopped; send the request again")]
    Stopped,
    /// A fault in the scheduler, in a provider adapter or in a closure; a bug to be reported to whoever wrote it.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Returns the reason, as `x-fairflow-reason` names it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::InvalidRequest(_) => Reason::InvalidRequest,
            Self::UnknownModel { .. } => Reason::UnknownModel,
            Self::ModelForbidden { .. } => Reason::ModelForbidden,
            Self::BudgetExhausted { .. } => Reason::BudgetExhausted,
            Self::QueueFull { .. } => Reason::QueueFull,
            Self::TenantQueueFull { .. } => Reason::TenantQueueFull,
            Self::DeadlineUnreachable { .. } => Reason::DeadlineUnreachable,
            Self::NoCapacity { .. } | Self::Stopped => Reason::NoCapacity,
            Self::QueueTimeout { .. } => Reason::QueueTimeout,
            Self::RetriesExhausted { .. } => Reason::RetriesExhausted,
            Self::UpstreamTimeout { .. } => Reason::UpstreamTimeout,
            Self::Unconfirmed(_) => Reason::Unconfirmed,
            Self::Rejected(_) if self.cause::<Untranslatable>().is_some() => Reason::Untranslatable,
            Self::Rejected(_) => Reason::Rejected,
            Self::DeadlineExceeded => Reason::DeadlineExceeded,
            Self::Internal(_) => Reason::Internal,
        }
    }

    /// Returns the HTTP status of the refusal: the reason's, unless a provider gave its own or ran into a timeout.
    #[must_use]
    pub fn status(&self) -> u16 {
        let own = match self {
            Self::Unconfirmed(failure) => failure.timed_out.then_some(504),
            Self::Rejected(failure) => failure.upstream.as_ref().map(|upstream| upstream.status),
            _ => None,
        };
        own.unwrap_or(self.reason().status())
    }

    /// Returns how long to wait before the request is worth sending again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QueueFull { retry_after }
            | Self::BudgetExhausted { retry_after, .. }
            | Self::TenantQueueFull { retry_after }
            | Self::DeadlineUnreachable { retry_after, .. }
            | Self::NoCapacity { retry_after }
            | Self::QueueTimeout { retry_after, .. }
            | Self::RetriesExhausted { retry_after, .. } => Some(*retry_after),
            Self::Stopped => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Returns the failure of the last attempt, where an attempt was made.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Rejected(failure) | Self::Unconfirmed(failure) | Self::RetriesExhausted { last: failure, .. } => {
                Some(failure)
            }
            _ => None,
        }
    }

    /// Returns the error of the caller's own client behind the failure, where it is an `E`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use fairflow::{Config, Fairflow};
    /// let fairflow = Fairflow::builder(Config::demo()).start().await?;
    /// let refused = fairflow.call("sim-text", |_| async { "x".parse::<u32>() }).await.unwrap_err();
    /// assert!(refused.cause::<std::num::ParseIntError>().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cause<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.failure()?.source.as_ref()?.get().downcast_ref()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::failure::Source;
    use crate::core::outcome::Outcome;

    #[test]
    fn the_callers_own_error_is_found_wherever_an_attempt_failed() {
        let failure = || {
            let source = "x".parse::<u32>().expect_err("no number");
            Box::new(Failure { source: Some(Source::new(source)), ..Failure::new(Outcome::Failed, "x") })
        };
        let retry_after = Duration::from_secs(1);
        for error in [
            Error::Unconfirmed(failure()),
            Error::Rejected(failure()),
            Error::RetriesExhausted { attempts: 1, retry_after, last: failure() },
        ] {
            assert!(error.cause::<std::num::ParseIntError>().is_some(), "{}", error.reason());
        }
        assert!(Error::UpstreamTimeout { attempts: 1 }.failure().is_none());
    }

    #[test]
    fn a_status_is_the_reasons_unless_the_provider_says_more() {
        assert_eq!(Error::Stopped.status(), 503);
        let mut failure = Failure::new(Outcome::Failed, "x");
        assert_eq!(Error::Unconfirmed(Box::new(failure.clone())).status(), 502);
        failure.timed_out = true;
        assert_eq!(Error::Unconfirmed(Box::new(failure.clone())).status(), 504);
        assert_eq!(Error::Rejected(Box::new(failure)).status(), 400);
    }
}
