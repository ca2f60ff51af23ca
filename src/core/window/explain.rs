//! The beliefs of a window, for dashboards.

use super::state::State;
use super::{Phase, Window};

impl Window {
    /// Returns the number of the control period. It grows (and wraps) with every cut and reading.
    pub fn epoch(&self) -> u32 {
        self.epoch.number()
    }

    /// Returns the capacity read from refusals, if the provider refused lately.
    pub fn capacity(&self) -> Option<u32> {
        self.refusals.bound()
    }

    /// Returns the windows' worth of completions until the window asks for more, while it holds.
    pub fn probe_in(&self) -> Option<u32> {
        match self.state {
            State::Hold { done } if !self.config.pinned() => Some(self.probing.windows_left(done, self.limit())),
            _ => None,
        }
    }

    /// Returns the phase that the window is in.
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
