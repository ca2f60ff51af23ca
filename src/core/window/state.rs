//! The states of a window, and the moves between them.

use super::contrast::Contrast;
use super::octaves::Octaves;
use super::{Change, ChangeKind, Window};
use crate::core::time::Time;

/// Failed probes double the interval up to this many windows …
const LONGEST_INTERVAL: u32 = 32;

/// … or up to this many completions where the window is wide: a probe costs one
/// refusal, so this is a budget of 0.13 % refusals, and a wide window notices
/// more capacity after a few round trips.
const COMPLETIONS_PER_PROBE: u32 = 768;

/// … but never less than this many windows.
const SHORTEST_CEILING: u32 = 4;

/// Where refusals are free the longest interval is so many times shorter.
const FREE: u32 = 8;

/// The same while the capacity has moved lately: a budget of 3 %.
const COMPLETIONS_PER_ALERT_PROBE: u32 = 32;

/// Among others that use the same capacity, the interval is so many windows per slot: who has little asks often, who
/// has much seldom, and so shares draw level.
const WINDOWS_PER_SLOT: u32 = 2;

/// … but never less than this many windows.
const SHORTEST_SHARED: u32 = 2;

/// A refusal that asks for a pause costs that pause: a probe is made per so many of them, …
const WINDOWS_PER_PAUSE: f64 = 32.0;

/// … but at least every so many windows.
const MOST_FOR_PAUSES: f64 = 256.0;

/// What a window is doing.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// +1 per success up to `until`, then on to `then` at +1 per window.
    SlowStart { until: u32, then: u32 },
    /// +1 per window of successes up to `until`.
    Climb { until: u32, done: u32 },
    /// At a level believed right, for so many completions.
    Hold { done: u32 },
    /// Above `from`, with so many successes of requests above it.
    Probe { from: u32, proven: u32 },
    /// Comparing two levels.
    Test(Contrast),
}

impl Window {
    /// The level that is believed right, whatever is being tried.
    pub(super) fn home(&self) -> u32 {
        match self.state {
            State::Probe { from, .. } => from,
            State::Test(contrast) => contrast.home(),
            _ => self.limit,
        }
    }

    /// Whether somebody else was seen to use the same capacity lately.
    pub(super) fn among_others(&self) -> bool {
        self.shared && self.alert > 0
    }

    /// The next interval between probes, in windows: what a refusal costs decides how often one is risked.
    pub(super) fn longer(&self) -> u32 {
        let pauses = self.pause / self.shape.mean().max(1e-9);
        self.by_noise().max((pauses * WINDOWS_PER_PAUSE).min(MOST_FOR_PAUSES) as u32)
    }

    /// The same where a refusal costs no more than itself.
    fn by_noise(&self) -> u32 {
        if self.among_others() {
            return self.limit.saturating_mul(WINDOWS_PER_SLOT).clamp(SHORTEST_SHARED, LONGEST_INTERVAL);
        }
        let completions = if self.alert > 0 { COMPLETIONS_PER_ALERT_PROBE } else { COMPLETIONS_PER_PROBE };
        let ceiling = (completions / self.limit.max(1)).clamp(SHORTEST_CEILING, LONGEST_INTERVAL);
        let ceiling = if self.config.refusals_free { (ceiling / FREE).max(1) } else { ceiling };
        self.interval.saturating_mul(2).clamp(1, ceiling)
    }

    /// Ends a control period: what is in flight now is evidence no more.
    pub(super) fn epoch_ends(&mut self, reading: bool) {
        self.epoch = self.epoch.wrapping_add(1);
        self.proven = false;
        self.reading_open = reading;
    }

    /// Moves the limit; a change only if it moved.
    pub(super) fn set(&mut self, to: u32, kind: ChangeKind) -> Option<Change> {
        let from = self.limit;
        self.limit = self.config.clamp(to.min(self.most()));
        (self.limit != from).then_some(Change { kind, from, to: self.limit })
    }

    /// Holds `level`.
    pub(super) fn hold(&mut self, now: Time, level: u32, kind: ChangeKind) -> Option<Change> {
        if self.base.is_none() {
            self.base = self.octaves.base(self.shape.cv());
            self.rough = self.base.is_some();
        }
        self.state = State::Hold { done: 0 };
        self.watch = None;
        let change = self.set(level, kind);
        self.settle_meter(now);
        change
    }

    /// Looks for more from wherever the limit is put, as at a cold start.
    pub(super) fn search(&mut self, now: Time) {
        self.octaves = Octaves::since(now);
        self.state = State::SlowStart { until: self.config.max, then: self.config.max };
        self.meter.begin(now, 0);
    }

    /// Goes up carefully from wherever the limit is put.
    pub(super) fn climb(&mut self, now: Time, until: u32) {
        self.octaves = Octaves::since(now);
        self.state = State::Climb { until, done: 0 };
        self.meter.begin(now, 0);
    }

    /// Begins a stretch of measurement once the present level has settled: what
    /// is too much has drained and one window has passed.
    pub(super) fn settle_meter(&mut self, now: Time) {
        let excess = self.in_flight.saturating_sub(self.limit);
        self.meter.begin(now, self.limit + excess);
    }
}
