//! Counters of one model, read at scrape time; no metrics library is needed to embed the scheduler.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::core::outcome::Outcome;
use crate::core::window::ChangeKind;

/// Upper bounds in seconds of the duration histograms: 5 ms to 10 minutes, so that both an embedding and a video fall
/// into the middle.
pub const BOUNDS: [f64; 16] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    pub(crate) fn record(&self, span: Duration) {
        let seconds = span.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_nanos.fetch_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns the sum in seconds and the count per bucket; the last bucket is everything above the highest bound.
    #[must_use]
    pub fn read(&self) -> (f64, Vec<u64>) {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        #[allow(clippy::cast_precision_loss, reason = "a metric")]
        let sum = self.sum_nanos.load(Ordering::Relaxed) as f64 / 1e9;
        (sum, counts)
    }
}

/// How a request ended, as `fairflow_requests_total` labels it: `success` or the reason of the refusal.
pub const REQUEST_OUTCOMES: [&str; 14] = [
    "success",
    "cancelled",
    "invalid_request",
    "unknown_model",
    "queue_full",
    "tenant_queue_full",
    "deadline_unreachable",
    "no_capacity",
    "queue_timeout",
    "retries_exhausted",
    "upstream_timeout",
    "unconfirmed",
    "rejected",
    "internal",
];

/// Counters of one model.
#[derive(Debug, Default)]
pub struct Stats {
    requests: [AtomicU64; REQUEST_OUTCOMES.len()],
    attempts: [AtomicU64; Outcome::ALL.len()],
    window_changes: [AtomicU64; ChangeKind::ALL.len()],
    /// Tokens read and written.
    tokens: [AtomicU64; 2],
    /// Room in the retry budget, in thousandths of a retry.
    retry_budget: AtomicU64,
    /// Admission to dispatch, per dispatch.
    pub queue_wait: Histogram,
    /// Dispatch to completion, of successes.
    pub service: Histogram,
    /// Admission to answer, of successes.
    pub sojourn: Histogram,
}

impl Stats {
    pub(crate) fn request(&self, outcome: &str) {
        if let Some(index) = REQUEST_OUTCOMES.iter().position(|name| *name == outcome) {
            self.requests[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn attempt(&self, outcome: Outcome) {
        self.attempts[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn window_change(&self, kind: ChangeKind) {
        self.window_changes[kind.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn tokens(&self, input: Option<u64>, output: Option<u64>) {
        for (counter, tokens) in self.tokens.iter().zip([input, output]) {
            counter.fetch_add(tokens.unwrap_or(0), Ordering::Relaxed);
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    pub(crate) fn set_retry_budget(&self, room: f64) {
        self.retry_budget.store((room * 1e3) as u64, Ordering::Relaxed);
    }

    /// Returns how many requests ended in each way.
    pub fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REQUEST_OUTCOMES.into_iter().zip(&self.requests).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// Returns how many attempts had each outcome.
    pub fn attempts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(&self.attempts).map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    /// Returns how often windows changed, by kind.
    pub fn window_changes(&self) -> impl Iterator<Item = (ChangeKind, u64)> {
        ChangeKind::ALL.into_iter().zip(&self.window_changes).map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// Returns the tokens read and written so far.
    #[must_use]
    pub fn token_totals(&self) -> [u64; 2] {
        [&self.tokens[0], &self.tokens[1]].map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Returns how many retries the budget has room for.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    pub fn retry_budget_remaining(&self) -> f64 {
        self.retry_budget.load(Ordering::Relaxed) as f64 / 1e3
    }
}
