//! Rate hints in the headers of a provider's response.

use std::time::Duration;

/// A window longer than this is a budget: it is used as fast as the work wants, and stopped when it is spent. Up to here
/// it is a rate, and paced. Ten minutes: above what providers call a rate, below the hours and days of their quotas.
pub const LONG: Duration = Duration::from_secs(600);

/// A rate hint: what a response's headers say about one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct RateHint {
    /// Size of the bucket, where stated.
    pub limit: Option<f64>,
    /// Units left in the bucket.
    pub remaining: f64,
    /// Time until the bucket is full again, where stated.
    pub reset: Option<Duration>,
    /// The span in which `limit` may be used, where stated.
    pub window: Option<Duration>,
    /// Whether the bucket fills at once when `reset` is over, rather than steadily until then.
    pub at_once: bool,
}

impl RateHint {
    /// Begins with the units that are left in the bucket.
    ///
    /// # Examples
    ///
    /// ```
    /// use fairflow::provider::{RateHint, RateHints};
    /// use std::time::Duration;
    ///
    /// let requests = RateHint::new(12.0).limit(60.0).reset(Duration::from_secs(48));
    /// let hints = RateHints::new().requests(requests);
    /// assert_eq!(hints.requests, Some(requests));
    /// ```
    #[must_use]
    pub fn new(remaining: f64) -> Self {
        Self { remaining, ..Self::default() }
    }

    /// Sets the size of the bucket.
    #[must_use]
    pub fn limit(self, units: f64) -> Self {
        Self { limit: Some(units), ..self }
    }

    /// Sets the time until the bucket is full again.
    #[must_use]
    pub fn reset(self, time: Duration) -> Self {
        Self { reset: Some(time), ..self }
    }

    /// Sets the span in which `limit` may be used.
    #[must_use]
    pub fn window(self, span: Duration) -> Self {
        Self { window: Some(span), ..self }
    }

    /// Says whether the bucket fills at once when `reset` is over; default false, steadily until then.
    #[must_use]
    pub fn at_once(self, at_once: bool) -> Self {
        Self { at_once, ..self }
    }

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

/// The rate hints of a response: authoritative on every response, refused or not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
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
    /// Begins with nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the hint on requests.
    #[must_use]
    pub fn requests(self, hint: RateHint) -> Self {
        Self { requests: Some(hint), ..self }
    }

    /// Sets the hint on tokens.
    #[must_use]
    pub fn tokens(self, hint: RateHint) -> Self {
        Self { tokens: Some(hint), ..self }
    }

    /// Sets the hint on images.
    #[must_use]
    pub fn images(self, hint: RateHint) -> Self {
        Self { images: Some(hint), ..self }
    }

    /// Returns the dimensions of which nothing is left.
    pub fn used_up(&self) -> impl Iterator<Item = RateHint> {
        let all = [self.requests, self.tokens, self.images, self.long_requests, self.long_tokens];
        all.into_iter().flatten().filter(RateHint::is_used_up)
    }
}
