//! The states of a window, each with what it alone knows.

use super::contrast::Contrast;
use crate::core::time::Time;

/// The state of a window.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    /// Slow start: +1 or more per success up to `until`.
    SlowStart { until: u32 },
    /// A climb: +1 per window of successes up to `until`; `done` of the present one, after `grace` more successes.
    Climb { until: u32, done: u32, grace: u32 },
    /// A level believed right is held, for so many completions.
    Hold { done: u32 },
    /// A probe above `from`: when its first request beyond was sent, and how many of such have succeeded.
    Probe { from: u32, sent: Option<Time>, proven: u32 },
    /// Two levels are compared.
    Test(Contrast),
}

impl State {
    /// Returns the level that is believed right, whatever is being tried, where the limit is `limit`.
    pub(super) fn home(&self, limit: u32) -> u32 {
        match self {
            Self::Probe { from, .. } => *from,
            Self::Test(contrast) => contrast.home(),
            _ => limit,
        }
    }

    /// Takes note of a dispatch at `now` that brings so many in flight: the first above the level probes.
    pub(super) fn dispatched(&mut self, now: Time, in_flight: u32) {
        if let Self::Probe { from, sent, .. } = self
            && in_flight > *from
        {
            sent.get_or_insert(now);
        }
    }

    /// Returns whether the window is on its way up.
    pub(super) fn rises(&self) -> bool {
        matches!(self, Self::SlowStart { .. } | Self::Climb { .. })
    }
}
