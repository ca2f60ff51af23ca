//! When to ask for more: the interval between probes.
//!
//! A probe costs a refusal, so what a refusal costs decides how often one is risked.

use super::sharing::Climate;
use std::time::Duration;

/// Longest interval between probes, in windows.
const LONGEST_INTERVAL: u32 = 32;

/// Completions per probe that a wide window waits at most. A probe costs one refusal, so this is a budget of 0.13 %
/// refusals, and a wide window notices more capacity after a few round trips.
const COMPLETIONS_PER_PROBE: u32 = 768;

/// Completions per probe that a wide window waits at most while the capacity moves: a budget of 3 % refusals.
const COMPLETIONS_PER_ALERT_PROBE: u32 = 32;

/// Least value, in windows, of the longest interval of a wide window.
const SHORTEST_CEILING: u32 = 4;

/// Factor by which the longest interval is shorter where refusals are free.
const FREE_REFUSALS: u32 = 8;

/// Windows of interval per slot of the window among competitors: a small share asks often, a large one seldom, and so
/// shares draw level.
const WINDOWS_PER_SLOT: u32 = 2;

/// Shortest interval among competitors, in windows.
const SHORTEST_SHARED: u32 = 2;

/// Windows of interval per mean service time that a refusal asks to pause: such a refusal costs its pause.
const WINDOWS_PER_PAUSE: f64 = 32.0;

/// Longest interval for the sake of pauses, in windows.
const LONGEST_FOR_PAUSES: f64 = 256.0;

/// The interval between probes, and what a refused one costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probing {
    /// Windows to hold until the next probe.
    interval: u32,
    /// How long the last refusal asked to pause, in seconds; 0 where it did not.
    pause: f64,
}

impl Probing {
    pub(super) fn new() -> Self {
        Self { interval: 1, pause: 0.0 }
    }

    /// Takes note of how long a refusal asks to pause.
    pub(super) fn paused(&mut self, pause: Duration) {
        self.pause = pause.as_secs_f64();
    }

    /// Returns whether a probe is due after `done` completions at a limit.
    pub(super) fn is_due(&self, done: u32, limit: u32) -> bool {
        done >= self.interval.saturating_mul(limit)
    }

    /// Returns the windows of completions until the next probe, after `done` completions at a limit.
    pub(super) fn windows_left(&self, done: u32, limit: u32) -> u32 {
        self.interval.saturating_sub(done / limit.max(1))
    }

    /// Makes the next probe due at once.
    pub(super) fn at_once(&mut self) {
        self.interval = 0;
    }

    /// Makes the next probe due after one window.
    pub(super) fn soon(&mut self) {
        self.interval = 1;
    }

    /// Makes the next probe due after one window at least.
    pub(super) fn not_at_once(&mut self) {
        self.interval = self.interval.max(1);
    }

    /// Shortens the interval by a factor, down to one window.
    pub(super) fn shorten(&mut self, factor: u32) {
        self.interval = (self.interval / factor).max(1);
    }

    /// Lengthens the interval, at a limit, where a refusal may be free and a request takes `service` seconds on average.
    pub(super) fn lengthen(&mut self, limit: u32, climate: Climate, free: bool, service: f64) {
        let pauses = self.pause / service.max(1e-9);
        let for_pauses = (pauses * WINDOWS_PER_PAUSE).min(LONGEST_FOR_PAUSES) as u32;
        self.interval = self.for_refusals(limit, climate, free).max(for_pauses);
    }

    /// Returns the interval in windows where a refusal costs no more than itself.
    fn for_refusals(&self, limit: u32, climate: Climate, free: bool) -> u32 {
        let completions = match climate {
            Climate::Shared => {
                return limit.saturating_mul(WINDOWS_PER_SLOT).clamp(SHORTEST_SHARED, LONGEST_INTERVAL);
            }
            Climate::Moving => COMPLETIONS_PER_ALERT_PROBE,
            Climate::Quiet => COMPLETIONS_PER_PROBE,
        };
        let ceiling = (completions / limit.max(1)).clamp(SHORTEST_CEILING, LONGEST_INTERVAL);
        let ceiling = if free { (ceiling / FREE_REFUSALS).max(1) } else { ceiling };
        self.interval.saturating_mul(2).clamp(1, ceiling)
    }
}
