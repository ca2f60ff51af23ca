//! Counters of one model, read at scrape time; no metrics library is needed to embed the scheduler.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use super::reason::RequestOutcome;
pub use super::restarts::{ActorKind, ExitCause, RestartCount};
use crate::core::estimate::Forecast;
use crate::core::ledger::Money;
use crate::core::outcome::Outcome;
use crate::core::tariff::Paid;
use crate::core::verdict::{Matter, Scope, Verdict};
use crate::core::window::ChangeKind;

/// Upper bounds in seconds of the duration histograms: 5 ms to 10 minutes, so that both an embedding and a video fall
/// into the middle.
pub const BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Upper bounds of the token histograms, those that OpenTelemetry advises for `gen_ai.client.token.usage`.
pub const TOKEN_BOUNDS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Upper bounds of the ratio of a wait to its forecast: 1 is exact.
pub const RATIO_BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0, 10.0, 100.0];

/// How a wait turned out against the forecast its request was admitted under, as `fairflow_wait_forecasts_total` labels
/// it; `none` for one without a forecast.
pub const FORECAST_OUTCOMES: &[&str] = &["within_p50", "within_p90", "beyond_p90", "none"];

/// Waits up to this long count as none: one tick of the queue plus the delay of messages.
const AT_ONCE: Duration = Duration::from_millis(5);

/// A histogram of durations in seconds, of tokens, or of ratios.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Box<[AtomicU64]>,
    /// In parts of the unit: nanoseconds, tokens, or millionths.
    sum: AtomicU64,
    parts: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64], parts: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0), parts }
    }

    fn durations() -> Self {
        Self::new(BOUNDS, 1e9)
    }

    pub(crate) fn record(&self, span: Duration) {
        self.add(span.as_secs_f64(), u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    fn add(&self, value: f64, parts: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(parts, Ordering::Relaxed);
    }

    /// Returns the upper bounds of its buckets; one more bucket holds everything above the highest.
    #[must_use]
    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Returns what the histogram has counted so far.
    #[must_use]
    pub fn read(&self) -> Reading {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        #[allow(clippy::cast_precision_loss, reason = "a metric")]
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.parts;
        Reading { sum, counts }
    }
}

/// Reading of a [`Histogram`]: its counts so far.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// Sum of all values, in the histogram's unit.
    pub sum: f64,
    /// Values per bucket; the last bucket holds everything above the highest bound.
    pub counts: Vec<u64>,
}

/// Counters of one model.
#[derive(Debug)]
pub struct Stats {
    requests: [AtomicU64; RequestOutcome::COUNT],
    attempts: [AtomicU64; Outcome::ALL.len()],
    window_changes: [AtomicU64; ChangeKind::ALL.len()],
    verdicts: [[AtomicU64; Matter::ALL.len()]; Scope::ALL.len()],
    /// Tokens read per success, where the provider told.
    pub input_tokens: Histogram,
    /// Tokens written per success, where the provider told.
    pub output_tokens: Histogram,
    /// Billionths of a US dollar that answers have cost, those among them that are estimates, and answers to tenants with
    /// a budget of which nobody told.
    spent: AtomicU64,
    estimated: AtomicU64,
    unpriced: AtomicU64,
    forecasts: [AtomicU64; FORECAST_OUTCOMES.len()],
    /// Wait ÷ its forecast (P50), of first dispatches that had one.
    pub forecast_ratio: Histogram,
    /// Room in the retry budget, in thousandths of a retry.
    retry_budget: AtomicU64,
    /// Admission to dispatch, per dispatch.
    pub queue_wait: Histogram,
    /// Dispatch to completion, of successes.
    pub service: Histogram,
    /// Admission to answer, of successes.
    pub sojourn: Histogram,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            attempts: Default::default(),
            window_changes: Default::default(),
            verdicts: Default::default(),
            input_tokens: Histogram::new(TOKEN_BOUNDS, 1.0),
            output_tokens: Histogram::new(TOKEN_BOUNDS, 1.0),
            forecasts: Default::default(),
            forecast_ratio: Histogram::new(RATIO_BOUNDS, 1e6),
            spent: AtomicU64::new(0),
            estimated: AtomicU64::new(0),
            unpriced: AtomicU64::new(0),
            retry_budget: AtomicU64::new(0),
            queue_wait: Histogram::durations(),
            service: Histogram::durations(),
            sojourn: Histogram::durations(),
        }
    }
}

impl Stats {
    pub(crate) fn request(&self, outcome: RequestOutcome) {
        self.requests[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many requests were answered.
    pub(crate) fn served(&self) -> u64 {
        self.requests[RequestOutcome::Success.index()].load(Ordering::Relaxed)
    }

    pub(crate) fn attempt(&self, outcome: Outcome) {
        self.attempts[outcome.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn window_change(&self, kind: ChangeKind) {
        self.window_changes[kind.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn verdict(&self, verdict: Verdict) {
        self.verdicts[verdict.scope.index()][verdict.matter.index()].fetch_add(1, Ordering::Relaxed);
    }

    #[allow(clippy::cast_precision_loss, reason = "finds a bucket; the sum is exact")]
    pub(crate) fn count_tokens(&self, input: Option<u64>, output: Option<u64>) {
        for (histogram, tokens) in [&self.input_tokens, &self.output_tokens].into_iter().zip([input, output]) {
            if let Some(tokens) = tokens {
                histogram.add(tokens as f64, tokens);
            }
        }
    }

    /// Records how a wait compares with its forecast. Requests that were expected to be dispatched at once, and were, are
    /// not counted.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    pub(crate) fn forecast(&self, promised: Option<Forecast>, waited: Duration) {
        let seconds = waited.as_secs_f64();
        let outcome = match promised {
            None if waited <= AT_ONCE => return,
            None => 3,
            Some(promised) => {
                // A tick is added to both, so that a wait below the queue's resolution is not an endless error.
                let tick = 0.001;
                let ratio = (seconds + tick) / (promised.p50 + tick);
                self.forecast_ratio.add(ratio, (ratio * 1e6) as u64);
                usize::from(seconds > promised.p50 + tick) + usize::from(seconds > promised.p90 + tick)
            }
        };
        self.forecasts[outcome].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what an answer cost; `wanted` says that somebody's budget depends on it.
    pub(crate) fn count_cost(&self, paid: Paid, wanted: bool) {
        match paid {
            Paid::Told(cost) => drop(self.spent.fetch_add(cost.nanos(), Ordering::Relaxed)),
            Paid::Estimated(cost) => {
                self.spent.fetch_add(cost.nanos(), Ordering::Relaxed);
                self.estimated.fetch_add(cost.nanos(), Ordering::Relaxed);
            }
            Paid::Unknown => drop(self.unpriced.fetch_add(wanted.into(), Ordering::Relaxed)),
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and saturates")]
    pub(crate) fn set_retry_budget(&self, room: f64) {
        self.retry_budget.store((room * 1e3) as u64, Ordering::Relaxed);
    }

    /// Returns how many requests ended in each way.
    pub fn requests(&self) -> impl Iterator<Item = (RequestOutcome, u64)> {
        RequestOutcome::all().zip(&self.requests).map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    /// Returns how many attempts had each outcome.
    pub fn attempts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL
            .iter()
            .copied()
            .zip(&self.attempts)
            .map(|(outcome, count)| (outcome, count.load(Ordering::Relaxed)))
    }

    /// Returns how often windows changed, by kind.
    pub fn window_changes(&self) -> impl Iterator<Item = (ChangeKind, u64)> {
        ChangeKind::ALL
            .iter()
            .copied()
            .zip(&self.window_changes)
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// Returns how many answers that were no success were judged to be whose matter, and about what.
    pub fn verdicts(&self) -> impl Iterator<Item = ((Scope, Matter), u64)> {
        let of = |(scope, counts): (Scope, &'_ [AtomicU64; Matter::ALL.len()])| {
            let count = move |matter: Matter| ((scope, matter), counts[matter.index()].load(Ordering::Relaxed));
            Matter::ALL.iter().copied().map(count).collect::<Vec<_>>()
        };
        Scope::ALL.iter().copied().zip(&self.verdicts).flat_map(of)
    }

    /// Returns how waits turned out against their forecasts.
    pub fn forecasts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        FORECAST_OUTCOMES
            .iter()
            .copied()
            .zip(&self.forecasts)
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }

    /// Returns the US dollars that answers have cost, as far as providers or prices told.
    #[must_use]
    pub fn spent_dollars(&self) -> f64 {
        Money::from_nanos(self.spent.load(Ordering::Relaxed)).dollars()
    }

    /// Returns the US dollars among them that are estimates: of answers whose provider told neither what they cost nor
    /// what they used, and of those that ended before it could.
    #[must_use]
    pub fn estimated_dollars(&self) -> f64 {
        Money::from_nanos(self.estimated.load(Ordering::Relaxed)).dollars()
    }

    /// Returns how many answers to tenants with a budget, or a tier above theirs, nobody told the cost of.
    #[must_use]
    pub fn unpriced(&self) -> u64 {
        self.unpriced.load(Ordering::Relaxed)
    }

    /// Returns how many retries the budget has room for.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    pub fn retry_budget_remaining(&self) -> f64 {
        self.retry_budget.load(Ordering::Relaxed) as f64 / 1e3
    }
}
