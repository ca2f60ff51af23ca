//! How service time depends on the size of a request, and how much it scatters.
//!
//! Requests of one model differ: an image of 4 megapixels takes longer than one
//! of 1. Left in, that scatter hides the effect of the window: detecting a
//! change δ of throughput takes about (2 · CV ÷ δ)² completions. So service time
//! is regressed on the predicted cost, and every measurement is made in units
//! of a request of mean size.
//!
//! Only the *relative* effect of size is used. It is normalised to 1 at the mean
//! size, so a service time that rises because of load stays visible.

/// Weight that old samples lose per new one. 1/256: the regression remembers about 256 requests, enough to fix a slope to
/// a few per cent, and forgets a changed model in minutes.
const FORGET: f64 = 1.0 / 256.0;

/// Samples needed before the slope is believed at all.
const SLOPE_SAMPLES: f64 = 16.0;

/// Least prediction of the regression, as a share of the mean: a negative prediction of a tiny request would turn its
/// sample into infinity.
const FLOOR: f64 = 0.1;

/// Least coefficient of variation that is reported: below, the arithmetic of significance would trust a lucky streak.
const LEAST_CV: f64 = 0.05;

/// Largest coefficient of variation that is reported: above, one outlier would stop all learning.
const LARGEST_CV: f64 = 1.5;

/// Share of the highest scatter forgotten per sample: thousands of requests.
const PEAK_FORGET: f64 = 1.0 / 4096.0;

/// Assumed variance of the logarithm while nothing is known: a coefficient of
/// variation of 0.6.
const SCATTER_PRIOR: f64 = 0.31;

/// Weight of [`SCATTER_PRIOR`], in samples.
const PRIOR_WEIGHT: f64 = 4.0;

/// Exponentially forgetting regression of service time on size, with scatter.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    weight: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
    /// Mean of the logarithm of the normalised service time.
    log: f64,
    /// Variance of that logarithm.
    scatter: f64,
    /// The highest scatter lately.
    peak: f64,
}

impl Shape {
    /// Learns from one success: its size, and its service time in seconds.
    pub(super) fn learn(&mut self, size: f64, seconds: f64) {
        let log = (seconds / self.relative(size)).max(1e-9).ln();
        self.weight += (1.0 - self.weight) * FORGET;
        // The gain of an exponential mean that starts without bias.
        let gain = (FORGET / self.weight).max(FORGET);
        let (dx, dy) = (size - self.x, seconds - self.y);
        self.x += gain * dx;
        self.y += gain * dy;
        let keep = 1.0 - gain;
        let dl = log - self.log;
        self.log += gain * dl;
        self.scatter = keep * (self.scatter + gain * dl * dl);
        self.peak = self.now().max(self.peak * (1.0 - PEAK_FORGET));
        self.xx = keep * (self.xx + gain * dx * dx);
        self.xy = keep * (self.xy + gain * dx * dy);
        self.yy = keep * (self.yy + gain * dy * dy);
    }

    /// Returns the time that a request of `size` takes relative to a request of mean size.
    pub(super) fn relative(&self, size: f64) -> f64 {
        let samples = self.weight / FORGET;
        let significant = self.xy > 0.0 && self.xx > 0.0 && self.xy * self.xy * samples > 4.0 * self.xx * self.yy;
        if samples < SLOPE_SAMPLES || !significant || self.y <= 0.0 {
            return 1.0;
        }
        (1.0 + self.xy / self.xx * (size - self.x) / self.y).max(FLOOR)
    }

    /// Returns the coefficient of variation of the service time of a mean-sized request while the provider does not
    /// queue: the highest seen lately, because behind a queue all wait alike and the relative scatter shrinks, but that
    /// of the throughput does not.
    pub(super) fn cv(&self) -> f64 {
        self.now().max(self.peak).clamp(LEAST_CV, LARGEST_CV)
    }

    /// Returns the present coefficient of variation of a lognormal service time, from the variance of its logarithm: the
    /// variance itself would be ruled by a few stragglers.
    fn now(&self) -> f64 {
        let seen = self.weight / FORGET;
        let variance = (self.scatter * seen + SCATTER_PRIOR * PRIOR_WEIGHT) / (seen + PRIOR_WEIGHT);
        variance.min(2.0).exp_m1().sqrt()
    }

    /// Returns the mean service time, in seconds; 0 before the first success.
    pub(super) fn mean(&self) -> f64 {
        self.y
    }

    /// Returns the mean plus 1.65 standard deviations, in seconds: about the 95th percentile.
    pub(super) fn p95(&self) -> f64 {
        self.y + 1.65 * self.yy.max(0.0).sqrt()
    }
}
