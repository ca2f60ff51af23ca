//! A client's `chunk-N-trace.csv` tells each window's start, rate, and the distribution fitted to the gaps.

use std::io::Read;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Gamma, Weibull};

use super::super::{TraceError, row::Table};

/// The CV and the second parameter are not read: the shape alone says how bursty a client is, see [`Gaps`].
const COLUMNS: [&str; 6] = ["window start", "rate", "CV", "distribution", "first parameter", "second parameter"];
const START: usize = 0;
const RATE: usize = 1;
const FAMILY: usize = 3;
const SHAPE: usize = 4;

/// Length of a client's last window, in seconds; every other ends where the next starts.
const LENGTH: f64 = 600.0;

/// A stretch of time in which a client sends at one rate.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Where it starts, in seconds from the trace's beginning.
    pub(super) start: f64,
    /// Where it ends, likewise.
    pub(super) end: f64,
    /// Requests per second; 0 when the client is silent.
    pub(super) rate: f64,
    /// The gaps between requests; `None` when it is silent.
    pub(super) gaps: Option<Gaps>,
}

/// The fitted family of gaps, scaled to a mean of 1: a window's rate stretches them.
///
/// The rate was counted, the parameters were fitted, and where they disagree (the mean of a heavy-tailed Weibull fit
/// may be off a thousandfold) the count is right. So only the shape is taken from the fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gaps {
    mean_one: Family,
    /// Family of gaps that length-biased sampling draws from, see [`Gaps::first`].
    biased: Family,
}

#[derive(Debug, Clone, Copy)]
enum Family {
    Gamma(Gamma<f64>),
    Weibull(Weibull<f64>),
    /// `scale · G^power` with G of the Gamma distribution: a length-biased Weibull.
    GammaPower {
        gamma: Gamma<f64>,
        scale: f64,
        power: f64,
    },
}

impl Gaps {
    /// Gamma-distributed gaps; `None` unless the shape is positive and finite.
    fn gamma(shape: f64) -> Option<Self> {
        let scale = 1.0 / shape;
        Some(Self {
            mean_one: Family::Gamma(Gamma::new(shape, scale).ok()?),
            biased: Family::Gamma(Gamma::new(shape + 1.0, scale).ok()?),
        })
    }

    /// Weibull-distributed gaps; `None` unless the shape is positive, finite and not absurdly small.
    fn weibull(shape: f64) -> Option<Self> {
        let power = 1.0 / shape;
        let scale = (-ln_gamma(1.0 + power)).exp();
        if !(scale.is_finite() && scale > 0.0) {
            return None;
        }
        Some(Self {
            mean_one: Family::Weibull(Weibull::new(scale, shape).ok()?),
            biased: Family::GammaPower { gamma: Gamma::new(1.0 + power, 1.0).ok()?, scale, power },
        })
    }

    /// A gap, in units of the mean gap.
    pub(super) fn next(&self, rng: &mut impl Rng) -> f64 {
        self.mean_one.sample(rng)
    }

    /// The wait for the first request of a client that has been sending all along: whoever looks at a random instant
    /// meets long gaps more often than short ones, at a random point of them. Without this, bursty clients would all
    /// burst at the start.
    pub(super) fn first(&self, rng: &mut impl Rng) -> f64 {
        rng.random::<f64>() * self.biased.sample(rng)
    }
}

impl Family {
    fn sample(&self, rng: &mut impl Rng) -> f64 {
        match self {
            Self::Gamma(gamma) => gamma.sample(rng),
            Self::Weibull(weibull) => weibull.sample(rng),
            Self::GammaPower { gamma, scale, power } => scale * gamma.sample(rng).powf(*power),
        }
    }
}

/// Reads the windows that `span` touches; the others are checked, and dropped.
pub(super) fn read(input: impl Read, source: &str, span: (f64, f64)) -> Result<Vec<Window>, TraceError> {
    let mut table = Table::without_header(input, source, &COLUMNS);
    let mut windows: Vec<Window> = Vec::new();
    let mut last = f64::NEG_INFINITY;
    while let Some(row) = table.next()? {
        let start = row.number(START, 0.0, "write seconds of 0 or more")?;
        if start <= last {
            return Err(row.bad(START, "sort the windows by their start"));
        }
        if let Some(before) = windows.last_mut().filter(|window| window.start == last) {
            before.end = start;
        }
        last = start;
        let rate = row.number(RATE, 0.0, "write requests per second, 0 for a silent window")?;
        let gaps = if rate > 0.0 {
            let shape = row.number(SHAPE, f64::MIN_POSITIVE, "write a number above 0")?;
            let gaps = match row.text(FAMILY) {
                "Gamma" => Gaps::gamma(shape),
                "Weibull" => Gaps::weibull(shape),
                _ => return Err(row.bad(FAMILY, "write Gamma or Weibull (empty only where the rate is 0)")),
            };
            Some(gaps.ok_or_else(|| row.bad(SHAPE, "write a shape that a distribution can have"))?)
        } else {
            None
        };
        if start < span.1 {
            windows.push(Window { start, end: start + LENGTH, rate, gaps });
        }
    }
    windows.retain(|window| window.end > span.0);
    Ok(windows)
}

/// How many requests the windows send within `span` on average.
pub(super) fn expected(windows: &[Window], span: (f64, f64)) -> f64 {
    windows.iter().map(|w| (w.end.min(span.1) - w.start.max(span.0)).max(0.0) * w.rate).sum()
}

/// The logarithm of the gamma function for `x` ≥ 1 (Lanczos, g = 7: about 15 digits).
fn ln_gamma(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let base = x + 7.5;
    let series = COEFFICIENTS
        .iter()
        .zip(1_u32..)
        .fold(0.999_999_999_999_809_9, |sum, (coefficient, i)| sum + coefficient / (x + f64::from(i)));
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * base.ln() - base + series.ln()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn the_gamma_function_meets_known_values() {
        for (x, factorial) in [(1.0_f64, 1.0_f64), (2.0, 1.0), (5.0, 24.0), (11.0, 3_628_800.0)] {
            assert!((ln_gamma(x) - factorial.ln()).abs() < 1e-10, "Γ({x})");
        }
        assert!((ln_gamma(1.5) - (std::f64::consts::PI.sqrt() / 2.0).ln()).abs() < 1e-12);
    }

    #[test]
    fn gaps_have_mean_one_and_keep_their_shape() {
        let mut rng = StdRng::seed_from_u64(1);
        for (gaps, variance) in [
            (Gaps::gamma(0.25).unwrap(), 4.0),
            (Gaps::gamma(4.0).unwrap(), 0.25),
            (Gaps::weibull(0.5).unwrap(), 5.0),
            (Gaps::weibull(1.0).unwrap(), 1.0),
        ] {
            let drawn: Vec<f64> = (0..400_000).map(|_| gaps.next(&mut rng)).collect();
            let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
            let square = drawn.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / drawn.len() as f64;
            assert!((mean - 1.0).abs() < 0.02, "{mean}");
            assert!((square / variance - 1.0).abs() < 0.1, "{square} for {variance}");
            // The mean wait from a random instant is E[gap²] / 2 E[gap].
            let wait = (0..400_000).map(|_| gaps.first(&mut rng)).sum::<f64>() / 400_000.0;
            assert!((wait / ((variance + 1.0) / 2.0) - 1.0).abs() < 0.05, "{wait}");
        }
        assert!(Gaps::weibull(0.001).is_none());
    }
}
