//! Rates of a provider that the configuration states, and the tokens that a limit counts.

use crate::core::hint::{RateHint, RateHints};

/// Known rate limits; a missing one is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Requests per minute, above 0.
    pub requests_per_minute: Option<f64>,
    /// Tokens (cost units) per minute, above 0.
    pub tokens_per_minute: Option<f64>,
}

/// Known budgets; a missing one is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budgets {
    /// Requests per day, at least 1.
    pub requests_per_day: Option<f64>,
    /// Tokens per day, at least 1.
    pub tokens_per_day: Option<f64>,
}

/// The dimension of a limit: what it counts, and over which kind of window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Requests,
    Tokens,
    Images,
    LongRequests,
    LongTokens,
}

impl Dimension {
    pub(super) const ALL: [Self; 5] =
        [Self::Requests, Self::Tokens, Self::Images, Self::LongRequests, Self::LongTokens];

    pub(super) fn is_of_tokens(self) -> bool {
        matches!(self, Self::Tokens | Self::LongTokens)
    }

    /// Returns the units that a request of `tokens` takes.
    pub(super) fn units(self, tokens: f64) -> f64 {
        if self.is_of_tokens() { tokens } else { 1.0 }
    }

    pub(super) fn of(self, hints: RateHints) -> Option<RateHint> {
        match self {
            Self::Requests => hints.requests,
            Self::Tokens => hints.tokens,
            Self::Images => hints.images,
            Self::LongRequests => hints.long_requests,
            Self::LongTokens => hints.long_tokens,
        }
    }
}
