//! How one attempt ended, as the controllers see it.

/// The outcome of one attempt at a provider.
///
/// Classification comes before control: each outcome moves exactly one machine, and two of them move none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The generation was delivered.
    Success,
    /// A 429 that speaks of concurrency: a reading of the provider's capacity.
    Throttled,
    /// A 429 of a rate or a quota: moves the pacer, never the window.
    RateLimited,
    /// 502, 503, 504, 529, a broken connection or an attempt that ran into its timeout.
    Overloaded,
    /// The provider failed at this request without a word of load (500 and its like, an answer that is none, a route that
    /// is gone): the breaker's matter, no signal to window or pacer. Another attempt may succeed.
    Failed,
    /// Any other 4xx: the caller's fault, no signal.
    Rejected,
    /// The caller went away: no signal.
    Cancelled,
}

impl Outcome {
    /// Every outcome, in the order of [`index`](Self::index).
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::Throttled,
        Self::RateLimited,
        Self::Overloaded,
        Self::Failed,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// Returns the name used as a metric label and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Throttled => "throttled",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the position in [`ALL`](Self::ALL), for counters kept in arrays.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Says whether another attempt may succeed where this one failed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::RateLimited | Self::Overloaded | Self::Failed)
    }
}
