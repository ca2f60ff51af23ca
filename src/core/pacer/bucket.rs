//! One dimension of a rate: how fast it may be used, and how much the provider says is left.
//!
//! Two gates in one. The *credit* spaces sends: a GCRA (ITU-T I.371) written as a token bucket, with a burst of one
//! second, so that a full minute's allowance is not sent at once. The *stock* is the provider's own bucket as its
//! headers show it: nothing is sent that it cannot cover.
//!
//! # How old news is read
//!
//! A response says what was left at some moment between its request's dispatch and its arrival, and several requests
//! are under way in between. If it was counted at dispatch, there is left by now: what it said, less what was sent
//! after it, plus what has flowed in since. If at arrival: exactly what it said. So the two bound what is left; the
//! running account is kept while it lies between them and moved to the nearer bound when not. Hence a response can
//! lower it at once, but raise it no further than both readings allow. What an attempt sent before the last one heard
//! of has to say is older news, and ignored: out of order, nothing is inflated.
//!
//! # How fast
//!
//! The stated window, else the time to refill (snapped to a second, a minute, an hour, a day, where near), else the
//! limit per minute; more, where more was seen to flow in between two responses. A bucket that is full tells no rate,
//! but that it fills faster than it is used: while it is found full, a guess doubles with each round trip, until the
//! time to refill can be read or a bucket goes in a second. Then a slow correction steers the
//! stock to half a second's worth, so that an initially full bucket is used, and an inexact rate or a competitor on the
//! same account does not end in refusals.

use std::time::Duration;

use super::hint::RateHint;
use crate::core::time::Time;

/// Rates are stated per minute, unless something says otherwise.
const MINUTE: f64 = 60.0;
/// Seconds of a rate that may go at once.
const BURST_SECONDS: f64 = 1.0;
/// Seconds of a rate that are kept in stock, for what is under way unseen.
const RESERVE_SECONDS: f64 = 0.5;
/// Seconds in which a surplus or a lack of stock is made good.
const CORRECTION_SECONDS: f64 = 10.0;
/// The least and the most that the correction makes of the rate. Below: a provider whose bucket holds a single request
/// never shows any stock, and must not be starved for it.
const CORRECTION: (f64, f64) = (0.98, 2.0);
/// Windows that providers use, seconds.
const WINDOWS: [f64; 5] = [1.0, 10.0, MINUTE, 3_600.0, 86_400.0];
/// A measured window is taken for one of them within this factor.
const SNAP: f64 = 1.5;
/// Shortest span between two responses from which the flow is measured.
const MEASURE_SPAN: f64 = 2.0;
/// Share of the measured flow that is believed: responses out of step may feign the rest.
const MEASURE_TRUST: f64 = 0.9;

/// How the provider's bucket fills.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refill {
    Steadily,
    /// Wholly, at that time, and again each `window` seconds.
    AtOnce {
        at: Time,
        window: f64,
    },
}

/// The provider's bucket, as its headers show it.
#[derive(Debug, Clone, Copy)]
struct Stock {
    limit: f64,
    /// Most that was ever seen in it: what `limit` names may be a rate rather than a size.
    most: f64,
    left: f64,
    refill: Refill,
    /// Units per second that the headers speak for, before measuring.
    stated: f64,
    /// Units per second that flowed in, as far as could be seen; 0 while nothing was.
    measured: f64,
    /// Where measuring began.
    base: Heard,
    /// Dispatch of the newest attempt heard of.
    newest: Time,
    /// When `stated` was last raised on a guess.
    raised: Time,
}

/// A response: its request's dispatch, what had been sent by then, and what it says is left.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Time,
    sent: f64,
    remaining: f64,
}

/// A token bucket with a memory of what the provider said.
///
/// Over any span of t seconds it passes at most burst + t · rate units, plus one request larger than the burst
/// (which goes when the bucket is full, and leaves it in debt).
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    credit: f64,
    at: Time,
    stock: Option<Stock>,
}

/// Rounding must not name a time at which it still falls short by an ulp.
const ULP: f64 = 1e-9;

impl Bucket {
    /// Builds a bucket for a known rate, with a full burst.
    pub(super) fn per_minute(rate: f64, now: Time) -> Self {
        // The sustained rate leaves room for the burst, so that no span of a minute passes more than the limit.
        let burst = (rate / MINUTE * BURST_SECONDS).max(1.0).min(rate);
        let per_second = ((rate - burst) / MINUTE).max(rate / MINUTE * 0.5);
        Self { per_second, burst, credit: burst, at: now, stock: None }
    }

    /// Builds a bucket of which only a response is known.
    fn unknown(now: Time) -> Self {
        Self { per_second: 0.0, burst: 1.0, credit: 1.0, at: now, stock: None }
    }

    /// Returns the rate at which credit grows, units per second.
    fn pace(&self) -> f64 {
        let Some(stock) = &self.stock else { return self.per_second };
        match stock.refill {
            Refill::Steadily => {
                let surplus = stock.left / self.per_second - RESERVE_SECONDS;
                self.per_second * (1.0 + surplus / CORRECTION_SECONDS).clamp(CORRECTION.0, CORRECTION.1)
            }
            // What is left is spread over what is left of the window.
            Refill::AtOnce { at, .. } => stock.left.max(0.0) / at.seconds_since(self.at).max(BURST_SECONDS),
        }
    }

    pub(super) fn refill(&mut self, now: Time) {
        if now <= self.at {
            return;
        }
        if let Some(Stock { refill: Refill::AtOnce { at, .. }, .. }) = self.stock
            && at > self.at
            && at < now
        {
            self.advance(at);
        }
        self.advance(now);
    }

    /// Moves on to `now`, at most to the end of the provider's window.
    fn advance(&mut self, now: Time) {
        let seconds = now.seconds_since(self.at);
        self.credit = self.burst.min(self.credit + self.pace() * seconds);
        self.at = now;
        let per_second = self.per_second;
        let Some(stock) = &mut self.stock else { return };
        match &mut stock.refill {
            Refill::Steadily => stock.left = stock.left.max((stock.left + per_second * seconds).min(stock.most)),
            Refill::AtOnce { at, window } if *at <= now => {
                stock.left = stock.limit;
                let periods = (now.seconds_since(*at) / *window).floor() + 1.0;
                *at += Duration::try_from_secs_f64(periods * *window).unwrap_or(Duration::MAX);
            }
            Refill::AtOnce { .. } => {}
        }
    }

    /// Returns when `units` may go.
    pub(super) fn ready_at(mut self, now: Time, units: f64) -> Time {
        self.refill(now);
        let after = |missing: f64, per_second: f64| match missing {
            missing if missing <= ULP => now,
            missing => now + Duration::try_from_secs_f64(missing / per_second + ULP).unwrap_or(Duration::MAX),
        };
        let credit = after(units.min(self.burst) - self.credit, self.pace());
        let Some(stock) = self.stock else { return credit };
        let missing = units.min(stock.most) - stock.left;
        match stock.refill {
            Refill::Steadily => credit.max(after(missing, self.per_second)),
            // A fresh window changes the pace as well.
            Refill::AtOnce { at, .. } if missing > ULP => at,
            Refill::AtOnce { at, .. } => credit.min(at),
        }
    }

    /// Returns how many requests of `units` each may go now.
    pub(super) fn allowance(mut self, now: Time, units: f64) -> u32 {
        if self.ready_at(now, units) > now {
            return 0;
        }
        self.refill(now);
        let level = self.stock.map_or(self.credit, |stock| self.credit.min(stock.left));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let count = (level / units + ULP) as u32;
        count.max(1)
    }

    /// Uses `units` now.
    pub(super) fn take(&mut self, now: Time, units: f64) {
        self.refill(now);
        self.credit -= units;
        if let Some(stock) = &mut self.stock {
            stock.left -= units;
        }
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> f64 {
        self.stock.map_or(f64::NAN, |stock| stock.left)
    }

    /// Returns the known rate, units per second.
    pub(super) fn rate(&self) -> f64 {
        self.per_second
    }

    /// Gives back `units` that were reserved and not used; takes more when negative.
    pub(super) fn give_back(&mut self, now: Time, units: f64) {
        self.refill(now);
        self.credit = self.burst.min(self.credit + units);
        if let Some(stock) = &mut self.stock {
            stock.left = (stock.left + units).min(stock.most.max(stock.left));
        }
    }

    /// Follows what a response says that was sent at `at`, when `sent` units had been sent in all, itself included,
    /// of now `total`.
    pub(super) fn observe(bucket: &mut Option<Self>, now: Time, at: Time, sent: f64, total: f64, hint: RateHint) {
        if bucket.is_none() && hint.limit.is_none_or(|limit| limit < 1.0) {
            // Neither a size nor a rate is known: refusals have to teach it.
            return;
        }
        let mut known = bucket.unwrap_or_else(|| Self::unknown(now));
        known.refill(now);
        known.hear(now, Heard { at, sent, remaining: hint.remaining }, total, hint);
        *bucket = Some(known);
    }

    fn hear(&mut self, now: Time, heard: Heard, total: f64, hint: RateHint) {
        let last = self.stock;
        if last.is_some_and(|stock| heard.at < stock.newest) {
            return;
        }
        let remaining = hint.remaining;
        let limit = match (hint.limit, last) {
            (None, Some(stock)) => stock.limit,
            (limit, _) => limit.unwrap_or(0.0),
        };
        let limit = limit.max(remaining).max(1.0);
        let (stated, raised) = self.stated_rate(now, heard, hint, limit);
        let (base, measured) = self.measure(heard, hint, limit);
        self.per_second = stated.max(measured);
        self.burst = (self.per_second * BURST_SECONDS).clamp(1.0, limit);
        self.credit = self.credit.min(self.burst);

        let refill = fills(now, heard.at, hint, last.map(|stock| stock.refill));
        let over = matches!(refill, Refill::AtOnce { .. }) && hint.reset.is_some_and(|reset| heard.at + reset <= now);
        let flowed = match refill {
            Refill::Steadily => self.per_second * now.seconds_since(heard.at),
            Refill::AtOnce { .. } => 0.0,
        };
        let (at_dispatch, at_arrival) = (remaining + flowed - (total - heard.sent), remaining);
        let (low, high) = (at_dispatch.min(at_arrival), at_dispatch.max(at_arrival));
        let left = match last {
            None => low,
            // It speaks of a window that has ended.
            Some(stock) if over => stock.left,
            Some(stock) => stock.left.clamp(low, high),
        };
        let most = last.map_or(0.0, |stock| stock.most).max(remaining + 1.0).min(limit);
        self.stock =
            Some(Stock { limit, most, left: left.min(most), refill, stated, measured, base, newest: heard.at, raised });
    }

    /// Returns the rate that a response speaks for, units per second, and when it was last raised on a guess.
    fn stated_rate(&self, now: Time, heard: Heard, hint: RateHint, limit: f64) -> (f64, Time) {
        let raised = self.stock.map_or(Time::ZERO, |stock| stock.raised);
        if let Some(window) = hint.window.filter(|window| !window.is_zero()) {
            return (limit / window.as_secs_f64(), raised);
        }
        let missing = limit - hint.remaining;
        let to_full = hint.reset.filter(|reset| {
            // A whole second may be a rounded millisecond.
            let precise = reset.subsec_nanos() > 0 || reset.as_secs() >= 2;
            precise && !hint.at_once && hint.limit.is_some() && missing >= 1.0
        });
        let full = hint.reset.is_some() && !hint.at_once && hint.limit.is_some() && missing < 1.0;
        match (to_full, self.stock) {
            (Some(reset), _) => (limit / snapped(limit * reset.as_secs_f64() / missing), raised),
            (None, Some(stock)) if full && heard.at >= raised && stock.stated < limit => {
                ((stock.stated * 2.0).min(limit), now)
            }
            (None, Some(stock)) => (stock.stated * limit / stock.limit, raised),
            (None, None) if hint.limit.is_none() && self.per_second > 0.0 => (self.per_second, raised),
            (None, None) => (limit / MINUTE, raised),
        }
    }

    /// Measures what flows in between two responses; a bucket that is nearly full shows nothing.
    fn measure(&self, heard: Heard, hint: RateHint, limit: f64) -> (Heard, f64) {
        let Some(last) = self.stock.filter(|last| last.refill == Refill::Steadily && hint.window.is_none()) else {
            return (heard, 0.0);
        };
        if heard.remaining > 0.95 * limit || last.base.remaining > 0.95 * limit {
            return (heard, last.measured);
        }
        let span = heard.at.seconds_since(last.base.at);
        if span < MEASURE_SPAN {
            return (last.base, last.measured);
        }
        let flowed = heard.remaining - last.base.remaining + heard.sent - last.base.sent;
        (heard, (flowed / span * MEASURE_TRUST).max(0.0))
    }
}

/// Says how the bucket fills and, where it does at once, when. The reset counts from some moment between dispatch and
/// arrival: what is known stays while it fits, and at first the later one is believed.
fn fills(now: Time, sent: Time, hint: RateHint, last: Option<Refill>) -> Refill {
    let Some(reset) = hint.reset.filter(|_| hint.at_once) else { return Refill::Steadily };
    let (known, longest) = match last {
        Some(Refill::AtOnce { at, window }) if at > now => (at.clamp(sent + reset, now + reset), window),
        Some(Refill::AtOnce { window, .. }) => (now + reset, window),
        _ => (now + reset, BURST_SECONDS),
    };
    let window = hint.window.map_or(longest.max(reset.as_secs_f64()), |window| window.as_secs_f64());
    Refill::AtOnce { at: known, window: window.max(BURST_SECONDS) }
}

fn snapped(window: f64) -> f64 {
    WINDOWS.into_iter().find(|known| window < known * SNAP && window > known / SNAP).unwrap_or(window)
}
