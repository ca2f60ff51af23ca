//! What is known of a provider's rates: from the config, and from the headers of its responses.

use std::time::Duration;

/// A window longer than this is a budget: it is used as fast as the work wants, and stopped when it is spent. Up to here
/// it is a rate, and paced. Ten minutes: above what providers call a rate, below the hours and days of their quotas.
pub const LONG: Duration = Duration::from_secs(600);

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

/// What a limit counts, and over which kind of window.
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

    /// What a request of `tokens` takes.
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

/// What a response's headers say about one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RateHint {
    /// Size of the bucket, where stated.
    pub limit: Option<f64>,
    /// What is left in it.
    pub remaining: f64,
    /// How long until it is full again, where stated.
    pub reset: Option<Duration>,
    /// The span in which `limit` may be used, where stated.
    pub window: Option<Duration>,
    /// Whether the bucket fills at once when `reset` is over, rather than steadily until then.
    pub at_once: bool,
}

impl RateHint {
    /// Says whether nothing is left.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.remaining < 1.0
    }

    /// Returns when one unit is back, where the headers let one tell.
    #[must_use]
    pub fn next_unit(&self) -> Option<Duration> {
        let units = self.limit.filter(|limit| *limit >= 1.0 && !self.at_once).unwrap_or(1.0);
        self.reset.map(|reset| reset.div_f64(units))
    }

    pub(super) fn is_sane(&self) -> bool {
        let whole = |value: f64| value.is_finite() && value >= 0.0;
        whole(self.remaining) && self.limit.is_none_or(whole)
    }
}

/// What a response says about rates: authoritative on every response, refused or not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RateHints {
    /// Requests.
    pub requests: Option<RateHint>,
    /// Tokens.
    pub tokens: Option<RateHint>,
    /// Images; each request is taken for one.
    pub images: Option<RateHint>,
    /// Requests within a window that is stated to be [`LONG`], beside those within a short one.
    pub long_requests: Option<RateHint>,
    /// Tokens within such a window.
    pub long_tokens: Option<RateHint>,
}

impl RateHints {
    /// Returns the dimensions of which nothing is left.
    pub fn used_up(&self) -> impl Iterator<Item = RateHint> {
        let all = Dimension::ALL.into_iter().filter_map(|dimension| dimension.of(*self));
        all.filter(RateHint::is_used_up)
    }
}
