//! When a snapshot of a model is due.

use std::time::Duration;

use super::Time;

/// Snapshots follow changes at most this often: live to the eye, cheap under load.
const EVERY: Duration = Duration::from_millis(50);
/// A snapshot that changes by time alone is taken anew after this long.
const FADES_EVERY: Duration = Duration::from_millis(500);

/// The times of a model's snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    wanted: bool,
    at: Option<Time>,
    last: Time,
}

impl Snapshots {
    /// Begins to have snapshots taken.
    pub(super) fn begin(&mut self) {
        self.wanted = true;
    }

    /// Takes note of a change.
    pub(super) fn changed(&mut self, now: Time) {
        let soon = self.last + EVERY;
        if self.wanted && self.at.is_none_or(|at| at > soon) {
            self.at = Some(now.max(soon));
        }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// Takes note of a snapshot; `fades` where time alone changes what it shows.
    pub(super) fn published(&mut self, now: Time, fades: bool) {
        self.last = now;
        self.at = fades.then_some(now + FADES_EVERY);
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.at
    }
}
