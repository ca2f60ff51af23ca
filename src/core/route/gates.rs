//! The gates of one route: a request goes when window, pacer, hold and breaker are open.
//!
//! [`Gates`] composes the machines and decides which of them each outcome moves. Its driver asks
//! [`credits`](Gates::credits), sends that many, reports each end with [`settle`](Gates::settle), and calls again at
//! [`poll_timeout`](Gates::poll_timeout). Retries are no subject of the gates.

use std::time::Duration;

use super::memory::Memory;
use crate::core::attribution::{Attribution, Mark};
use crate::core::broker::RouteView;
use crate::core::health::{Breaker, RouteState};
use crate::core::outcome::Outcome;
use crate::core::pacer::{self, MeanTokens, Pacer, TokenShare};
use crate::core::report::Report;
use crate::core::retry::half_jitter;
use crate::core::time::Time;
use crate::core::window::{Change, Stamp, Window, WindowConfig};

/// Shortest and longest pause between the trials of a route that is refused while it has nothing in flight.
const KNOCK: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// Share (1 ÷ 8) of the time for which such a route has been refused that the next pause takes: so much of a stretch
/// without capacity is lost at its end.
const KNOCK_SHARE: u32 = 8;

/// Why a route wants to be called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A lease ends by itself.
    Lease,
    /// The pacer has room for another request: a hold ends, or a bucket fills.
    Pacer,
    /// A route that is refused with nothing in flight is tried again.
    Trial,
    /// The breaker lets a probe through.
    Breaker,
}

/// A ticket marks one dispatch under way; give it back to [`Gates::settle`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticket {
    stamp: Stamp,
    pace: pacer::Ticket,
    mark: Mark,
    tokens: f64,
    payer: u32,
}

impl Ticket {
    /// Returns the tokens that the request was predicted to use.
    #[must_use]
    pub fn tokens(&self) -> f64 {
        self.tokens
    }

    /// Returns when the request was dispatched.
    #[must_use]
    pub fn sent(&self) -> Time {
        self.stamp.at()
    }

    /// Returns the number of the tenant that pays for the request.
    #[must_use]
    pub fn payer(&self) -> u32 {
        self.payer
    }
}

/// The gates tell by this what the end of an attempt changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// The move of the window, if it moved.
    pub change: Option<Change>,
    /// How long the answer asked to stay away; the account may have to know.
    pub hold: Option<Duration>,
    /// Tokens that the attempt used, where that is known.
    pub tokens: Option<f64>,
    /// The breaker closed the route just now.
    pub closed: bool,
}

/// The gates of one route.
#[derive(Debug, Clone)]
pub struct Gates {
    window: Window,
    pacer: Pacer,
    breaker: Breaker,
    attribution: Attribution,
    /// Since when it has been refused with nothing in flight.
    starved: Option<Time>,
    /// When it asks again.
    knock_at: Time,
    /// When the breaker closed it, until something succeeds.
    down: Option<Time>,
    share: TokenShare,
    mean_tokens: MeanTokens,
}

impl Gates {
    /// Puts a route together from a window, cold or remembered, and a pacer.
    #[must_use]
    pub fn new(window: Window, pacer: Pacer) -> Self {
        Self {
            window,
            pacer,
            breaker: Breaker::new(),
            attribution: Attribution::default(),
            starved: None,
            knock_at: Time::ZERO,
            down: None,
            share: TokenShare::new(),
            mean_tokens: MeanTokens::default(),
        }
    }

    /// Puts a route together that begins with what an earlier life learned; cold where it knew nothing.
    #[must_use]
    pub fn recalled(config: WindowConfig, memory: Memory, now: Time) -> Self {
        let window = memory.window.filter(|window| *window > 0);
        let window = window.map_or_else(|| Window::new(config), |limit| Window::remembered(config, limit));
        let mut route = Self::new(window, Pacer::default());
        if let Some(rate) = memory.rate {
            route.pacer.recall(rate, now);
            // Where a rate was learned, refusals without words are more likely its own than a cap's.
            route.attribution = Attribution::recalled(route.window.limit());
        }
        route
    }

    /// Returns what the gates show of the route.
    #[must_use]
    pub fn view(&self, now: Time) -> RouteView {
        RouteView {
            window: self.window.limit(),
            state: self.state(now),
            hold_until: self.hold_until(),
            confirmed_down: self.confirmed_down(),
            rate: self.refused_rate(),
            misses_target: self.window.misses_target(),
            phase: self.window.phase(),
            ..RouteView::new()
        }
    }

    /// Returns the rate at which the provider refused last, requests per second, where one was learned.
    #[must_use]
    pub fn refused_rate(&self) -> Option<f64> {
        self.pacer.refused_rate()
    }

    /// Returns how many requests may be sent now: the narrowest gate. `others`: slots that requests hold which were
    /// not dispatched here, but by a predecessor.
    #[must_use]
    pub fn credits(&self, now: Time, others: u32) -> u32 {
        if now < self.knock_at {
            return 0;
        }
        let in_flight = self.window.in_flight().saturating_add(others);
        self.window
            .limit()
            .min(self.breaker.allowance(now))
            .saturating_sub(in_flight)
            .min(self.pacer.allowance(now, self.mean_tokens.get()))
    }

    /// Counts a dispatch of predicted `cost` for the tenant `payer`; tenant 0 is nobody in particular. `demand`: more jobs
    /// wait behind it.
    pub fn dispatch(&mut self, now: Time, cost: f64, payer: u32, demand: bool) -> Ticket {
        self.rested(now);
        let tokens = self.predict_tokens(cost);
        self.mean_tokens.note(tokens);
        let pace = self.pacer.take(now, tokens);
        let stamp = self.window.on_dispatch(now, cost, demand);
        let mark = self.attribution.dispatched(now, stamp.in_flight());
        Ticket { stamp, pace, mark, tokens, payer }
    }

    /// Predicts the tokens of a request of predicted `cost`: what a limit on tokens counts.
    #[must_use]
    pub fn predict_tokens(&self, cost: f64) -> f64 {
        self.share.tokens(cost)
    }

    /// Ends the dispatch of `ticket`; the slot is free at once, whatever becomes of the job.
    ///
    /// `demand`: jobs wait now. `random`: two numbers from [0, 1) that spread this route's pauses from those of others.
    pub fn settle(&mut self, now: Time, ticket: Ticket, report: Report, demand: bool, random: [f64; 2]) -> Settled {
        let outcome = self.attribute(now, ticket.mark, &report);
        let hold = report.retry_after.filter(|_| outcome.is_retryable());
        if outcome == Outcome::Throttled {
            self.window.paused(report.retry_after.unwrap_or_default());
        }
        let before = self.window.in_flight();
        let mut change = self.window.on_settle(now, ticket.stamp, outcome, demand);
        let open = self.breaker.state(now) == RouteState::Open;
        let survived = self.breaker.on_settle(now, ticket.sent(), outcome, ticket.payer.into(), random[0]);
        let attributed = Report { outcome, retry_after: hold, ..report };
        self.pacer.settle(now, ticket.pace, &attributed, random[1]);
        let units = report.cost.map(|cost| f64::from(cost.units()));
        if let Some((units, tokens)) = units.zip(report.tokens) {
            self.share.learn(units, tokens);
        }
        let tokens = report.tokens.or_else(|| units.map(|units| self.share.tokens(units)));
        if let Some(used) = tokens {
            self.pacer.reconcile(now, ticket.tokens, used);
        }
        let closed = open && self.breaker.allowance(now) == 0;
        if closed {
            self.down = Some(now);
            change = self.window.outage(now).or(change);
        }
        if survived {
            change = self.window.survived(now, before).or(change);
        }
        if outcome == Outcome::Success {
            // What was sent before and is answered now says that it was not all gone.
            let gone = self.starved.take().max(self.down.take());
            if gone.is_some_and(|since| ticket.sent() >= since) {
                change = self.window.resume(now).or(change);
            }
        }
        let starved = outcome == Outcome::Throttled && self.window.in_flight() == 0 && self.window.limit() == 1;
        if starved {
            // Others have everything, and no completion of ours will tell when that changes.
            let since = *self.starved.get_or_insert(now);
            let wait = (now.since(since) / KNOCK_SHARE).clamp(KNOCK.0, KNOCK.1);
            self.knock_at = now + half_jitter(wait, random[1]);
        }
        Settled { change, hold, tokens, closed }
    }

    /// Returns what an answer means, once behaviour has told what one without words is about.
    fn attribute(&mut self, now: Time, mark: Mark, report: &Report) -> Outcome {
        let refused = matches!(report.outcome, Outcome::Throttled | Outcome::RateLimited);
        let known = self.attribution.is_rate();
        let rate = refused && report.verdict.is_unnamed() && self.attribution.judge(mark);
        if rate && !known {
            self.window.reopen(now);
        }
        match report.outcome {
            Outcome::Success => self.attribution.admitted(mark),
            _ if refused => self.attribution.refused(mark),
            _ => {}
        }
        if rate { Outcome::RateLimited } else { report.outcome }
    }

    /// Sends nothing before `until`, then one request first; holds merge by maximum. `random`: from [0, 1).
    pub fn hold(&mut self, now: Time, until: Time, random: f64) {
        self.pacer.hold(now, until, random);
    }

    /// Tries again at once, whatever was learned or told that speaks against it: one request goes first.
    pub fn release(&mut self, now: Time) {
        self.rested(now);
        self.pacer.release(now);
        self.breaker.release(now);
        self.knock_at = self.knock_at.min(now);
    }

    /// Applies what time alone changes; returns the move of the window, if it moved.
    pub fn advance(&mut self, now: Time) -> Option<Change> {
        self.rested(now);
        self.window.advance(now)
    }

    /// Tells the window that the time in which a gate was closed was no idleness.
    fn rested(&mut self, now: Time) {
        let closed = self.knock_at.max(self.pacer.hold_until()).max(self.breaker.rest_until());
        self.window.rested(closed.min(now));
    }

    /// Returns when a gate next opens by itself, and which.
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<(Time, Reason)> {
        let paced = self.pacer.ready_at(now, self.mean_tokens.get());
        let gates =
            [(paced, Reason::Pacer), (self.knock_at, Reason::Trial), (self.breaker.rest_until(), Reason::Breaker)];
        gates.into_iter().filter(|(at, _)| *at > now).min_by_key(|(at, _)| *at)
    }

    /// Returns the window, to look at.
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Takes new bounds of the window; what was learned stays.
    pub fn reconfigure(&mut self, config: WindowConfig, now: Time) -> Option<Change> {
        self.window.reconfigure(config, now)
    }

    /// Says whether the breaker closed the route and its probe failed too.
    #[must_use]
    pub fn confirmed_down(&self) -> bool {
        self.breaker.confirmed_down()
    }

    /// Returns the breaker's state.
    #[must_use]
    pub fn state(&self, now: Time) -> RouteState {
        self.breaker.state(now)
    }

    /// Says whether a hold, a rest or the breaker keeps everything back.
    #[must_use]
    pub fn are_closed(&self, now: Time) -> bool {
        self.hold_until() > now || self.knock_at > now || self.state(now) != RouteState::Open
    }

    /// Returns the end of the hold; in the past when there is none.
    #[must_use]
    pub fn hold_until(&self) -> Time {
        self.pacer.hold_until()
    }

    /// Returns when a budget that is spent is there anew.
    #[must_use]
    pub fn spent_until(&self, now: Time) -> Option<Time> {
        self.pacer.spent_until(now, self.mean_tokens.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gates() -> Gates {
        Gates::new(Window::new(WindowConfig::default()), Pacer::default())
    }

    proptest! {
        #[test]
        fn nothing_goes_inside_a_hold_and_the_route_says_when_it_ends(
            steps in prop::collection::vec((0u64..2_000, 0usize..6, prop::option::of(1u64..5_000)), 1..200),
        ) {
            let (mut gates, mut now, mut open) = (gates(), Time::ZERO, Vec::new());
            let mut stated = Time::ZERO;
            for (millis, kind, retry_after) in steps {
                now += Duration::from_millis(millis);
                for _ in 0..gates.credits(now, 0) {
                    prop_assert!(now >= stated, "sent at {now:?}, stated {stated:?}");
                    open.push(gates.dispatch(now, 1.0, 0, true));
                }
                if let Some(ticket) = open.pop() {
                    let outcome = Outcome::ALL[kind];
                    let retry_after = retry_after.map(Duration::from_millis);
                    let settled = gates.settle(now, ticket, Report { retry_after, ..Report::new(outcome) }, true, [0.5; 2]);
                    if let Some(hold) = settled.hold {
                        stated = stated.max(now + hold);
                    }
                }
                prop_assert!(gates.window().in_flight() as usize == open.len());
                if gates.credits(now, 0) == 0 && open.is_empty() {
                    // Nothing in flight will wake it, so time must.
                    prop_assert!(gates.poll_timeout(now).is_some_and(|(at, _)| at > now));
                }
            }
        }
    }

    #[test]
    fn what_was_learned_is_begun_with() {
        let now = Time::from_millis(1);
        let memory = Memory { window: Some(32), rate: Some(4.0) };
        let mut gates = Gates::recalled(WindowConfig::default(), memory, now);
        assert_eq!((gates.window().limit(), gates.refused_rate()), (32, Some(4.0)));
        let (mut sent, mut at) = (0, now);
        while at.seconds_since(now) < 10.0 {
            for _ in 0..gates.credits(at, 0) {
                gates.dispatch(at, 1.0, 0, true);
                sent += 1;
            }
            at += Duration::from_millis(10);
        }
        assert_eq!(sent, 32, "the window is the limit in the end");
        assert_eq!(Gates::recalled(WindowConfig::default(), memory, now).credits(now, 0), 1, "the rate at first");
        let nonsense = Memory { window: Some(0), rate: Some(f64::NAN) };
        assert_eq!(Gates::recalled(WindowConfig::default(), nonsense, now).credits(now, 0), 4);
    }

    #[test]
    fn a_closed_breaker_lets_one_probe_through() {
        let (mut gates, now) = (gates(), Time::from_millis(1));
        for n in 0..5 {
            let ticket = gates.dispatch(now, 1.0, 0, true);
            let settled = gates.settle(now, ticket, Report::new(Outcome::Overloaded), true, [0.0; 2]);
            assert_eq!(settled.closed, n == 4);
        }
        assert_eq!(gates.credits(now, 0), 0);
        let then = gates.poll_timeout(now).map_or(Time::FAR, |(at, _)| at);
        assert_eq!(gates.credits(then, 0), 1);
        let probe = gates.dispatch(then, 1.0, 0, true);
        assert_eq!(gates.credits(then, 0), 0);
        gates.settle(then, probe, Report::new(Outcome::Success), true, [0.0; 2]);
        assert_eq!(gates.state(then), RouteState::Open);
    }
}
