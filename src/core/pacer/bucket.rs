//! A bucket keeps one dimension of a rate: how fast it may be used, and how much the provider says is left.
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
//! # A rate or a budget
//!
//! A window of minutes is a rate: what it allows is spread over it, so that the work flows evenly and a burst meets no
//! refusal. A window longer than [`LONG`] is a budget. To spread a day's allowance over the day would hold work back for
//! a quota that may never be reached: it goes as it comes while something is left, and waits for the reset when it is
//! spent.
//!
//! # How fast
//!
//! The stated window, else the time to refill (snapped to a second, a minute, an hour, a day and so on, where near), else the
//! limit per minute; more, where more was seen to flow in between two responses. A bucket that is full tells no rate,
//! but that it fills faster than it is used: while it is found full, a guess doubles with each round trip, until the
//! time to refill can be read or a bucket goes in a second. Then a slow correction steers the
//! stock to half a second's worth, so that an initially full bucket is used, and an inexact rate or a competitor on the
//! same account does not end in refusals.

use std::time::Duration;

use super::shape::Shape;
use crate::core::hint::{LONG, RateHint};
use crate::core::time::Time;

/// Rates are stated per minute, unless something says otherwise.
const MINUTE: f64 = 60.0;
/// Seconds of a rate that may go at once.
const BURST_SECONDS: f64 = 1.0;
/// Seconds of a rate that are kept in stock, for what is under way unseen.
const RESERVE_SECONDS: f64 = 0.5;
/// Seconds in which a surplus or a lack of stock is made good.
const CORRECTION_SECONDS: f64 = 10.0;
/// Least factor by which the correction changes the rate: a provider whose bucket holds a single request never shows any
/// stock, and must not be starved for it.
const LEAST_CORRECTION: f64 = 0.98;
/// Largest factor by which the correction changes the rate.
const LARGEST_CORRECTION: f64 = 2.0;
/// Windows that providers use, seconds.
const WINDOWS: [f64; 7] = [1.0, 10.0, MINUTE, 3_600.0, 86_400.0, 604_800.0, 2_592_000.0];
/// Factor within which a measured window is taken for one of [`WINDOWS`].
const SNAP: f64 = 1.5;
/// Shortest span between two responses from which the flow is measured.
const MEASURE_SPAN: f64 = 2.0;
/// Share of the measured flow that is believed: responses out of step may feign the rest.
const MEASURE_TRUST: f64 = 0.9;

/// Share of a rate's limit from which on plenty is left.
const PLENTY: f64 = 0.5;
/// A rate of which fewer fit into its bucket is never in plenty: one request more or less decides there.
const LEAST_PLENTY: f64 = 8.0;

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
    /// The response at which measuring began.
    base: Heard,
    /// Dispatch of the newest attempt heard of.
    newest: Time,
    /// When `stated` was last raised on a guess.
    raised: Time,
    /// How it fills, as its resets tell.
    shape: Shape,
    /// Whether its window is a long one.
    budget: bool,
}

/// A request: when it was sent, units sent in all by then, itself included, and by now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Time,
    pub(super) then: f64,
    pub(super) now: f64,
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

    /// Builds a full bucket of `limit` units that are there anew each `window` seconds: a budget.
    pub(super) fn budget(limit: f64, window: f64, now: Time) -> Self {
        let at = now + Duration::try_from_secs_f64(window).unwrap_or(Duration::MAX);
        let stock = Stock {
            limit,
            most: limit,
            left: limit,
            refill: Refill::AtOnce { at, window },
            stated: limit / window,
            measured: 0.0,
            base: Heard { at: now, sent: 0.0, remaining: limit },
            newest: now,
            raised: now,
            shape: Shape::default(),
            budget: true,
        };
        Self { per_second: limit / window, stock: Some(stock), ..Self::unknown(now) }
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
                self.per_second * (1.0 + surplus / CORRECTION_SECONDS).clamp(LEAST_CORRECTION, LARGEST_CORRECTION)
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
            Refill::Steadily if stock.budget => after(missing, self.per_second),
            Refill::AtOnce { .. } if stock.budget && missing <= ULP => now,
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
        let level = match self.stock {
            Some(stock) if stock.budget => stock.left,
            Some(stock) => self.credit.min(stock.left),
            None => self.credit,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let count = (level / units + ULP) as u32;
        count.max(1)
    }

    /// Uses `units` now.
    pub(super) fn take(&mut self, now: Time, units: f64) {
        self.refill(now);
        if !self.is_budget() {
            self.credit -= units;
        }
        if let Some(stock) = &mut self.stock {
            stock.left -= units;
        }
    }

    /// Says whether its window is a long one.
    pub(super) fn is_budget(&self) -> bool {
        self.stock.is_some_and(|stock| stock.budget)
    }

    /// Says whether the provider's last answers leave plenty: half of a rate, or anything of a budget; `None`
    /// where none told enough to say.
    pub(super) fn has_plenty(mut self, now: Time) -> Option<bool> {
        self.refill(now);
        self.stock.map(|stock| stock.left >= if stock.budget { 1.0 } else { PLENTY * stock.limit.max(LEAST_PLENTY) })
    }

    /// Takes a budget for unspent, until an answer tells.
    pub(super) fn release(&mut self) {
        if let Some(stock) = self.stock.as_mut().filter(|stock| stock.budget) {
            (stock.left, stock.most) = (stock.limit, stock.limit);
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

    /// Follows the hint of a response to a request that was `sent`.
    pub(super) fn observe(bucket: &mut Option<Self>, now: Time, sent: Sent, hint: RateHint) {
        if bucket.is_none() && hint.limit.is_none_or(|limit| limit < 1.0) {
            // Neither a size nor a rate is known: refusals have to teach it.
            return;
        }
        let mut known = bucket.unwrap_or_else(|| Self::unknown(now));
        known.refill(now);
        known.hear(now, sent, hint);
        *bucket = Some(known);
    }

    fn hear(&mut self, now: Time, sent: Sent, hint: RateHint) {
        let heard = Heard { at: sent.at, sent: sent.then, remaining: hint.remaining };
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
        let mut shape = last.map_or(Shape::default(), |stock| stock.shape);
        let (hint, window) = read(hint, limit, last, &mut shape);
        let (stated, raised) = self.stated_rate(now, heard, hint, limit);
        let refill = fills(now, heard.at, hint, window, last.map(|stock| stock.refill));
        let budget = window.is_some_and(|window| window > LONG.as_secs_f64());
        let (base, measured) = self.measure(heard, hint, limit);
        // What flows into a budget is too little to be seen between two answers.
        let measured = if budget { 0.0 } else { measured };
        self.per_second = stated.max(measured);
        self.burst = (self.per_second * BURST_SECONDS).clamp(1.0, limit);
        self.credit = self.credit.min(self.burst);

        let over = matches!(refill, Refill::AtOnce { .. }) && hint.reset.is_some_and(|reset| heard.at + reset <= now);
        let flowed = match refill {
            Refill::Steadily => self.per_second * now.seconds_since(heard.at),
            Refill::AtOnce { .. } => 0.0,
        };
        let (at_dispatch, at_arrival) = (remaining + flowed - (sent.now - sent.then), remaining);
        let (low, high) = (at_dispatch.min(at_arrival), at_dispatch.max(at_arrival));
        let left = match last {
            None => low,
            // It speaks of a window that has ended.
            Some(stock) if over => stock.left,
            Some(stock) => stock.left.clamp(low, high),
        };
        let most = last.map_or(0.0, |stock| stock.most).max(remaining + 1.0).min(limit);
        self.stock = Some(Stock {
            limit,
            most,
            left: left.min(most),
            refill,
            stated,
            measured,
            base,
            newest: heard.at,
            raised,
            shape,
            budget,
        });
    }

    /// Returns the rate that a response speaks for, units per second, and when it was last raised on a guess.
    fn stated_rate(&self, now: Time, heard: Heard, hint: RateHint, limit: f64) -> (f64, Time) {
        let raised = self.stock.map_or(Time::ZERO, |stock| stock.raised);
        if let Some(window) = hint.window.filter(|window| !window.is_zero()) {
            return (limit / window.as_secs_f64(), raised);
        }
        let full = hint.reset.is_some() && !hint.at_once && hint.limit.is_some() && limit - hint.remaining < 1.0;
        match (to_full(hint), self.stock) {
            (Some(window), _) => (limit / window, raised),
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

/// Returns the reset of a hint that can be reckoned with: a whole second may be a rounded millisecond.
fn precise(hint: RateHint) -> Option<f64> {
    hint.reset.filter(|reset| reset.subsec_nanos() > 0 || reset.as_secs() >= 2).map(|reset| reset.as_secs_f64())
}

/// Returns the window in which a bucket that fills steadily would be filled from empty, where the hint tells.
fn to_full(hint: RateHint) -> Option<f64> {
    let (limit, reset) = (hint.limit?, precise(hint).filter(|_| !hint.at_once)?);
    let missing = limit - hint.remaining;
    (missing >= 1.0).then(|| snapped(limit * reset / missing))
}

/// Completes what a hint leaves open with what the ones before it told: whether the bucket fills at once, and in which
/// window, in seconds. A budget of which that is not known is taken for one that does: nothing before its reset.
fn read(hint: RateHint, limit: f64, last: Option<Stock>, shape: &mut Shape) -> (RateHint, Option<f64>) {
    let stated = hint.window.map(|window| window.as_secs_f64()).filter(|window| *window > 0.0);
    if hint.at_once {
        if let Some(reset) = hint.reset {
            shape.ends_in(reset.as_secs_f64());
        }
        return (hint, stated.or(Some(shape.longest())));
    }
    if let Some(reset) = precise(hint).filter(|_| hint.limit.is_some()) {
        shape.hear(limit, limit - hint.remaining, reset);
    }
    let window = stated.or_else(|| to_full(hint)).or_else(|| last.map(|stock| stock.limit / stock.stated));
    let long = window.is_some_and(|window| window > LONG.as_secs_f64());
    let at_once = hint.reset.is_some() && shape.fills_at_once().unwrap_or(long);
    let ends = shape.fills_at_once() == Some(true) && at_once;
    (RateHint { at_once, ..hint }, if ends { stated.or(Some(shape.longest())) } else { window })
}

/// Says how the bucket fills and, where it does at once, when: again each `window` seconds. The reset counts from some
/// moment between dispatch and arrival: what is known stays while it fits, and at first the later one is believed.
fn fills(now: Time, sent: Time, hint: RateHint, window: Option<f64>, last: Option<Refill>) -> Refill {
    let Some(reset) = hint.reset.filter(|_| hint.at_once) else { return Refill::Steadily };
    let at = match last {
        Some(Refill::AtOnce { at, .. }) if at > now => at.clamp(sent + reset, now + reset),
        _ => now + reset,
    };
    Refill::AtOnce { at, window: window.unwrap_or(reset.as_secs_f64()).max(BURST_SECONDS) }
}

fn snapped(window: f64) -> f64 {
    WINDOWS.into_iter().find(|known| window < known * SNAP && window > known / SNAP).unwrap_or(window)
}
