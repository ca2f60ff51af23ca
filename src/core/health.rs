//! Whether a route may be used at all: a circuit breaker with half-open probes.

use std::time::Duration;

use super::outcome::Outcome;
use super::retry::Backoff;
use super::time::Time;

/// Overloads in a row, with no success between them, that close a route if one of them was sent after the first was
/// known.
const TRIP_AFTER: u32 = 5;
/// How long a closed route rests before its probe: 1 s at first, doubling to 15 s, with jitter over the upper half.
const REST: Backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(15) };

/// What the breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteState {
    /// Requests flow.
    Open,
    /// Nothing may be sent until then.
    Closed {
        /// When a probe may go.
        until: Time,
    },
    /// One probe is out, or may be sent; its outcome decides.
    Probing,
}

impl RouteState {
    /// Returns the name used in capacity and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed { .. } => "closed",
            Self::Probing => "probing",
        }
    }
}

/// A circuit breaker: closes a route that keeps failing, and lets one request at a time try it again.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    /// When the first of them was seen.
    first: Time,
    /// One of them was sent after that.
    again: bool,
    trips: u32,
    rest_until: Option<Time>,
}

impl Breaker {
    /// Builds a breaker that lets everything through.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what may be sent now.
    #[must_use]
    pub fn state(&self, now: Time) -> RouteState {
        match self.rest_until {
            None => RouteState::Open,
            Some(until) if until > now => RouteState::Closed { until },
            Some(_) => RouteState::Probing,
        }
    }

    /// Returns how many requests may be out at once: all, none, or the one probe.
    #[must_use]
    pub fn allowance(&self, now: Time) -> u32 {
        match self.state(now) {
            RouteState::Open => u32::MAX,
            RouteState::Closed { .. } => 0,
            RouteState::Probing => 1,
        }
    }

    /// Says whether a probe has failed since the route was last open: the provider is down, not just stumbling.
    #[must_use]
    pub fn confirmed_down(&self) -> bool {
        self.trips >= 2
    }

    /// Returns when the state next changes by itself.
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        self.rest_until.filter(|until| *until > now)
    }

    /// Takes note of an attempt dispatched at `sent`; `random` from [0, 1) spreads the probes of many replicas.
    ///
    /// Outcomes of attempts sent before the route closed say nothing new about it.
    pub fn on_settle(&mut self, now: Time, sent: Time, outcome: Outcome, random: f64) {
        match outcome {
            Outcome::Overloaded | Outcome::Failed => {
                if self.rest_until.is_some_and(|until| sent < until) {
                    return;
                }
                if self.failures == 0 {
                    self.first = now;
                }
                self.failures += 1;
                // What was in flight when the first failed is one event with it, however much it was.
                self.again |= self.failures > 1 && sent >= self.first;
                if self.failures >= TRIP_AFTER && self.again || self.rest_until.is_some() {
                    self.trips += 1;
                    let rest = REST.wait(self.trips, 0.5 + random / 2.0);
                    self.rest_until = Some(now + rest);
                }
            }
            // The provider answered: it is there, whatever it thought of the request.
            Outcome::Success | Outcome::Rejected | Outcome::Throttled | Outcome::RateLimited => *self = Self::new(),
            Outcome::Cancelled => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_closes_after_five_failures_and_reopens_on_one_good_probe() {
        let mut breaker = Breaker::new();
        let mut now = Time::from_millis(1);
        for _ in 0..TRIP_AFTER {
            assert_eq!(breaker.state(now), RouteState::Open);
            breaker.on_settle(now, now, Outcome::Overloaded, 1.0);
        }
        assert_eq!(breaker.allowance(now), 0);
        // A thousand late failures of the same event do not lengthen the rest.
        let until = breaker.poll_timeout(now);
        for _ in 0..1_000 {
            breaker.on_settle(now, now, Outcome::Overloaded, 1.0);
        }
        assert_eq!(breaker.poll_timeout(now), until);

        now = until.unwrap_or(Time::FAR);
        assert_eq!((breaker.state(now), breaker.allowance(now)), (RouteState::Probing, 1));
        assert!(!breaker.confirmed_down());
        breaker.on_settle(now, now, Outcome::Overloaded, 1.0);
        assert!(breaker.confirmed_down());
        assert_eq!(breaker.poll_timeout(now).map(|at| at.since(now)), Some(Duration::from_secs(2)), "doubled");

        now = breaker.poll_timeout(now).unwrap_or(Time::FAR);
        breaker.on_settle(now, now, Outcome::Success, 1.0);
        assert_eq!(breaker.state(now), RouteState::Open);
    }

    #[test]
    fn a_crash_is_one_event_and_does_not_close_the_route() {
        let mut breaker = Breaker::new();
        let (sent, seen) = (Time::from_millis(1), Time::from_millis(900));
        for _ in 0..1_000 {
            breaker.on_settle(seen, sent, Outcome::Overloaded, 0.0);
        }
        assert_eq!(breaker.state(seen), RouteState::Open);
        breaker.on_settle(seen, seen, Outcome::Overloaded, 0.0);
        assert_eq!(breaker.allowance(seen), 0, "what was sent since fails as well");
    }

    #[test]
    fn a_success_between_failures_keeps_the_route_open() {
        let mut breaker = Breaker::new();
        for n in 0..100 {
            let outcome = if n % 5 == 4 { Outcome::Success } else { Outcome::Overloaded };
            breaker.on_settle(Time::ZERO, Time::ZERO, outcome, 0.0);
            assert_eq!(breaker.state(Time::ZERO), RouteState::Open);
        }
    }
}
