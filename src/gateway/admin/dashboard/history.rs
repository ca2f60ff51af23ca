//! The last ten minutes of a model as numbers, bounded over all models.

use std::collections::VecDeque;

use serde::Serialize;

/// Span of the history, in seconds.
pub(super) const SPAN: u32 = 600;
/// Models whose history has a sample per second; of more, every one has fewer samples, so that all of them together
/// stay at about this many times [`SPAN`].
const FULL: usize = 256;

/// Returns the seconds between two samples where `models` have a history: with 48 bytes a sample, 29 kB for a model
/// and about 7.4 MB for all, however many they are.
pub(super) fn pace(models: usize) -> u32 {
    u32::try_from(models.div_ceil(FULL)).unwrap_or(SPAN).clamp(1, SPAN)
}

/// A model at one moment, or since the sample before.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    /// Unix time in seconds.
    pub(super) at: u32,
    pub(super) window: u32,
    pub(super) in_flight: u32,
    pub(super) queued: u32,
    /// Attempts per second that succeeded, were refused by the provider, failed.
    pub(super) done: f32,
    pub(super) pushed_back: f32,
    pub(super) failed: f32,
    /// Requests per second that we refused.
    pub(super) refused: f32,
    /// Mean wait of what was dispatched, milliseconds; NaN where nothing was.
    pub(super) wait: f32,
    /// Service times of the last few hundred attempts, milliseconds.
    pub(super) p50: u32,
    pub(super) p90: u32,
    pub(super) p99: u32,
}

/// A history, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ring(VecDeque<Sample>);

/// A history as the page reads it: one list per quantity.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Columns {
    at: Vec<u32>,
    window: Vec<u32>,
    in_flight: Vec<u32>,
    queued: Vec<u32>,
    done: Vec<f32>,
    pushed_back: Vec<f32>,
    failed: Vec<f32>,
    refused: Vec<f32>,
    wait: Vec<f32>,
    p50: Vec<u32>,
    p90: Vec<u32>,
    p99: Vec<u32>,
}

impl Ring {
    /// Adds a sample and forgets what is older than [`SPAN`].
    pub(super) fn push(&mut self, sample: Sample) {
        self.0.push_back(sample);
        while self.0.front().is_some_and(|oldest| oldest.at.saturating_add(SPAN) <= sample.at) {
            self.0.pop_front();
        }
        // A clock that is set back must not make it grow.
        while self.0.len() > SPAN as usize {
            self.0.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the latest sample, unless it is of `since` or before.
    pub(super) fn last(&self, since: u32) -> Option<&Sample> {
        self.0.back().filter(|sample| sample.at > since)
    }

    /// Returns the samples after `since`.
    pub(super) fn columns(&self, since: u32) -> Columns {
        let mut columns = Columns::default();
        for sample in self.0.iter().skip(self.0.partition_point(|sample| sample.at <= since)) {
            columns.at.push(sample.at);
            columns.window.push(sample.window);
            columns.in_flight.push(sample.in_flight);
            columns.queued.push(sample.queued);
            columns.done.push(sample.done);
            columns.pushed_back.push(sample.pushed_back);
            columns.failed.push(sample.failed);
            columns.refused.push(sample.refused);
            columns.wait.push(sample.wait);
            columns.p50.push(sample.p50);
            columns.p90.push(sample.p90);
            columns.p99.push(sample.p99);
        }
        columns
    }

    /// Returns the mean throughput of each of the last `bins` stretches of `length` seconds before `now`, the oldest
    /// first; `None` where there was none.
    pub(super) fn sketch(&self, now: u32, bins: usize, length: u32) -> Option<Vec<f32>> {
        let mut sums = vec![(0.0_f32, 0.0_f32); bins];
        for sample in self.0.iter().rev() {
            let Some(bin) = (now.saturating_sub(sample.at) / length).try_into().ok().filter(|bin: &usize| *bin < bins)
            else {
                break;
            };
            let sum = &mut sums[bins - 1 - bin];
            *sum = (sum.0 + sample.done, sum.1 + 1.0);
        }
        let mean = |(sum, count): &(f32, f32)| if *count > 0.0 { (sum / count * 10.0).round() / 10.0 } else { 0.0 };
        sums.iter().any(|(sum, _)| *sum > 0.0).then(|| sums.iter().map(mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_however_long_and_however_many() {
        let mut ring = Ring::default();
        for at in 0..2_000 {
            ring.push(Sample { at, done: 2.0, ..Sample::default() });
        }
        assert_eq!(ring.columns(0).at, (1_400..2_000).collect::<Vec<_>>());
        assert_eq!(ring.columns(1_997).at, [1_998, 1_999], "a page asks for what it has not");
        for _ in 0..2_000 {
            ring.push(Sample { at: 5, ..Sample::default() });
        }
        assert_eq!(ring.0.len(), SPAN as usize, "a clock that was set back");
        assert_eq!(std::mem::size_of::<Sample>(), 48);
        for models in [0, 1, 256, 257, 1_000, 10_000] {
            let samples = models * (SPAN / pace(models)) as usize;
            assert!(samples <= FULL * SPAN as usize, "{models} models keep {samples} samples");
        }
        assert_eq!((pace(0), pace(256), pace(1_000)), (1, 1, 4));
    }

    #[test]
    fn a_sketch_is_drawn_of_means() {
        let mut ring = Ring::default();
        assert_eq!(ring.sketch(100, 3, 5), None);
        for (at, done) in [(84, 9.0), (90, 1.0), (91, 3.0), (99, 4.0)] {
            ring.push(Sample { at, done, ..Sample::default() });
        }
        assert_eq!(ring.sketch(99, 3, 5), Some(vec![0.0, 2.0, 4.0]), "84 is too old");
    }
}
