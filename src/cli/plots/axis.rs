//! Axes with round ticks, and the bins of time.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::super::format::{finite, thousands};

/// Ticks of an axis, about.
const TICKS: f64 = 5.0;
/// Bins of a replay, at most.
const BINS: f64 = 120.0;
/// Lengths of a bin and steps of the time axis, in seconds.
const ROUND: [f64; 20] = [
    0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    14_400.0, 43_200.0,
];
/// The longest step of the time axis is a multiple of this, in seconds.
const DAY: f64 = 86_400.0;

/// The quantity that an axis counts, which decides how its ticks are written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// Seconds since the replay began; the step decides the unit.
    Time(f64),
    /// Plain numbers.
    Number,
    /// Decimal logarithms of milliseconds.
    LogMilliseconds,
}

/// An axis of a chart, whose scale decides how its ticks are written.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    scale: Scale,
}

/// The smallest of the round lengths that is at least `least`.
fn round(least: f64) -> f64 {
    ROUND.into_iter().find(|length| *length >= least).unwrap_or_else(|| (least / DAY).ceil() * DAY)
}

/// Multiples of `step` from 0 to `high`.
fn multiples(step: f64, high: f64) -> Vec<f64> {
    (0..=(high / step * (1.0 + 1e-9)) as u32).map(|n| f64::from(n) * step).collect()
}

impl Axis {
    /// Time from 0 to `span` seconds.
    pub(crate) fn time(span: f64) -> Self {
        let high = if span > 0.0 { span } else { 1.0 };
        let step = round(high / 8.0);
        Self { low: 0.0, high, ticks: multiples(step, high), scale: Scale::Time(step) }
    }

    /// Numbers from 0 to a little above `most`.
    pub(crate) fn number(most: f64) -> Self {
        let most = if most > 0.0 { most * 1.05 } else { 1.0 };
        let raw = most / TICKS;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(raw);
        Self { low: 0.0, high: most, ticks: multiples(step, most), scale: Scale::Number }
    }

    /// Milliseconds from `least` to `most` on a logarithmic axis, rounded to 1, 2 or 5 times a power of ten.
    pub(crate) fn log_milliseconds(least: f64, most: f64) -> Self {
        let least = least.clamp(1.0, 1e9);
        let most = most.clamp(least * 1.5, 1e10);
        let mut ticks: Vec<f64> = (0..=11).flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(power))).collect();
        let first = ticks.partition_point(|tick| *tick <= least).saturating_sub(1);
        let last = ticks.partition_point(|tick| *tick < most).min(ticks.len() - 1);
        ticks = ticks.drain(first..=last.max(first)).map(f64::log10).collect();
        let (low, high) = (ticks.first().copied().unwrap_or(0.0), ticks.last().copied().unwrap_or(1.0));
        if ticks.len() > 9 {
            ticks.retain(|tick| (tick - tick.round()).abs() < 1e-9);
        }
        Self { low, high, ticks, scale: Scale::LogMilliseconds }
    }

    /// Where milliseconds lie on a logarithmic axis, within its ends.
    pub(crate) fn place(&self, milliseconds: f64) -> f64 {
        finite(milliseconds).max(f64::MIN_POSITIVE).log10().clamp(self.low, self.high)
    }

    /// How a tick is written.
    pub(crate) fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Time(step) if step >= 3600.0 => format!("{} h", trimmed(value / 3600.0)),
            Scale::Time(step) if step >= 60.0 => format!("{} min", trimmed(value / 60.0)),
            Scale::Time(_) => format!("{} s", trimmed(value)),
            Scale::Number if value >= 1000.0 => thousands(value),
            Scale::Number => trimmed(value),
            Scale::LogMilliseconds => {
                let milliseconds = 10_f64.powf(value);
                match milliseconds {
                    ms if ms < 999.5 => format!("{} ms", trimmed(ms)),
                    ms if ms < 999_500.0 => format!("{} s", trimmed(ms / 1000.0)),
                    ms => format!("{} s", thousands(ms / 1000.0)),
                }
            }
        }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value - self.low) / (self.high - self.low);
        from + (part * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.label(*value)
    }
}

/// At most two decimals, without trailing zeros.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A replay's time cut into equal bins of a round length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bins {
    /// Length of one, in seconds.
    pub(crate) length: f64,
    /// How many there are, at least one.
    pub(crate) count: usize,
}

impl Bins {
    /// Cuts `span` seconds.
    pub(crate) fn of(span: f64) -> Self {
        let length = round(span / BINS);
        Self { length, count: ((span / length).ceil() as usize).max(1) }
    }

    /// The bin that holds the instant `t`.
    pub(crate) fn index(&self, t: f64) -> usize {
        ((finite(t) / self.length) as usize).min(self.count - 1)
    }

    /// Counts instants per bin, as events per second.
    pub(crate) fn rates(&self, instants: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut rates = vec![0.0; self.count];
        for t in instants {
            if let Some(rate) = rates.get_mut(self.index(t)) {
                *rate += 1.0 / self.length;
            }
        }
        rates
    }

    /// The bins' beginnings and ends, within `span`.
    pub(crate) fn edges(self, span: f64) -> impl Iterator<Item = (f64, f64)> {
        let edge = move |index: usize| (index as f64 * self.length).min(span.max(self.length));
        (0..self.count).map(move |index| (edge(index), edge(index + 1)))
    }

    /// Names the bins for the captions of plots.
    pub(crate) fn name(&self) -> String {
        format!("bins of {}", Axis::time(self.length * 8.0).label(self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_named() {
        assert_eq!(labels(&Axis::number(42.0)), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(&Axis::number(0.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&Axis::number(4000.0)), ["0", "1,000", "2,000", "3,000", "4,000"]);
        assert_eq!(labels(&Axis::time(600.0)), ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]);
        assert_eq!(labels(&Axis::time(0.0)).len(), 6);
        assert_eq!(labels(&Axis::time(1e7)).first().map(String::as_str), Some("0 h"));
        assert_eq!(
            labels(&Axis::log_milliseconds(30.0, 900.0)),
            ["20 ms", "50 ms", "100 ms", "200 ms", "500 ms", "1 s"]
        );
        assert_eq!(
            labels(&Axis::log_milliseconds(1.0, 1e6)),
            ["1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s", "1,000 s"]
        );
        assert!(labels(&Axis::log_milliseconds(0.0, 0.0)).len() >= 2);
    }

    #[test]
    fn bins_cover_the_span() {
        let bins = Bins::of(60.0);
        assert_eq!((bins.length, bins.count), (0.5, 120));
        assert_eq!((bins.index(-1.0), bins.index(0.7), bins.index(1e9)), (0, 1, 119));
        assert_eq!(bins.name(), "bins of 0.5 s");
        assert_eq!(bins.rates([0.1, 0.2, 59.9].into_iter())[..2], [4.0, 0.0]);
        assert_eq!(Bins::of(0.0).count, 1);
        assert_eq!(Bins::of(3.3).edges(3.3).last().map(|edge| edge.1), Some(3.3));
    }
}
