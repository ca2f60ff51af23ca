//! Notices during slow start that service time grows with the window.
//!
//! The window doubles per round trip, so there are no rounds to compare. Samples
//! are put into octaves of the in-flight count at their dispatch (1, 2–3, 4–7,
//! …) and the highest octave with enough of them is compared with all below, in
//! logarithms: their scatter is what it is at any level, and one straggler does
//! not decide (as in HyStart, RFC 9406, but with a test of significance, because
//! generation times scatter far more than round trips of packets).

use super::meter::Reading;
use crate::core::time::Time;

/// One per power of two up to 2¹⁵ in flight; above all count as the last.
const OCTAVES: usize = 16;

/// Samples in the upper octave before it is judged (RFC 9406 also takes 8).
const ENOUGH: f64 = 8.0;

/// Samples below it before it is judged.
const ENOUGH_BELOW: f64 = 2.0;

/// Standard errors that the rise must exceed. It is looked at after every
/// sample, so it must be well above the 1.6 of a single look.
const SIGNIFICANT: f64 = 3.0;

/// Standard errors from which on it is a suspicion.
const SUSPICIOUS: f64 = 1.5;

/// ln of the least rise that matters, 1.25: a queue a quarter of the service.
const MATTERS: f64 = 0.223;

/// Standard deviation of a logarithm assumed at least.
const LEAST_SCATTER: f64 = 0.05;

/// Log-likelihood ratio that excludes "all queue". It is asked where a provider
/// refused, and most of those refuse where they are full; so little is needed.
const DECIDED: f64 = 1.0;

/// A service time this many times as long as at the lowest octaves is no accident.
const LENGTHENED: f64 = 1.3;

/// Regression of ln(service time) on ln(in flight) over all of slow start: finds
/// soon what is queued from the first request on.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Line {
    fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let (dx, dy) = (x - self.x, y - self.y);
        self.x += dx / self.count;
        self.y += dy / self.count;
        self.xx += dx * (x - self.x);
        self.xy += dx * (y - self.y);
        self.yy += dy * (y - self.y);
    }

    /// Whether service time grows in proportion rather than not at all.
    fn queued(&self) -> bool {
        if self.count < LINE_ENOUGH || self.xx <= 0.0 {
            return false;
        }
        let slope = self.xy / self.xx;
        let rest = (self.yy - slope * self.xy).max(0.0) / (self.count - 2.0);
        let error = (rest.max(LEAST_SCATTER * LEAST_SCATTER) / self.xx).sqrt();
        slope - SIGNIFICANT * error > 0.5
    }
}

/// Samples before the line is judged.
const LINE_ENOUGH: f64 = 6.0;

#[derive(Debug, Clone, Copy, Default)]
struct Octave {
    count: f64,
    log: f64,
    log_square: f64,
    seconds: f64,
    level: f64,
}

impl Octave {
    fn add(self, other: Octave) -> Octave {
        Octave {
            count: self.count + other.count,
            log: self.log + other.log,
            log_square: self.log_square + other.log_square,
            seconds: self.seconds + other.seconds,
            level: self.level + other.level,
        }
    }

    fn deviations(self) -> f64 {
        (self.log_square - self.log * self.log / self.count.max(1.0)).max(0.0)
    }

    fn reading(self) -> Reading {
        let count = self.count.max(1.0);
        Reading { level: self.level / count, seconds: self.seconds / count, samples: self.count }
    }
}

/// Service times by octave of in flight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Octaves {
    octaves: [Octave; OCTAVES],
    line: Line,
    since: Time,
}

impl Octaves {
    /// Empty, for requests dispatched from now on. Those in flight already are
    /// left out: the long ones among them are all that is still to come, and they
    /// would make the level of their dispatch look slow.
    pub(super) fn since(now: Time) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Adds a success of normalised service time `seconds`, dispatched at `at`.
    /// `level` is the mean of the in-flight counts at its two ends: behind a queue
    /// the first matters, in shared processing both.
    pub(super) fn add(&mut self, at: Time, level: u32, seconds: f64) {
        if at < self.since {
            return;
        }
        let index = (level.max(1).ilog2() as usize).min(OCTAVES - 1);
        let log = seconds.max(1e-9).ln();
        self.line.add(f64::from(level.max(1)).ln(), log);
        self.octaves[index] = self.octaves[index].add(Octave {
            count: 1.0,
            log,
            log_square: log * log,
            seconds,
            level: f64::from(level),
        });
    }

    /// The highest octave with enough samples, and all below it.
    fn split(&self) -> Option<(Octave, Octave)> {
        let top = self.octaves.iter().rposition(|octave| octave.count >= ENOUGH)?;
        let below = self.octaves[..top].iter().fold(Octave::default(), |sum, &octave| sum.add(octave));
        (below.count >= ENOUGH_BELOW).then_some((below, self.octaves[top]))
    }

    /// The lowest octaves, until there are enough samples.
    fn lowest(&self) -> Octave {
        let mut sum = Octave::default();
        for &octave in &self.octaves {
            if sum.count >= 2.0 * ENOUGH {
                break;
            }
            sum = sum.add(octave);
        }
        sum
    }

    /// Whether `seconds` is clearly more than what successes took at the lowest octaves.
    pub(super) fn lengthened(&self, seconds: f64) -> bool {
        let lowest = self.lowest();
        lowest.count > 0.0 && seconds > LENGTHENED * lowest.reading().seconds
    }

    /// Whether service time seems to rise: not for certain, but growth can wait until that is known.
    pub(super) fn suspicious(&self) -> bool {
        self.rises(SUSPICIOUS)
    }

    /// Whether service time in the highest octave exceeds that below by so many standard errors.
    fn rises(&self, errors: f64) -> bool {
        let Some((below, top)) = self.split() else { return false };
        let rise = top.log / top.count - below.log / below.count;
        let freedom = (top.count + below.count - 2.0).max(1.0);
        let variance = ((top.deviations() + below.deviations()) / freedom).max(LEAST_SCATTER * LEAST_SCATTER);
        let error = (variance * (1.0 / top.count + 1.0 / below.count)).sqrt();
        rise >= MATTERS && rise >= errors * error
    }

    /// The knee, if service time rises significantly: by Little's law the
    /// throughput of the upper octave times the service time of the lower.
    pub(super) fn knee(&self) -> Option<(f64, bool)> {
        if self.line.queued() {
            return Some((self.lowest().reading().level, true));
        }
        let (_, top) = self.split().filter(|_| self.rises(SIGNIFICANT))?;
        let (below, top) = (self.lowest().reading(), top.reading());
        Some((top.level * below.seconds / top.seconds, false))
    }

    /// A lower level known to be free of queueing, if the octaves exclude that
    /// service time is proportional to the window.
    pub(super) fn base(&self, cv: f64) -> Option<Reading> {
        let (_, top) = self.split()?;
        let (below, top) = (self.lowest().reading(), top.reading());
        let all_queue = (top.level / below.level).ln();
        let error = top.error(below, cv);
        let ratio = (top.rise(below) - all_queue / 2.0) * all_queue / (error * error);
        (ratio < -DECIDED).then_some(below)
    }
}
