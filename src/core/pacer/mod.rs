//! Rates: what a provider allows in a span of time, and when it said to come back.
//!
//! Three gates, of which the narrowest counts:
//!
//! - one bucket per dimension (requests, tokens, images, and the first two again in long windows): known rates from the
//!   config, refined by what the provider's headers say. The predicted amount is reserved at dispatch and reconciled at
//!   completion. Short windows are paced, long ones are budgets;
//! - the hold: never less than the stated wait, then one canary, then a ramp;
//! - the learned rate, where refusals are all there is to learn from. It gives way to what the provider states.
//!
//! Sources: GCRA, ITU-T I.371 and ATM Forum TM 4.0; the RateLimit fields, draft-ietf-httpapi-ratelimit-headers;
//! CUBIC, RFC 9438; Retry-After, RFC 9110 section 10.2.3.

mod bucket;
mod hint;
mod hold;
mod learn;
mod meter;
mod shape;
mod share;
#[cfg(test)]
mod tests;
mod trust;

use std::time::Duration;

use self::bucket::{Bucket, Sent};
use self::hint::Dimension;
pub use self::hint::{Budgets, Rates};
use self::hold::{Hold, Take};
use self::learn::Learned;
pub use self::share::{MeanTokens, TokenShare};
use self::trust::Trust;
pub use super::hint::{LONG, RateHint, RateHints};
use super::outcome::Outcome;
use super::report::Report;
use super::time::Time;

/// A stated wait from here on is no pause but a suspension: the route says so, and what waits goes elsewhere. Five
/// minutes: longer than any bucket of a minute takes to fill, shorter than what an hour's or a day's quota states.
pub const SUSPENSION: Duration = Duration::from_secs(300);

/// A known rate that rises by more than this makes what was learned from refusals obsolete.
const RAISED: f64 = 1.2;

/// Wait for the next request from which on a learned rate makes wait.
const MAKES_WAIT: Duration = Duration::from_secs(1);
/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// The record of one dispatch; hand it back to [`Pacer::settle`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticket {
    at: Time,
    /// Requests and tokens sent so far, itself included.
    requests: f64,
    tokens: f64,
    hold: Take,
}

/// The rate gate of a route or an account: one bucket per dimension, one hold, and a rate learned from refusals.
#[derive(Debug, Clone, Default)]
pub struct Pacer {
    /// By [`Dimension`].
    buckets: [Option<Bucket>; Dimension::ALL.len()],
    hold: Hold,
    learned: Learned,
    trust: Trust,
    sent_requests: f64,
    sent_tokens: f64,
}

impl Pacer {
    /// Builds a pacer for known rates, with a full burst.
    #[must_use]
    pub fn new(rates: Rates, now: Time) -> Self {
        let bucket = |rate: Option<f64>| rate.map(|rate| Bucket::per_minute(rate, now));
        let mut pacer = Self::default();
        *pacer.bucket_mut(Dimension::Requests) = bucket(rates.requests_per_minute);
        *pacer.bucket_mut(Dimension::Tokens) = bucket(rates.tokens_per_minute);
        pacer
    }

    /// Adds known budgets, unspent; each is there anew a day after `now`, and so on.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Budgets, now: Time) -> Self {
        let bucket = |limit: Option<f64>| limit.map(|limit| Bucket::budget(limit, DAY, now));
        *self.bucket_mut(Dimension::LongRequests) = bucket(budgets.requests_per_day);
        *self.bucket_mut(Dimension::LongTokens) = bucket(budgets.tokens_per_day);
        self
    }

    fn bucket(&self, dimension: Dimension) -> Option<Bucket> {
        self.buckets[dimension as usize]
    }

    fn bucket_mut(&mut self, dimension: Dimension) -> &mut Option<Bucket> {
        &mut self.buckets[dimension as usize]
    }

    /// Returns the end of the hold; in the past when there is none.
    #[must_use]
    pub fn hold_until(&self) -> Time {
        self.hold.until()
    }

    /// Returns when a budget that cannot cover a request of `tokens` can again; `None` where none is spent.
    #[must_use]
    pub fn spent_until(&self, now: Time, tokens: f64) -> Option<Time> {
        let spent = self.gates(tokens).filter(|(bucket, _)| bucket.is_budget());
        spent.map(|(bucket, units)| bucket.ready_at(now, units)).filter(|at| *at > now).max()
    }

    /// Returns the rate learned from refusals, requests per second.
    #[must_use]
    pub fn learned_rate(&self) -> Option<f64> {
        self.learned.rate()
    }

    /// Returns the rate at which refusals were met last, requests per second, for [`recall`](Self::recall).
    #[must_use]
    pub fn refused_rate(&self) -> Option<f64> {
        self.learned.most()
    }

    /// Begins with a rate that was learned in an earlier life, requests per second; one that is not above zero is
    /// ignored.
    pub fn recall(&mut self, rate: f64, now: Time) {
        if rate.is_finite() && rate > 0.0 {
            self.learned = Learned::recalled(rate, now);
        }
    }

    /// Sends nothing before `until`, then one request first. Holds merge by maximum; `random` from [0, 1) spreads the
    /// waking of replicas over up to a tenth more, at most a second.
    pub fn hold(&mut self, now: Time, until: Time, random: f64) {
        self.hold.begin(now, until, random);
    }

    /// Tries again at once, because somebody who knows better says so: ends the hold, forgets a learned rate that makes
    /// wait, and takes spent budgets for unspent. One request goes first. What holds nothing stays as it is.
    pub fn release(&mut self, now: Time) {
        self.hold.release(now, self.spent_until(now, 1.0).is_some());
        if self.learned.ready_at(now).since(now) >= MAKES_WAIT {
            self.learned.forget();
        }
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.release();
        }
    }

    /// Returns when time alone allows a request of `tokens`; `now` when it may go at once. A completion may allow it
    /// earlier; whether it may go now is [`allowance`](Self::allowance)'s to say.
    #[must_use]
    pub fn ready_at(&self, now: Time, tokens: f64) -> Time {
        let buckets = self.gates(tokens).map(|(bucket, units)| bucket.ready_at(now, units));
        buckets.fold(now, Time::max).max(self.hold.ready_at(now)).max(self.learned.ready_at(now))
    }

    /// Returns how many requests of about `tokens` each may go now.
    #[must_use]
    pub fn allowance(&self, now: Time, tokens: f64) -> u32 {
        let free = self.hold.allowance(now).min(self.learned.allowance(now));
        self.gates(tokens.max(1.0)).fold(free, |free, (bucket, units)| free.min(bucket.allowance(now, units)))
    }

    /// The buckets there are, with what a request of `tokens` takes from each.
    fn gates(&self, tokens: f64) -> impl Iterator<Item = (Bucket, f64)> {
        let buckets = self.buckets.iter().zip(Dimension::ALL);
        buckets.filter_map(move |(bucket, dimension)| Some(((*bucket)?, dimension.units(tokens))))
    }

    /// Reserves one request of `tokens` that goes now.
    pub fn take(&mut self, now: Time, tokens: f64) -> Ticket {
        for (bucket, dimension) in self.buckets.iter_mut().zip(Dimension::ALL) {
            if let Some(bucket) = bucket {
                bucket.take(now, dimension.units(tokens));
            }
        }
        self.learned.take(now);
        self.sent_requests += 1.0;
        self.sent_tokens += tokens;
        Ticket { at: now, requests: self.sent_requests, tokens: self.sent_tokens, hold: self.hold.take(now) }
    }

    /// Takes back the reservation of one request of `tokens` that was not sent after all.
    pub fn put_back(&mut self, now: Time, tokens: f64) {
        for (bucket, dimension) in self.buckets.iter_mut().zip(Dimension::ALL) {
            if let Some(bucket) = bucket {
                bucket.give_back(now, dimension.units(tokens));
            }
        }
    }

    /// Corrects a reservation of `predicted` tokens to what was used.
    pub fn reconcile(&mut self, now: Time, predicted: f64, actual: f64) {
        for dimension in [Dimension::Tokens, Dimension::LongTokens] {
            if let Some(bucket) = self.bucket_mut(dimension) {
                bucket.give_back(now, predicted - actual);
            }
        }
    }

    /// Learns from the end of the attempt that `ticket` stands for. A stated wait is believed whatever the outcome;
    /// `random` from [0, 1) spreads holds.
    pub fn settle(&mut self, now: Time, ticket: Ticket, report: &Report, random: f64) {
        let Report { outcome, hints, retry_after: hold, .. } = *report;
        if let Some(pause) = self.hold.settle(now, ticket.hold, report, random) {
            self.learned.paused(pause);
        }
        if let Some(hold) = hold {
            self.hold.begin(now, now + hold, random);
        }
        let known = self.known_rate();
        self.observe(now, ticket, hints);
        let stated = self.known_rate();
        if known.zip(stated).is_some_and(|(known, stated)| stated > known * RAISED) {
            self.learned.forget();
        }
        let plenty = hints != RateHints::default() && self.has_plenty(now);
        match outcome {
            // A word of plenty outweighs what a refusal suggests, as long as it does not prove wrong.
            Outcome::RateLimited if plenty && self.trust.contradicted(now, ticket.at) && stated.is_some() => {}
            // Also where headers are there: what they said did not prevent the refusal.
            Outcome::RateLimited | Outcome::Throttled | Outcome::Overloaded => {
                self.learned.refused(now, ticket.at, outcome == Outcome::RateLimited, stated);
            }
            Outcome::Success if plenty && self.learned.is_after_cut(ticket.at) && self.trust.confirmed() => {
                self.learned.double(now, stated);
            }
            _ => {}
        }
    }

    /// Returns the known rate of requests, per second, of a short window.
    fn known_rate(&self) -> Option<f64> {
        self.bucket(Dimension::Requests).filter(|bucket| !bucket.is_budget()).map(|bucket| bucket.rate())
    }

    /// Says whether the provider states that there is plenty left of everything that it states.
    fn has_plenty(&self, now: Time) -> bool {
        let mut stated = self.buckets.iter().flatten().filter_map(|bucket| bucket.has_plenty(now)).peekable();
        stated.peek().is_some() && stated.all(|plenty| plenty)
    }

    /// Follows what the provider said is left.
    fn observe(&mut self, now: Time, ticket: Ticket, hints: RateHints) {
        let requests = Sent { at: ticket.at, then: ticket.requests, now: self.sent_requests };
        let tokens = Sent { at: ticket.at, then: ticket.tokens, now: self.sent_tokens };
        for (bucket, dimension) in self.buckets.iter_mut().zip(Dimension::ALL) {
            let sent = if dimension.is_of_tokens() { tokens } else { requests };
            if let Some(hint) = dimension.of(hints).filter(RateHint::is_sane) {
                Bucket::observe(bucket, now, sent, hint);
            }
        }
    }
}
