//! When a snapshot of a model is due.

use std::time::Duration;

use super::Time;

/// The least time between two snapshots that somebody follows or asks for: live to the eye, cheap under load.
const EVERY: Duration = Duration::from_millis(50);
/// The least time between two snapshots that nobody follows: the last one is what a restart remembers.
const UNFOLLOWED_EVERY: Duration = Duration::from_secs(1);
/// The time after which a snapshot is taken anew that changes by time alone.
const FADES_EVERY: Duration = Duration::from_millis(500);

/// The times of a model's snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    wanted: bool,
    followed: bool,
    at: Option<Time>,
    last: Option<Time>,
}

impl Snapshots {
    /// Begins to have snapshots taken.
    pub(super) fn begin(&mut self) {
        self.wanted = true;
    }

    /// Takes note of whether anybody follows the snapshots.
    pub(super) fn follow(&mut self, followed: bool) {
        self.followed = followed;
    }

    /// Takes note of a change.
    pub(super) fn changed(&mut self, now: Time) {
        let apart = if self.followed { EVERY } else { UNFOLLOWED_EVERY };
        self.want(self.last.map_or(now, |last| now.max(last + apart)));
    }

    /// Takes note of other routes, or routes in a new life, which are about to tell of themselves.
    pub(super) fn rewired(&mut self, now: Time) {
        self.want(now + EVERY);
    }

    /// Takes note of somebody who wants to see the model as it is now.
    pub(super) fn asked(&mut self, now: Time) {
        self.want(self.last.map_or(now, |last| now.max(last + EVERY)));
    }

    fn want(&mut self, at: Time) {
        if self.wanted && self.at.is_none_or(|before| before > at) {
            self.at = Some(at);
        }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    /// Takes note of a snapshot; `fades` where time alone changes what it shows.
    pub(super) fn published(&mut self, now: Time, fades: bool) {
        self.last = Some(now);
        let again = if self.followed { FADES_EVERY } else { UNFOLLOWED_EVERY };
        self.at = fades.then_some(now + again);
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.at
    }
}
