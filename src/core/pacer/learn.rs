//! A rate learned from refusals alone: cut when refused, regrown along CUBIC.
//!
//! The curve is that of RFC 9438, section 4.2, with a rate in place of a window: W(t) = C · (t − K)³ + W_max, flat
//! around the rate at which the provider last refused, steep before and past it. Two things differ, because a refused
//! request costs little and a token bucket has no queue to drain. K is chosen and C follows from it: a refusal is worth
//! about two hundred requests, whatever the rate, and where it brings a pause along, several times that pause. And the
//! cut depends on what the refusal tells. A refusal at an unknown rate, or well below the known one, is news: the rate
//! falls to 0.7 of what was admitted, and returns four times as fast. One about where the last one was confirms what is
//! known: 0.95.
//!
//! A cut belongs to an epoch: refusals of requests sent before it say nothing about the rate since. Time in which the
//! rate was not used does not let it grow (section 5.8).

use std::time::Duration;

use super::meter::Meter;
use crate::core::time::Time;

/// Share of the rate that a refusal leaves which is news.
const CUT: f64 = 0.7;
/// Share of the rate that a refusal leaves which confirms it.
const TRIM: f64 = 0.95;
/// Distance from the last maximum, as a share of it, within which a refusal confirms it.
const NEAR: f64 = 0.15;
/// Requests in which the curve returns to its maximum.
const REQUESTS: f64 = 200.0;
/// Factor by which the curve returns faster after news: a rate that is not known yet is sought, not kept.
const NEWS: f64 = 4.0;
/// Shortest time in which the curve returns to its maximum, seconds.
const SHORTEST_RETURN: f64 = 5.0;
/// Longest time in which the curve returns to its maximum for the sake of requests, seconds.
const LONGEST_RETURN: f64 = 120.0;
/// Share of the time that pauses may take where a refusal costs a pause.
const PAUSE_SHARE: f64 = 0.04;
/// Longest time in which the curve returns to its maximum for the sake of pauses, seconds.
const LONGEST_FOR_PAUSES: f64 = 900.0;
/// Share of the rate that counts as using it.
const USED: f64 = 0.7;
/// Slowest rate, requests per second: one a minute, so that a recovery is noticed.
const SLOWEST: f64 = 1.0 / 60.0;
/// Slowest first guess, requests per second: a route that was quiet when it was refused has measured nothing.
const FIRST: f64 = 1.0;
/// Multiple of the rate of the last refusal at which nothing is left of it to keep to.
const BEYOND: f64 = 16.0;
/// Lateness of a send that is made good, seconds: timers are not exact.
const TOLERANCE: f64 = 0.01;

/// W(t), with a clock of its own that stands still while the rate is not used.
#[derive(Debug, Clone, Copy)]
struct Curve {
    most: f64,
    from: f64,
    period: f64,
    elapsed: f64,
    /// Sends that may go now.
    credit: f64,
    at: Time,
}

impl Curve {
    fn rate(&self) -> f64 {
        let (grown, scale) = (self.elapsed / self.period - 1.0, self.most - self.from);
        (self.most + scale * grown.powi(3)).max(SLOWEST)
    }

    fn burst(&self) -> f64 {
        1.0 + TOLERANCE * self.rate()
    }

    fn refill(&mut self, now: Time, used: bool) {
        let seconds = now.seconds_since(self.at);
        self.credit = self.burst().min(self.credit + self.rate() * seconds);
        if used {
            self.elapsed += seconds;
        }
        self.at = self.at.max(now);
    }
}

/// The learned rate, and the sends of the last seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Learned {
    curve: Option<Curve>,
    meter: Meter,
    cut_at: Time,
    /// Pause that a refusal costs, seconds.
    pause: f64,
}

impl Learned {
    /// Returns the learned rate, requests per second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.curve.map(|curve| curve.rate())
    }

    /// Returns the rate at which the provider refused last, requests per second: what is worth remembering.
    pub(super) fn most(&self) -> Option<f64> {
        self.curve.map(|curve| curve.most)
    }

    /// Begins with what was the [most](Self::most) in an earlier life, as if the provider had just confirmed it.
    pub(super) fn recalled(most: f64, now: Time) -> Self {
        let (most, period) = (most.max(SLOWEST), (REQUESTS / most.max(SLOWEST)).clamp(SHORTEST_RETURN, LONGEST_RETURN));
        let curve = Curve { most, from: most * TRIM, period, elapsed: 0.0, credit: 1.0, at: now };
        Self { curve: Some(curve), ..Self::default() }
    }

    pub(super) fn ready_at(&self, now: Time) -> Time {
        let Some(mut curve) = self.curve else { return now };
        curve.refill(now, false);
        let missing = 1.0 - curve.credit;
        if missing <= 1e-9 { now } else { now + Duration::from_secs_f64(missing / curve.rate() + 1e-9) }
    }

    pub(super) fn allowance(&self, now: Time) -> u32 {
        let Some(mut curve) = self.curve else { return u32::MAX };
        curve.refill(now, false);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let count = (curve.credit + 1e-9) as u32;
        count
    }

    pub(super) fn take(&mut self, now: Time) {
        self.meter.sent(now);
        let rate = self.meter.rate(now);
        if let Some(curve) = &mut self.curve {
            let used = rate >= USED * curve.rate();
            curve.refill(now, used);
            curve.credit -= 1.0;
        }
    }

    /// Notes that the attempt sent at `sent` was refused; cuts where it was for a rate.
    /// `known` is the rate that config or headers state, if they do.
    pub(super) fn refused(&mut self, now: Time, sent: Time, cuts: bool, known: Option<f64>) {
        self.meter.refused(now, sent);
        if !cuts || (sent < self.cut_at && self.curve.is_some()) {
            return;
        }
        let (rate, expected) = match &mut self.curve {
            None => (self.meter.rate(now).max(FIRST), known),
            Some(curve) => {
                curve.refill(now, false);
                (curve.rate(), Some(curve.most))
            }
        };
        let near = expected.is_some_and(|expected| (rate / expected - 1.0).abs() <= NEAR);
        let from = (rate * if near { TRIM } else { CUT }).max(SLOWEST);
        let period = (REQUESTS / rate)
            .clamp(SHORTEST_RETURN, LONGEST_RETURN)
            .max((self.pause / PAUSE_SHARE).min(LONGEST_FOR_PAUSES));
        let period = if near { period } else { period / NEWS };
        self.curve = Some(Curve { most: rate.max(from), from, period, elapsed: 0.0, credit: 0.0, at: now });
        self.cut_at = now;
    }

    /// Says whether an attempt sent at `sent` saw the learned rate at work.
    pub(super) fn is_after_cut(&self, sent: Time) -> bool {
        self.curve.is_some() && sent >= self.cut_at
    }

    /// Doubles the learned rate, since the provider states that there is plenty; forgets it where that reaches the
    /// `known` one, or what no refusal ever spoke of.
    pub(super) fn double(&mut self, now: Time, known: Option<f64>) {
        let Some(curve) = &mut self.curve else { return };
        curve.refill(now, false);
        let rate = curve.rate() * 2.0;
        if rate >= known.unwrap_or(curve.most * BEYOND) {
            return self.forget();
        }
        curve.most = curve.most.max(rate);
        (curve.from, curve.elapsed) = (rate.min(curve.most * TRIM), 0.0);
    }

    /// Forgets the learned rate: the provider states a higher one.
    pub(super) fn forget(&mut self) {
        self.curve = None;
    }

    /// Notes how long nothing or little could be sent because of a refusal.
    pub(super) fn paused(&mut self, pause: Duration) {
        self.pause = pause.as_secs_f64();
    }
}
