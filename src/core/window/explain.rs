//! What a window believes, for dashboards and for the wait estimate.

use super::state::State;
use super::{Phase, Window};

impl Window {
    /// The control period. Grows (and wraps) with every cut and reading.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The capacity read from refusals, if the provider refused lately.
    pub fn capacity(&self) -> Option<u32> {
        self.bound
    }

    /// Service time of a request of mean size while the provider does not queue,
    /// in seconds, if it is known.
    pub fn unqueued_seconds(&self) -> Option<f64> {
        self.base.map(|base| base.seconds)
    }

    /// Mean service time lately, in seconds; 0 before the first success.
    pub fn service_seconds(&self) -> f64 {
        self.shape.mean()
    }

    /// Windows' worth of completions until it asks for more, while it holds.
    pub fn probe_in(&self) -> Option<u32> {
        match self.state {
            State::Hold { done } if !self.config.pinned() => {
                Some(self.interval.saturating_sub(done / self.limit.max(1)))
            }
            _ => None,
        }
    }

    /// What the window is doing.
    pub fn phase(&self) -> Phase {
        if self.config.pinned() {
            return Phase::Pinned;
        }
        match self.state {
            State::SlowStart { .. } => Phase::SlowStart,
            State::Climb { .. } => Phase::Climbing,
            State::Hold { .. } => Phase::Holding,
            State::Probe { .. } => Phase::Probing,
            State::Test(_) => Phase::Contrasting,
        }
    }
}
