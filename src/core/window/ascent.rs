//! The way up: service time by octave of in flight, and requests that are never answered.

use super::meter::{Meter, Reading};
use super::octaves::{Bend, Octaves};
use crate::core::time::Time;

/// Mean service times that a doubling of the window takes at least to be slow.
const STALLED: f64 = 1.5;

/// Successes that a slow doubling must have seen to tell something.
const STALLED_SAMPLES: f64 = 8.0;

/// Requests in flight per request that is served, above which the rest is stuck.
const STUCK: f64 = 4.0;

/// Multiple of the level that is served at which a window with stuck requests is held: so few successes tell it only
/// roughly, and a slot too many costs less than a slot too few.
const STUCK_ROOM: f64 = 1.25;

/// Samples that the service time of the requests beside stuck ones is worth as a base.
const STUCK_BASE: f64 = 128.0;

/// Service times and the doubling of the window, watched while it grows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ascent {
    octaves: Octaves,
    /// The limit when it last doubled.
    doubled: u32,
}

/// The level that is served where some requests are never answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served {
    /// The level to hold.
    pub(super) bend: Bend,
    /// The service time of the requests that succeed: as long as they would take alone.
    pub(super) base: Reading,
}

impl Ascent {
    /// Begins anew, for requests sent from `now` on.
    pub(super) fn restart(&mut self, now: Time) {
        self.octaves = Octaves::since(now);
    }

    /// Adds a success of normalised service time `seconds`, dispatched at `at`, with `level` in flight on average.
    pub(super) fn add(&mut self, at: Time, level: u32, seconds: f64) {
        self.octaves.add(at, level, seconds);
    }

    /// Returns the knee, once service time rises for certain.
    pub(super) fn knee(&mut self, now: Time) -> Option<Bend> {
        self.octaves.knee(now)
    }

    /// Returns whether service time seems to rise, so that growth waits until that is known.
    pub(super) fn suspicious(&self) -> bool {
        self.octaves.suspicious()
    }

    /// Returns a level known to be free of queueing, if there is evidence of one.
    pub(super) fn base(&self, cv: f64) -> Option<Reading> {
        self.octaves.base(cv)
    }

    /// Returns what is really served, if that is much less than what is in flight under `limit`: some requests are never
    /// answered. Looked at when a doubling of the window takes long, since on the way up most of what is in flight has
    /// just begun. `service`: mean service time, in seconds.
    pub(super) fn stuck(&mut self, now: Time, limit: u32, meter: &mut Meter, service: f64) -> Option<Served> {
        if limit >= self.doubled.saturating_mul(2) || limit < self.doubled {
            self.doubled = limit;
            meter.begin(now, 0);
        }
        let slow = meter.elapsed() > STALLED * service;
        let reading = meter.reading().filter(|reading| slow && reading.samples >= STALLED_SAMPLES)?;
        let level = meter.served();
        // Where requests that do succeed take longer and longer, all are served, only slowly.
        let queued = self.octaves.lengthened(level * meter.elapsed() / reading.samples);
        let seconds = reading.seconds * level / reading.level;
        (level * STUCK < reading.level && !queued).then_some(Served {
            bend: Bend { level: level * STUCK_ROOM, all_queue: false },
            base: Reading { level, seconds, samples: STUCK_BASE },
        })
    }
}
