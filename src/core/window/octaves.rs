//! Notices during slow start that service time grows with the window.
//!
//! The window doubles per round trip, so there are no rounds to compare. Samples
//! are put into octaves of the in-flight count at their dispatch (1, 2–3, 4–7,
//! …) and the highest octave with enough of them is compared with all below, in
//! logarithms: their scatter is what it is at any level, and one straggler does
//! not decide (as in HyStart, RFC 9406, but with a test of significance, because
//! generation times scatter far more than round trips of packets).

use super::meter::{MATTERS, Reading};
use crate::core::time::Time;

/// Octaves of in flight: one per power of two up to 2¹⁵; above all count as the last.
const OCTAVES: usize = 16;

/// Samples in the upper octave before it is judged (RFC 9406 also takes 8).
const ENOUGH_ABOVE: f64 = 8.0;

/// Samples in all lower octaves before the upper one is judged.
const ENOUGH_BELOW: f64 = 2.0;

/// Samples before the line through all octaves is judged.
const ENOUGH_ON_LINE: f64 = 6.0;

/// Standard errors that a rise must exceed at first. It is looked at after every sample, so it must be well above the
/// 1.6 of a single look, and is confirmed.
const FIRST_LOOK: f64 = 3.0;

/// Standard errors that a rise must exceed in the second sample, which is looked at once.
const SECOND_LOOK: f64 = 1.6;

/// Standard errors from which on a rise makes growth wait.
const DOUBTFUL: f64 = 1.5;

/// Samples in the upper octave after which a doubtful rise is enough to ask for a second sample: growth must not pause
/// for ever.
const PATIENT: f64 = 48.0;

/// Standard deviation of a logarithm assumed at least.
const LEAST_SCATTER: f64 = 0.05;

/// Log-likelihood ratio that excludes "all queue". It is asked where a provider refused, and most of those refuse where
/// they are full; so little is needed.
const DECIDED: f64 = 1.0;

/// Ratio of a service time to that of the lowest octaves from which on it is no accident.
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

    /// Returns whether service time grows in proportion to in flight rather than not at all.
    fn queued(&self) -> bool {
        if self.count < ENOUGH_ON_LINE || self.xx <= 0.0 {
            return false;
        }
        let slope = self.xy / self.xx;
        let rest = (self.yy - slope * self.xy).max(0.0) / (self.count - 2.0);
        let error = (rest.max(LEAST_SCATTER * LEAST_SCATTER) / self.xx).sqrt();
        slope - FIRST_LOOK * error > 0.5
    }
}

/// The samples of one octave: sums.
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

/// A knee as service times show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bend {
    /// The level of the knee, in requests in flight.
    pub(super) level: f64,
    /// All of the service time may be queue, from the first request on.
    pub(super) all_queue: bool,
}

/// The second sample, taken after a rise was seen: requests that were sent since.
#[derive(Debug, Clone, Copy)]
struct Second {
    since: Time,
    sample: Octave,
    /// The lowest octaves as they were when the rise was seen.
    lowest: Octave,
    /// The knee, if the second sample agrees.
    bend: Bend,
}

/// Returns whether service time `above` exceeds that `below` by what matters and by so many standard errors.
fn rises(below: Octave, above: Octave, errors: f64) -> bool {
    let rise = above.log / above.count - below.log / below.count;
    let freedom = (above.count + below.count - 2.0).max(1.0);
    let variance = ((above.deviations() + below.deviations()) / freedom).max(LEAST_SCATTER * LEAST_SCATTER);
    let error = (variance * (1.0 / above.count + 1.0 / below.count)).sqrt();
    rise >= MATTERS && rise >= errors * error
}

/// Service times by octave of in flight.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Octaves {
    octaves: [Octave; OCTAVES],
    line: Line,
    since: Time,
    second: Option<Second>,
}

impl Octaves {
    /// Begins empty, for requests dispatched from now on. Requests in flight already are left out: the long ones among
    /// them are all that is still to come, and they would make the level of their dispatch look slow.
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
        let sample = Octave { count: 1.0, log, log_square: log * log, seconds, level: f64::from(level) };
        if let Some(second) = self.second.as_mut().filter(|second| at >= second.since) {
            second.sample = second.sample.add(sample);
            return;
        }
        self.line.add(f64::from(level.max(1)).ln(), log);
        self.octaves[index] = self.octaves[index].add(sample);
    }

    /// Returns all octaves below the highest one with enough samples, and that one.
    fn split(&self) -> Option<(Octave, Octave)> {
        let top = self.octaves.iter().rposition(|octave| octave.count >= ENOUGH_ABOVE)?;
        let below = self.octaves[..top].iter().fold(Octave::default(), |sum, &octave| sum.add(octave));
        (below.count >= ENOUGH_BELOW).then_some((below, self.octaves[top]))
    }

    /// Returns the lowest octaves, until there are enough samples.
    fn lowest(&self) -> Octave {
        let mut sum = Octave::default();
        for &octave in &self.octaves {
            if sum.count >= 2.0 * ENOUGH_ABOVE {
                break;
            }
            sum = sum.add(octave);
        }
        sum
    }

    /// Returns whether `seconds` is clearly more than what successes took at the lowest octaves.
    pub(super) fn lengthened(&self, seconds: f64) -> bool {
        let lowest = self.lowest();
        lowest.count > 0.0 && seconds > LENGTHENED * lowest.reading().seconds
    }

    /// Returns whether service time seems to rise: not for certain, but growth can wait until that is known.
    pub(super) fn suspicious(&self) -> bool {
        self.second.is_some() || self.split().is_some_and(|(below, top)| rises(below, top, DOUBTFUL))
    }

    /// Returns the knee, if service time rises significantly, and still does in what was sent after that was seen: by
    /// Little's law the throughput of the upper level times the service time of the lower.
    ///
    /// A look in a hundred finds a rise by accident, and a window that believes it stays small for minutes. So growth
    /// pauses, and a second sample decides that was not chosen for being slow.
    pub(super) fn knee(&mut self, now: Time) -> Option<Bend> {
        let Some(Second { sample, lowest, bend, .. }) = self.second else {
            if let Some(bend) = self.first_look() {
                self.second = Some(Second { since: now, sample: Octave::default(), lowest: self.lowest(), bend });
            }
            return None;
        };
        if sample.count < ENOUGH_ABOVE {
            return None;
        }
        self.second = None;
        if rises(lowest, sample, SECOND_LOOK) {
            return Some(bend);
        }
        // What looked slow was chosen for it: only the second sample counts.
        let index = ((sample.reading().level as u32).max(1).ilog2() as usize).min(OCTAVES - 1);
        self.octaves[index..].fill(Octave::default());
        self.octaves[index] = sample;
        self.line = Line::default();
        None
    }

    /// Returns what all samples so far say of the knee, before it is confirmed.
    fn first_look(&self) -> Option<Bend> {
        if self.line.queued() {
            return Some(Bend { level: self.lowest().reading().level, all_queue: true });
        }
        let (_, top) = self
            .split()
            .filter(|&(below, top)| rises(below, top, if top.count < PATIENT { FIRST_LOOK } else { DOUBTFUL }))?;
        let (below, top) = (self.lowest().reading(), top.reading());
        Some(Bend { level: top.level * below.seconds / top.seconds, all_queue: false })
    }

    /// Returns a lower level known to be free of queueing, if the octaves exclude that service time is proportional to
    /// the window.
    pub(super) fn base(&self, cv: f64) -> Option<Reading> {
        let (_, top) = self.split()?;
        let (below, top) = (self.lowest().reading(), top.reading());
        let all_queue = (top.level / below.level).ln();
        let error = top.error(below, cv);
        let ratio = (top.rise(below) - all_queue / 2.0) * all_queue / (error * error);
        (ratio < -DECIDED).then_some(below)
    }
}
