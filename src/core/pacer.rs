//! Rates: what a provider allows per minute, and when it said to come back.

use std::time::Duration;

use super::time::Time;

/// Rates are stated per minute.
const MINUTE: f64 = 60.0;
/// Seconds of a rate that may go at once. A bucket that starts full would send a minute's worth in its first second.
const BURST_SECONDS: f64 = 1.0;

/// Known rate limits; a missing one is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Requests per minute, above 0.
    pub requests_per_minute: Option<f64>,
    /// Tokens (cost units) per minute, above 0.
    pub tokens_per_minute: Option<f64>,
}

/// What a response's headers say about one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateHint {
    /// Size of the bucket, where stated.
    pub limit: Option<f64>,
    /// What is left in it.
    pub remaining: f64,
    /// How long until it is full again, where stated.
    pub reset: Option<Duration>,
}

/// What a response says about rates: authoritative on every response, refused or not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RateHints {
    /// `x-ratelimit-*-requests`.
    pub requests: Option<RateHint>,
    /// `x-ratelimit-*-tokens`.
    pub tokens: Option<RateHint>,
}

/// A token bucket: `level` units now, `per_second` more each second, never above `burst`.
///
/// Over any span of t seconds it passes at most burst + t · `per_second` units, plus one request larger than the burst
/// (which goes when the bucket is full, and leaves it in debt).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Time,
}

impl Bucket {
    fn per_minute(rate: f64, now: Time) -> Self {
        // The sustained rate leaves room for the burst, so that no span of a minute passes more than the limit.
        let burst = (rate / MINUTE * BURST_SECONDS).max(1.0).min(rate);
        let per_second = ((rate - burst) / MINUTE).max(rate / MINUTE * 0.5);
        Self { per_second, burst, level: burst, at: now }
    }

    fn refill(&mut self, now: Time) {
        self.level = self.burst.min(self.level + self.per_second * now.seconds_since(self.at));
        self.at = self.at.max(now);
    }

    /// Returns when `units` may go.
    fn ready_at(&self, now: Time, units: f64) -> Time {
        let level = self.burst.min(self.level + self.per_second * now.seconds_since(self.at));
        let missing = units.min(self.burst) - level;
        // Rounding must not name a time at which it still falls short by an ulp.
        if missing <= 1e-9 { now } else { now + Duration::from_secs_f64(missing / self.per_second + 1e-9) }
    }

    fn observe(&mut self, now: Time, hint: RateHint) {
        self.refill(now);
        self.level = self.level.min(hint.remaining);
    }
}

/// The rate gate of a route or an account: one bucket per dimension and one hold.
#[derive(Debug, Clone, Default)]
pub struct Pacer {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    hold_until: Time,
}

impl Pacer {
    /// Builds a pacer for known rates, with a full burst.
    #[must_use]
    pub fn new(rates: Rates, now: Time) -> Self {
        let bucket = |rate: Option<f64>| rate.map(|rate| Bucket::per_minute(rate, now));
        Self {
            requests: bucket(rates.requests_per_minute),
            tokens: bucket(rates.tokens_per_minute),
            hold_until: Time::ZERO,
        }
    }

    /// Says whether anything could make a request wait.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }

    /// Returns the end of the hold; in the past when there is none.
    #[must_use]
    pub fn hold_until(&self) -> Time {
        self.hold_until
    }

    /// Sends nothing before `until`; holds merge by maximum.
    pub fn hold(&mut self, until: Time) {
        self.hold_until = self.hold_until.max(until);
    }

    /// Returns when a request of `tokens` may go; `now` when it may go at once.
    #[must_use]
    pub fn ready_at(&self, now: Time, tokens: f64) -> Time {
        let requests = self.requests.map_or(now, |bucket| bucket.ready_at(now, 1.0));
        let tokens = self.tokens.map_or(now, |bucket| bucket.ready_at(now, tokens));
        now.max(requests).max(tokens).max(self.hold_until)
    }

    /// Returns how many requests of about `tokens` each may go now.
    #[must_use]
    pub fn allowance(&self, now: Time, tokens: f64) -> u32 {
        if self.hold_until > now {
            return 0;
        }
        let whole = |bucket: Option<Bucket>, units: f64| {
            bucket.map_or(u32::MAX, |mut bucket| {
                if bucket.ready_at(now, units) > now {
                    return 0;
                }
                bucket.refill(now);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
                let count = (bucket.level / units + 1e-9) as u32;
                count.max(1)
            })
        };
        whole(self.requests, 1.0).min(whole(self.tokens, tokens.max(1.0)))
    }

    /// Reserves one request of `tokens` that goes now.
    pub fn take(&mut self, now: Time, tokens: f64) {
        for (bucket, units) in [(&mut self.requests, 1.0), (&mut self.tokens, tokens)] {
            if let Some(bucket) = bucket {
                bucket.refill(now);
                bucket.level -= units;
            }
        }
    }

    /// Corrects a reservation of `predicted` tokens to what was used.
    pub fn reconcile(&mut self, now: Time, predicted: f64, actual: f64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.refill(now);
            bucket.level = bucket.burst.min(bucket.level + predicted - actual);
        }
    }

    /// Follows what the provider said is left.
    ///
    /// A dimension without a configured rate is learned where the headers allow it: they state how much is missing
    /// from a full bucket and when it will be full.
    pub fn observe(&mut self, now: Time, hints: RateHints) {
        for (bucket, hint) in [(&mut self.requests, hints.requests), (&mut self.tokens, hints.tokens)] {
            let Some(hint) = hint.filter(|hint| hint.remaining.is_finite() && hint.remaining >= 0.0) else { continue };
            match (&mut *bucket, hint.limit, hint.reset) {
                (Some(bucket), _, _) => bucket.observe(now, hint),
                (None, Some(limit), Some(reset)) if limit > hint.remaining && !reset.is_zero() => {
                    let per_second = (limit - hint.remaining) / reset.as_secs_f64();
                    *bucket = Some(Bucket { per_second, burst: limit, level: hint.remaining, at: now });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_minute_passes_more_than_the_limit(
            rate in 2.0f64..2_000.0,
            gaps in prop::collection::vec(0u64..500, 1..300),
        ) {
            let mut now = Time::ZERO;
            let mut pacer = Pacer::new(Rates { requests_per_minute: Some(rate), tokens_per_minute: None }, now);
            let mut sent: Vec<Time> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                while pacer.ready_at(now, 0.0) <= now {
                    pacer.take(now, 0.0);
                    sent.push(now);
                    let minute = sent.iter().filter(|at| now.seconds_since(**at) < MINUTE).count();
                    prop_assert!(minute as f64 <= rate.max(2.0) + 1e-6, "{minute} in a minute at {rate}");
                }
                let next = pacer.ready_at(now, 0.0);
                prop_assert!(pacer.ready_at(next, 0.0) <= next, "the time it names is the time it opens");
            }
        }
    }

    #[test]
    fn holds_merge_by_maximum() {
        let mut pacer = Pacer::default();
        pacer.hold(Time::from_millis(500));
        pacer.hold(Time::from_millis(100));
        assert_eq!(pacer.ready_at(Time::from_millis(10), 1.0), Time::from_millis(500));
        assert_eq!(pacer.ready_at(Time::from_millis(600), 1.0), Time::from_millis(600));
    }

    #[test]
    fn headers_teach_a_rate_and_an_empty_bucket_waits() {
        let mut pacer = Pacer::default();
        let hint = RateHint { limit: Some(600.0), remaining: 0.0, reset: Some(Duration::from_secs(60)) };
        pacer.observe(Time::ZERO, RateHints { requests: Some(hint), tokens: None });
        let wait = pacer.ready_at(Time::ZERO, 1.0).since(Time::ZERO).as_secs_f64();
        assert!((wait - 0.1).abs() < 0.001, "ten a second: {wait}");
    }

    #[test]
    fn a_request_larger_than_the_burst_goes_when_the_bucket_is_full() {
        let mut pacer = Pacer::new(Rates { requests_per_minute: None, tokens_per_minute: Some(600.0) }, Time::ZERO);
        assert_eq!(pacer.ready_at(Time::ZERO, 100.0), Time::ZERO);
        pacer.take(Time::ZERO, 100.0);
        assert!(pacer.ready_at(Time::ZERO, 1.0) > Time::from_millis(9_000), "and is paid for afterwards");
        pacer.reconcile(Time::ZERO, 100.0, 1.0);
        assert_eq!(pacer.ready_at(Time::ZERO, 1.0), Time::ZERO);
    }
}
