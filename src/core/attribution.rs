//! Attribution decides what a 429 without words is about: too many at once, or too many a minute.
//!
//! A 429 is read as concurrency until behaviour proves otherwise: a wrong guess the other way would never find a cap. A
//! refusal at an in-flight count at which others were admitted lately is a *doubt*: a cap alone does not do that.
//! Competitors, a falling cap and slots that are freed late do, so a doubt is not enough. While most of the last
//! refusals are doubts, either of two things proves a rate:
//!
//! - **The line.** A token bucket refuses while it is empty. So between any two refusals it admitted what flowed in:
//!   plotted over time, the admitted requests at refusals lie on a line within one request. What a cap admits is what
//!   completes, which strays from any line like a random walk. What was sent at an even pace proves nothing: that is a
//!   line whoever refuses, so the line of the admitted has to be straighter than that of the sent.
//! - **The haste.** A bucket that fills up in between refuses only bursts. So refusals come when more than usual was
//!   just sent, on one of a few time scales: a sequential test (Wald 1945) of how many standard deviations more.
//!
//! Afterwards, too, a refusal above all that was admitted lately is a reading of a cap, for a provider may have both;
//! several of those in a row, and the rate is doubted in turn. O(1) in time and memory.

use super::estimate::{Ewma, FadingSum};
use super::time::Time;

/// Refusals that must lie on a line to prove a rate. With fewer, the completions of a cap pass as a line too often.
const POINTS: usize = 12;
/// Doubts needed among the last [`POINTS`] refusals: refusals at an in-flight count that was admitted recently. A shared
/// or slowly freed cap produces fewer, a rate limit more.
const DOUBTS: usize = 8;
/// Least requests admitted between two points of the line: closer together, they would pass as a line too often.
const APART: f64 = 8.0;
/// Standard deviation of admitted requests from their line up to which it is a line, in requests. A token bucket's own is
/// 0.3; the rest is for jitter of the network.
const STRAY: f64 = 0.6;
/// Standard deviation of sent requests from their line up to which sending was too even to prove anything, in requests.
const UNEVEN: f64 = 1.2;
/// Time scales on which haste is measured, seconds.
const SCALES: [f64; 3] = [2.0, 8.0, 32.0];
/// Haste that speaks neither for a rate nor against it, in standard deviations.
const NEUTRAL: f64 = 0.8;
/// Least evidence, in standard deviations of haste, that one refusal adds to the proof of a rate.
const LEAST_EVIDENCE: f64 = -2.0;
/// Most evidence, in standard deviations of haste, that one refusal adds to the proof of a rate.
const MOST_EVIDENCE: f64 = 2.0;
/// Sum of evidence that proves a rate: at least six refusals.
const PROOF: f64 = 12.0;
/// Weight of the newest dispatch in the usual level of a pace.
const GAIN: f64 = 1.0 / 128.0;
/// Warm-up, in multiples of a time scale: before that the average is still rising and every send looks too fast.
const WARM_UP: f64 = 4.0;
/// Share of the highest admitted in-flight count that is kept per refusal.
const FADE: f64 = 0.97;
/// Refusals in a row that look like a cap and end the belief in a rate.
const CAPS: u32 = 3;

/// The record of one dispatch; hand it back at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    at: Time,
    in_flight: u32,
    /// Requests sent before this one.
    sent: f64,
    /// Standard deviations of haste, by time scale.
    haste: [f32; SCALES.len()],
}

/// How much was sent lately, on one time scale, and how much is usual.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Requests sent and not refused, fading over the time scale.
    level: FadingSum,
    mean: Ewma,
    variance: Ewma,
    /// Evidence for a rate.
    proof: f64,
    /// Dispatch of the refusal that gave the last evidence.
    heard: Time,
}

impl Pace {
    fn new(scale: f64) -> Self {
        let usual = Ewma::new(0.0, GAIN);
        Self { level: FadingSum::new(scale), mean: usual, variance: usual, proof: 0.0, heard: Time::ZERO }
    }

    /// Counts a dispatch, the `count`-th of all; returns its haste in standard deviations.
    fn sent(&mut self, now: Time, count: f64) -> f32 {
        // A plain mean of all dispatches while there are few.
        let gain = GAIN.max(1.0 / count);
        self.level.advance(now);
        let level = self.level.at(now);
        let off = level - self.mean.value();
        let haste = off / self.variance.value().sqrt().max(0.5);
        self.mean.add_with(gain, level);
        self.variance.add_with(gain, off * off);
        self.level.add(now, 1.0);
        haste as f32
    }

    /// Takes a dispatch out again that was refused.
    fn refused(&mut self, sent: Time) {
        self.level.take_out(sent, 1.0);
    }

    /// Weighs a refusal as evidence; returns whether a rate is proven on this time scale.
    fn weigh(&mut self, sent: Time, since_first: f64, evidence: f64, doubt: bool) -> bool {
        let scale = self.level.memory();
        if doubt && (since_first < WARM_UP * scale || sent.seconds_since(self.heard) < scale) {
            // Nothing is usual yet, or what was just sent is still what the last one had before it.
            return false;
        }
        self.heard = sent;
        self.proof = (self.proof + evidence).clamp(0.0, PROOF);
        self.proof >= PROOF
    }
}

/// A refusal: when it was sent, how many requests had been admitted and sent by then, and whether it raises a doubt.
#[derive(Debug, Clone, Copy, Default)]
struct Point {
    seconds: f64,
    admitted: f64,
    sent: f64,
    doubt: bool,
}

/// Decides what wordless refusals of one route are about.
#[derive(Debug, Clone)]
pub struct Attribution {
    first: Option<Time>,
    sent: f64,
    refused: f64,
    paces: [Pace; SCALES.len()],
    points: [Point; POINTS],
    /// Points that hold something.
    known: usize,
    /// The most in flight at which something was admitted lately.
    highest: f64,
    rate: bool,
    /// Refusals in a row that looked like a cap.
    caps: u32,
}

impl Default for Attribution {
    fn default() -> Self {
        Self {
            first: None,
            sent: 0.0,
            refused: 0.0,
            paces: SCALES.map(Pace::new),
            points: [Point::default(); POINTS],
            known: 0,
            highest: 0.0,
            rate: false,
            caps: 0,
        }
    }
}

impl Attribution {
    /// Believes in a rate, as an earlier life did whose window was `limit`.
    #[must_use]
    pub fn recalled(limit: u32) -> Self {
        Self { rate: true, highest: f64::from(limit), ..Self::default() }
    }

    /// Says whether wordless refusals are taken for a rate's.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        self.rate
    }

    /// Notes a dispatch that brings `in_flight` requests in flight.
    pub fn dispatched(&mut self, now: Time, in_flight: u32) -> Mark {
        let (sent, mut haste) = (self.sent, [0.0; SCALES.len()]);
        self.sent += 1.0;
        self.first.get_or_insert(now);
        for (pace, haste) in self.paces.iter_mut().zip(&mut haste) {
            *haste = pace.sent(now, self.sent);
        }
        Mark { at: now, in_flight, sent, haste }
    }

    /// Notes that the request was admitted.
    pub fn admitted(&mut self, mark: Mark) {
        self.highest = self.highest.max(f64::from(mark.in_flight));
    }

    /// Notes that the request was refused, with or without words.
    pub fn refused(&mut self, mark: Mark) {
        self.refused += 1.0;
        for pace in &mut self.paces {
            pace.refused(mark.at);
        }
    }

    /// Says whether a refusal without words is a rate's, and learns from it. To be followed by
    /// [`refused`](Self::refused).
    pub fn judge(&mut self, mark: Mark) -> bool {
        let doubt = f64::from(mark.in_flight) <= self.highest;
        let admitted = (mark.sent - self.refused).max(0.0);
        if self.known == 0 || admitted - self.points[(self.known - 1) % POINTS].admitted >= APART {
            self.learn(mark, admitted, doubt);
        }
        self.rate && doubt
    }

    fn learn(&mut self, mark: Mark, admitted: f64, doubt: bool) {
        self.highest *= FADE;
        if self.known == POINTS {
            self.points.rotate_left(1);
            self.known -= 1;
        }
        self.points[self.known] =
            Point { seconds: mark.at.seconds_since(Time::ZERO), admitted, sent: mark.sent, doubt };
        self.known += 1;
        let doubted = self.points.iter().filter(|point| point.doubt).count() >= DOUBTS;
        let mut hasty = false;
        let seconds = self.first.map_or(0.0, |first| mark.at.seconds_since(first));
        for (pace, haste) in self.paces.iter_mut().zip(mark.haste) {
            let haste = (f64::from(haste) - NEUTRAL).clamp(LEAST_EVIDENCE, MOST_EVIDENCE);
            hasty |= pace.weigh(mark.at, seconds, if doubt { haste } else { LEAST_EVIDENCE }, doubt);
        }
        self.caps = if doubt { 0 } else { self.caps + 1 };
        if self.caps >= CAPS {
            self.rate = false;
        } else if doubted && (hasty || self.on_a_line()) {
            self.rate = true;
        }
    }

    /// Whether the refusals lie on a line.
    fn on_a_line(&self) -> bool {
        self.known == POINTS && self.stray(|point| point.admitted) <= STRAY && self.stray(|point| point.sent) >= UNEVEN
    }

    /// Standard deviation of the points from their line over time.
    fn stray(&self, of: fn(&Point) -> f64) -> f64 {
        let n = POINTS as f64;
        let mean = |of: fn(&Point) -> f64| self.points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|point| point.seconds), mean(of));
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for point in &self.points {
            let (dx, dy) = (point.seconds - x, of(point) - y);
            (xx, xy, yy) = (xx + dx * dx, xy + dx * dy, yy + dy * dy);
        }
        // Without time between them, any line is as good.
        if xx > 0.0 { ((yy - xy * xy / xx).max(0.0) / n).sqrt() } else { f64::INFINITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Numbers from [0, 1).
    fn random(mut state: u64) -> impl FnMut() -> f64 {
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / (1_u64 << 31) as f64
        }
    }

    /// Sends 10,000 requests at 25 a second, of which `admits` says what becomes. Returns how many refusals were taken
    /// for a rate's.
    fn play(mut gap: impl FnMut() -> f64, mut admits: impl FnMut(Time, u32) -> bool) -> u32 {
        let (mut attribution, mut now, mut rates) = (Attribution::default(), Time::ZERO, 0);
        for n in 0..10_000 {
            now += Duration::from_secs_f64(0.08 * gap());
            let in_flight = 20 + n % 7;
            let mark = attribution.dispatched(now, in_flight);
            if admits(now, in_flight) {
                attribution.admitted(mark);
            } else {
                rates += u32::from(attribution.judge(mark));
                attribution.refused(mark);
            }
        }
        rates
    }

    #[test]
    fn a_bucket_is_found_out_whatever_is_in_flight() {
        let (mut tokens, mut at) = (20.0, Time::ZERO);
        let rates = play(random(1), move |now, _| {
            tokens = f64::min(20.0, tokens + 10.0 * now.seconds_since(at));
            at = now;
            let admits = tokens >= 1.0;
            tokens -= f64::from(u8::from(admits));
            admits
        });
        // Ten a second are admitted, so nearly 6,000 are refused, all but the first, and those with the most in flight, for the rate.
        assert!(rates > 5_000, "{rates}");
    }

    #[test]
    fn a_cap_is_never_taken_for_a_rate() {
        assert_eq!(play(random(1), |_, in_flight| in_flight <= 24), 0);
    }

    #[test]
    fn refusals_at_random_are_no_rate_however_even_the_sends() {
        for seed in 1..=20 {
            let mut chance = random(seed);
            assert_eq!(play(|| 0.5, move |_, _| chance() < 0.9), 0);
        }
    }
}
