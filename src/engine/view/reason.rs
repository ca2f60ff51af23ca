//! The reasons why a request gets no answer.
//!
//! Each reason has one row in one table: statuses, codes of both dialects, counters and the dashboard's words are made of
//! it, and tests hold the API description and the guide against it. Words of the wire stay as they are once released.

use std::fmt;

/// The counters that a reason goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// `fairflow_rejected_total` without a model: the request is refused before a model knows of it.
    AtTheDoor,
    /// The model's `fairflow_requests_total` and `fairflow_rejected_total`: the answer is a refusal of the scheduler's.
    AsRejected,
    /// The model's `fairflow_requests_total` alone.
    AsEnded,
}

/// Properties of a reason.
struct Row {
    name: &'static str,
    status: u16,
    /// The codes that OpenAI's and Runware's SDKs know.
    codes: (&'static str, &'static str),
    counted: Counted,
    text: &'static str,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident: $status:literal $name:literal, $openai:literal, $runware:literal, $counted:ident, $text:literal;)*) => {
        /// A reason why a request gets no answer, as `x-fairflow-reason` names it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $reason,)*
        }

        const ROWS: &[Row] = &[$(Row {
            name: $name,
            status: $status,
            codes: ($openai, $runware),
            counted: Counted::$counted,
            text: $text,
        },)*];

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$reason),*];
        }
    };
}

reasons! {
    /// The request has a wrong field, header or form: change it.
    InvalidRequest: 400 "invalid_request", "invalid_request", "invalidParameter", AtTheDoor, "Refused: invalid request";
    /// The model is not configured.
    UnknownModel: 404 "unknown_model", "model_not_found", "invalidModel", AtTheDoor, "Refused: unknown model";
    /// The tenant may not use the model.
    ModelForbidden: 403 "model_forbidden", "model_forbidden", "invalidModel", AtTheDoor, "Refused: the tenant may not use the model";
    /// The key is missing or unknown.
    InvalidKey: 401 "invalid_key", "invalid_api_key", "invalidApiKey", AtTheDoor, "Refused: invalid key";
    /// The body exceeds `server.max_body`.
    BodyTooLarge: 413 "body_too_large", "body_too_large", "invalidParameter", AtTheDoor, "Refused: body too large";
    /// The request comes from a web page that may not use the port.
    ForeignPage: 403 "foreign_page", "foreign_page", "invalidParameter", AtTheDoor, "Refused: another web page";
    /// The gateway does not serve the path, or not by the method.
    UnknownPath: 404 "unknown_path", "invalid_request", "invalidParameter", AtTheDoor, "Refused: unknown path or method";
    /// The tenant has no such video or response, or has it no more.
    NotFound: 404 "not_found", "invalid_request", "invalidParameter", AtTheDoor, "Refused: nothing of that name";
    /// The task's UUID stands for another task.
    Conflict: 400 "conflict", "conflict", "conflictTaskUUID", AtTheDoor, "Refused: taskUUID in use";
    /// The synchronous task takes longer than its SDK waits.
    SyncTimeout: 504 "sync_timeout", "sync_timeout", "syncTimeout", AtTheDoor, "Too slow for a synchronous task";
    /// The tenant's budget of the day is used up or set aside.
    BudgetExhausted: 429 "budget_exhausted", "insufficient_quota", "insufficientQuota", AsRejected, "Refused: budget used up";
    /// The model's queue is at capacity.
    QueueFull: 429 "queue_full", "queue_full", "rateLimitExceeded", AsRejected, "Refused: queue full";
    /// The tenant's share of the queue is used up.
    TenantQueueFull: 429 "tenant_queue_full", "tenant_queue_full", "rateLimitExceeded", AsRejected, "Refused: tenant’s queue full";
    /// The estimated wait exceeds what the request may wait.
    DeadlineUnreachable: 429 "deadline_unreachable", "deadline_unreachable", "rateLimitExceeded", AsRejected, "Refused: would wait too long";
    /// Every route is closed, or a drain is on.
    NoCapacity: 503 "no_capacity", "no_capacity", "serviceUnavailable", AsRejected, "Refused: no open route";
    /// The request waited as long as it may without being dispatched.
    QueueTimeout: 504 "queue_timeout", "queue_timeout", "queueTimeout", AsRejected, "Waited too long";
    /// The provider kept failing, or the retry budget is used up.
    RetriesExhausted: 503 "retries_exhausted", "retries_exhausted", "serviceUnavailable", AsRejected, "The provider kept failing";
    /// The provider did not answer within the attempts' timeout.
    UpstreamTimeout: 504 "upstream_timeout", "upstream_timeout", "providerTimeout", AsRejected, "The provider did not answer";
    /// The caller's deadline passed before the answer was there.
    DeadlineExceeded: 504 "deadline_exceeded", "deadline_exceeded", "serviceUnavailable", AsEnded, "Not done by the caller’s deadline";
    /// The provider may have done the work of a failed attempt, which is not sent again; 504 after a timeout.
    Unconfirmed: 502 "unconfirmed", "unconfirmed", "serviceUnavailable", AsEnded, "Failed, and perhaps paid for";
    /// The provider refused the request itself; the status is the provider's, where it gave one.
    Rejected: 400 "rejected", "rejected", "invalidRequest", AsEnded, "Rejected by the provider";
    /// The provider's dialect has no form for a part of the request.
    Untranslatable: 400 "untranslatable", "untranslatable", "unsupportedParameter", AsEnded, "Refused: no form in the provider’s dialect";
    /// The scheduler, an adapter or a closure has a fault.
    Internal: 500 "internal", "internal", "serviceUnavailable", AsEnded, "Internal error";
}

impl Reason {
    const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// Returns the name used in `x-fairflow-reason`, in metric labels and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Returns the HTTP status of a refusal for this reason, unless [`Error::status`](crate::Error::status) or a
    /// provider's own answer is more exact.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// Returns the reason in words, as the dashboard shows it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().text
    }

    /// Returns the position in [`ALL`](Self::ALL), for counters kept in arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns the code that OpenAI's SDKs know.
    #[must_use]
    pub const fn openai_code(self) -> &'static str {
        self.row().codes.0
    }

    /// Returns the code that Runware's SDKs know.
    #[must_use]
    pub const fn runware_code(self) -> &'static str {
        self.row().codes.1
    }

    /// Returns the counters that the reason goes into.
    pub(crate) const fn counted(self) -> Counted {
        self.row().counted
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The way in which a request ended, as `fairflow_requests_total` labels it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestOutcome {
    /// The caller got its answer.
    Success,
    /// The caller went away.
    Cancelled,
    /// The caller got a refusal.
    Refused(Reason),
}

impl RequestOutcome {
    /// How many there are.
    pub(crate) const COUNT: usize = Reason::ALL.len() + 2;

    /// Returns every outcome, in the order of its counters.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Success, Self::Cancelled].into_iter().chain(Reason::ALL.iter().copied().map(Self::Refused))
    }

    /// Returns the name used as a metric label and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Cancelled => "cancelled",
            Self::Refused(reason) => reason.as_str(),
        }
    }

    /// Returns the outcome in words, as the dashboard shows it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Success => "Answered",
            Self::Cancelled => "The caller went away",
            Self::Refused(reason) => reason.text(),
        }
    }

    /// Says whether `fairflow_rejected_total` counts the request too.
    #[must_use]
    pub const fn is_rejected(self) -> bool {
        matches!(self, Self::Refused(reason) if matches!(reason.counted(), Counted::AsRejected))
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Cancelled => 1,
            Self::Refused(reason) => 2 + reason.index(),
        }
    }
}

impl fmt::Display for RequestOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_and_a_status_of_an_error() {
        let names: BTreeSet<_> = RequestOutcome::all().map(RequestOutcome::as_str).collect();
        assert_eq!(names.len(), RequestOutcome::COUNT);
        for (place, outcome) in RequestOutcome::all().enumerate() {
            assert_eq!(outcome.index(), place, "{outcome}");
        }
        for reason in Reason::ALL {
            assert!((400..600).contains(&reason.status()), "{reason}");
            assert!(!reason.text().is_empty(), "{reason}");
        }
    }
}
