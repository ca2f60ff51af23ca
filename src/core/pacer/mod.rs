//! Rates: what a provider allows in a span of time, and when it said to come back.
//!
//! Three gates, of which the narrowest counts:
//!
//! - one bucket per dimension (requests, tokens, images): known rates from the config, refined by what the
//!   provider's headers say. The predicted amount is reserved at dispatch and reconciled at completion;
//! - the hold: never less than the stated wait, then one canary, then a ramp;
//! - the learned rate, where refusals are all there is to learn from.
//!
//! Sources: GCRA, ITU-T I.371 and ATM Forum TM 4.0; the RateLimit fields, draft-ietf-httpapi-ratelimit-headers;
//! CUBIC, RFC 9438; Retry-After, RFC 9110 section 10.2.3.

mod bucket;
mod hint;
mod hold;
mod learn;
mod meter;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::bucket::Bucket;
pub use self::hint::{LONG, RateHint, RateHints, Rates};
use self::hold::Hold;
use self::learn::Learned;
use super::outcome::Outcome;
use super::retry::Backoff;
use super::time::Time;

/// How long to stay away when a canary is refused that was told nothing: doubling.
const REST: Backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(30) };

/// A stated wait from here on is no pause but a suspension: the route says so, and what waits goes elsewhere. Five
/// minutes: longer than any bucket of a minute takes to fill, shorter than what an hour's or a day's quota states.
pub const SUSPENSION: Duration = Duration::from_secs(300);

/// A known rate that rises by more than this makes what was learned from refusals obsolete.
const RAISED: f64 = 1.2;

fn backoff_wait(refused: u32) -> Duration {
    REST.wait(refused, 1.0)
}

/// What a pacer remembers about one dispatch; hand it back to [`Pacer::settle`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticket {
    at: Time,
    /// Requests and tokens sent so far, itself included.
    requests: f64,
    tokens: f64,
    round: u32,
}

/// How an attempt ended, as far as rates go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ending {
    /// The outcome.
    pub outcome: Outcome,
    /// What the response's headers say is left.
    pub hints: RateHints,
    /// How long the provider said to stay away; believed whatever the outcome.
    pub hold: Option<Duration>,
}

impl Ending {
    /// An end of which only the outcome is known.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, hints: RateHints::default(), hold: None }
    }
}

/// The rate gate of a route or an account: one bucket per dimension, one hold, and a rate learned from refusals.
#[derive(Debug, Clone, Default)]
pub struct Pacer {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    images: Option<Bucket>,
    hold: Hold,
    learned: Learned,
    sent_requests: f64,
    sent_tokens: f64,
}

impl Pacer {
    /// Builds a pacer for known rates, with a full burst.
    #[must_use]
    pub fn new(rates: Rates, now: Time) -> Self {
        let bucket = |rate: Option<f64>| rate.map(|rate| Bucket::per_minute(rate, now));
        Self { requests: bucket(rates.requests_per_minute), tokens: bucket(rates.tokens_per_minute), ..Self::default() }
    }

    /// Returns the end of the hold; in the past when there is none.
    #[must_use]
    pub fn hold_until(&self) -> Time {
        self.hold.until()
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
    /// waking of replicas over up to a tenth more.
    pub fn hold(&mut self, now: Time, until: Time, random: f64) {
        self.hold.begin(now, until, random);
    }

    /// Returns when a request of `tokens` may go as far as time decides; `now` when it may go at once. An end of what
    /// is out may allow it earlier: [`allowance`](Self::allowance) is the gate.
    #[must_use]
    pub fn ready_at(&self, now: Time, tokens: f64) -> Time {
        let buckets = self.buckets(tokens).map(|(bucket, units)| bucket.map_or(now, |b| b.ready_at(now, units)));
        buckets.into_iter().fold(now, Time::max).max(self.hold.ready_at(now)).max(self.learned.ready_at(now))
    }

    /// Returns how many requests of about `tokens` each may go now.
    #[must_use]
    pub fn allowance(&self, now: Time, tokens: f64) -> u32 {
        let free = self.hold.allowance(now).min(self.learned.allowance(now));
        let buckets = self.buckets(tokens.max(1.0));
        buckets.into_iter().fold(free, |free, (bucket, units)| {
            free.min(bucket.map_or(u32::MAX, |bucket| bucket.allowance(now, units)))
        })
    }

    fn buckets(&self, tokens: f64) -> [(Option<Bucket>, f64); 3] {
        [(self.requests, 1.0), (self.tokens, tokens), (self.images, 1.0)]
    }

    /// Reserves one request of `tokens` that goes now.
    pub fn take(&mut self, now: Time, tokens: f64) -> Ticket {
        for (bucket, units) in [(&mut self.requests, 1.0), (&mut self.tokens, tokens), (&mut self.images, 1.0)] {
            if let Some(bucket) = bucket {
                bucket.take(now, units);
            }
        }
        self.learned.take(now);
        self.sent_requests += 1.0;
        self.sent_tokens += tokens;
        Ticket { at: now, requests: self.sent_requests, tokens: self.sent_tokens, round: self.hold.take(now) }
    }

    /// Corrects a reservation of `predicted` tokens to what was used.
    pub fn reconcile(&mut self, now: Time, predicted: f64, actual: f64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.give_back(now, predicted - actual);
        }
    }

    /// Learns from the end of the attempt that `ticket` stands for; `random` from [0, 1) spreads holds.
    pub fn settle(&mut self, now: Time, ticket: Ticket, ending: Ending, random: f64) {
        let Ending { outcome, hints, hold } = ending;
        if let Some(pause) = self.hold.settle(now, (ticket.round, ticket.at), outcome, random) {
            self.learned.paused(pause);
        }
        if let Some(hold) = hold {
            self.hold.begin(now, now + hold, random);
        }
        let known = self.requests.map(|bucket| bucket.rate());
        self.observe(now, ticket, hints);
        let stated = self.requests.map(|bucket| bucket.rate());
        if known.zip(stated).is_some_and(|(known, stated)| stated > known * RAISED) {
            self.learned.forget();
        }
        if matches!(outcome, Outcome::RateLimited | Outcome::Throttled | Outcome::Overloaded) {
            // Also where headers are there: what they said did not prevent the refusal.
            self.learned.refused(now, ticket.at, outcome == Outcome::RateLimited, stated);
        }
    }

    /// Follows what the provider said is left.
    fn observe(&mut self, now: Time, ticket: Ticket, hints: RateHints) {
        let (requests, tokens) = (self.sent_requests, self.sent_tokens);
        for (bucket, sent, total, hint) in [
            (&mut self.requests, ticket.requests, requests, hints.requests),
            (&mut self.tokens, ticket.tokens, tokens, hints.tokens),
            (&mut self.images, ticket.requests, requests, hints.images),
        ] {
            if let Some(hint) = hint.filter(RateHint::is_sane) {
                Bucket::observe(bucket, now, ticket.at, sent, total, hint);
            }
        }
    }
}
