//! Whether a route may be used at all: a circuit breaker with half-open probes.

use std::time::Duration;

use super::outcome::Outcome;
use super::retry::half_jitter;
use super::time::Time;

/// Failures in a row, with no answer between them, that close a route at least, if a request among them was sent after the
/// first failure was known.
const TRIP_AFTER: u32 = 5;
/// Probability by chance, given the share of failures that is usual on the route, below which a run of failures closes it:
/// in bad weather runs are longer.
const UNLIKELY: f64 = 1e-4;
/// Factor on the failures that close a route while only one tenant meets them, which may be at fault itself.
const ONE_WITNESS: u32 = 4;
/// Weight of the newest answer in the share of failures that is usual.
const GAIN: f64 = 1.0 / 64.0;
/// Highest usual share of failures that is believed.
const MOST_USUAL: f64 = 0.5;
/// Part of the trouble so far (1 ÷ 4) for which a closed route rests before its next probe, with jitter over its upper
/// half. So much of an outage is lost at its end; a probe costs no more than one request that is sent again.
const REST_SHARE: u32 = 4;
/// Shortest rest of a closed route.
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// Longest rest of a closed route.
const LONGEST_REST: Duration = Duration::from_secs(15);
/// Answers in a row after which a trouble is over.
const CALM: u32 = 16;

/// The state of a route's breaker: what it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RouteState {
    /// Requests flow.
    Open,
    /// Nothing may be sent until a time.
    Closed {
        /// When a probe may go.
        until: Time,
    },
    /// A single probe is out, or may be sent; its outcome decides.
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
///
/// A route that fails now and then is left open: a run of failures has to be unlikely by what is usual there. One that
/// closes again and again is tried with one request, then two, four and so on.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    /// Failures since the last answer.
    run: u32,
    /// When the first failure of the run was seen.
    first: Time,
    /// A failure of the run was sent after the first was seen.
    again: bool,
    /// The tenant of the run's first failure.
    witness: u64,
    /// Another tenant met a failure of the run.
    several: bool,
    /// The share of failures that was usual before the run.
    usual: f64,
    /// When the present trouble began; several closures may be one.
    since: Option<Time>,
    /// Closures and failed probes of the present trouble.
    trips: u32,
    /// Times that the route opened in vain in the present trouble.
    relapses: u32,
    /// Answers in a row since the route last opened.
    calm: u32,
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
            RouteState::Open if self.relapses > 0 => 1 << self.calm.min(30),
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

    /// Returns when its last rest ends or ended; [`Time::ZERO`] while it is open.
    #[must_use]
    pub fn rest_until(&self) -> Time {
        self.rest_until.unwrap_or(Time::ZERO)
    }

    /// Returns when the state next changes by itself.
    #[must_use]
    pub fn poll_timeout(&self, now: Time) -> Option<Time> {
        self.rest_until.filter(|until| *until > now)
    }

    /// Ends the rest at once: the probe may go.
    pub fn release(&mut self, now: Time) {
        self.rest_until = self.rest_until.map(|until| until.min(now));
    }

    /// Takes note of an attempt of `witness` that was dispatched at `sent`; `random` from [0, 1) spreads the probes of
    /// many replicas. A witness of 0 is nobody in particular.
    ///
    /// Failures of attempts sent before the route closed say nothing new about it. An answer to one of those opens it, and
    /// is returned as true: part of the provider was never down.
    pub fn on_settle(&mut self, now: Time, sent: Time, outcome: Outcome, witness: u64, random: f64) -> bool {
        match outcome {
            Outcome::Overloaded | Outcome::Failed => {
                self.failed(now, sent, witness, random);
                false
            }
            // The provider answered: it is there, whatever it thought of the request.
            Outcome::Success | Outcome::Rejected | Outcome::Throttled | Outcome::RateLimited => self.answered(sent),
            Outcome::Cancelled => false,
        }
    }

    fn failed(&mut self, now: Time, sent: Time, witness: u64, random: f64) {
        if self.rest_until.is_some_and(|until| sent < until) {
            return;
        }
        if self.run == 0 {
            (self.first, self.witness, self.several, self.again) = (now, witness, false, false);
        }
        self.run += 1;
        self.several |= witness == 0 || witness != self.witness;
        // What was in flight when the first failed is one event with it, however much it was.
        self.again |= self.run > 1 && sent >= self.first;
        let probe = self.rest_until.is_some();
        if probe || self.again && self.run >= self.enough() {
            self.relapses += u32::from(!probe && self.since.is_some());
            let since = *self.since.get_or_insert(self.first);
            self.trips += 1;
            self.calm = 0;
            let rest = (now.since(since) / REST_SHARE).clamp(SHORTEST_REST, LONGEST_REST);
            self.rest_until = Some(now + half_jitter(rest, random));
        }
    }

    fn answered(&mut self, sent: Time) -> bool {
        // The run counts for what is usual as well, now that it has ended.
        let run = f64::from(std::mem::take(&mut self.run));
        let keep = 1.0 - GAIN;
        self.usual = keep * (1.0 - (1.0 - self.usual) * keep.powf(run));
        let rested = self.rest_until.take();
        if rested.is_none() && self.since.is_none() {
            return false;
        }
        self.calm += 1;
        let survived = rested.is_some_and(|until| sent < until);
        if self.calm >= CALM || survived {
            *self = Self { usual: self.usual, ..Self::default() };
        }
        survived
    }

    /// Returns how many failures in a row are more than chance.
    fn enough(&self) -> u32 {
        let unlikely = (UNLIKELY.ln() / self.usual.min(MOST_USUAL).ln()).ceil() as u32;
        let enough = TRIP_AFTER.max(unlikely);
        if self.several { enough } else { enough.saturating_mul(ONE_WITNESS) }
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
            breaker.on_settle(now, now, Outcome::Overloaded, 0, 1.0);
        }
        assert_eq!(breaker.allowance(now), 0);
        // A thousand late failures of the same event do not lengthen the rest.
        let until = breaker.poll_timeout(now);
        for _ in 0..1_000 {
            breaker.on_settle(now, now, Outcome::Overloaded, 0, 1.0);
        }
        assert_eq!(breaker.poll_timeout(now), until);

        // Each probe that fails: a rest in proportion to the trouble so far, within bounds.
        let mut rests = Vec::new();
        while now.seconds_since(Time::ZERO) < 120.0 {
            now = breaker.poll_timeout(now).unwrap_or(Time::FAR);
            assert_eq!((breaker.state(now), breaker.allowance(now)), (RouteState::Probing, 1));
            breaker.on_settle(now, now, Outcome::Overloaded, 0, 1.0);
            assert!(breaker.confirmed_down());
            rests.extend(breaker.poll_timeout(now).map(|at| at.seconds_since(now)));
        }
        assert!(rests.is_sorted() && rests[0] == 1.0 && rests.last() == Some(&15.0), "{rests:?}");

        now = breaker.poll_timeout(now).unwrap_or(Time::FAR);
        breaker.on_settle(now, now, Outcome::Success, 0, 1.0);
        assert_eq!((breaker.state(now), breaker.allowance(now)), (RouteState::Open, u32::MAX));
    }

    #[test]
    fn a_route_that_opens_in_vain_is_tried_with_few() {
        let mut breaker = Breaker::new();
        let mut now = Time::from_millis(1);
        let fail = |breaker: &mut Breaker, now| {
            // However usual failures have become.
            (0..20).for_each(|_| {
                breaker.on_settle(now, now, Outcome::Failed, 0, 1.0);
            });
        };
        fail(&mut breaker, now);
        for opened in 0..10 {
            now = breaker.poll_timeout(now).unwrap_or(Time::FAR);
            breaker.on_settle(now, now, Outcome::Success, 0, 1.0);
            assert_eq!(breaker.allowance(now), if opened == 0 { u32::MAX } else { 2 });
            fail(&mut breaker, now);
        }
        assert!(breaker.poll_timeout(now).is_some_and(|at| at.seconds_since(now) > 2.0), "rests do not begin anew");
        now = breaker.poll_timeout(now).unwrap_or(Time::FAR);
        for _ in 0..CALM {
            breaker.on_settle(now, now, Outcome::Success, 0, 1.0);
        }
        assert_eq!(breaker.allowance(now), u32::MAX, "the trouble is over");
    }

    #[test]
    fn in_bad_weather_runs_of_failures_are_chance() {
        let mut breaker = Breaker::new();
        let fail = |breaker: &mut Breaker| {
            breaker.on_settle(Time::ZERO, Time::ZERO, Outcome::Overloaded, 0, 0.0);
        };
        for n in 0..300 {
            breaker.on_settle(Time::ZERO, Time::ZERO, Outcome::Success, 0, 0.0);
            (0..n % 3).for_each(|_| fail(&mut breaker));
        }
        (0..9).for_each(|_| fail(&mut breaker));
        assert_eq!(breaker.state(Time::ZERO), RouteState::Open, "nine in a row, where half fails");
        (0..20).for_each(|_| fail(&mut breaker));
        assert_ne!(breaker.state(Time::ZERO), RouteState::Open);
    }

    #[test]
    fn what_one_tenant_alone_meets_needs_more_proof() {
        let mut breaker = Breaker::new();
        let mut fail = |witness| {
            breaker.on_settle(Time::ZERO, Time::ZERO, Outcome::Failed, witness, 0.0);
        };
        (0..TRIP_AFTER * ONE_WITNESS - 1).for_each(|_| fail(7));
        fail(8);
        assert_ne!(breaker.state(Time::ZERO), RouteState::Open, "a second one meets it too");
        let mut alone = Breaker::new();
        for _ in 0..TRIP_AFTER * ONE_WITNESS - 1 {
            alone.on_settle(Time::ZERO, Time::ZERO, Outcome::Failed, 7, 0.0);
        }
        assert_eq!(alone.state(Time::ZERO), RouteState::Open);
    }

    #[test]
    fn an_answer_to_what_was_sent_before_opens_it_again() {
        let mut breaker = Breaker::new();
        let now = Time::from_millis(10);
        for _ in 0..TRIP_AFTER {
            breaker.on_settle(now, now, Outcome::Overloaded, 0, 0.0);
        }
        assert_eq!(breaker.allowance(now), 0);
        assert!(breaker.on_settle(now, Time::from_millis(1), Outcome::Success, 0, 0.0), "it was never all down");
        assert_eq!((breaker.state(now), breaker.allowance(now)), (RouteState::Open, u32::MAX));
    }

    #[test]
    fn a_crash_is_one_event_and_does_not_close_the_route() {
        let mut breaker = Breaker::new();
        let (sent, seen) = (Time::from_millis(1), Time::from_millis(900));
        for _ in 0..1_000 {
            breaker.on_settle(seen, sent, Outcome::Overloaded, 0, 0.0);
        }
        assert_eq!(breaker.state(seen), RouteState::Open);
        breaker.on_settle(seen, seen, Outcome::Overloaded, 0, 0.0);
        assert_eq!(breaker.allowance(seen), 0, "what was sent since fails as well");
    }

    #[test]
    fn a_success_between_failures_keeps_the_route_open() {
        let mut breaker = Breaker::new();
        for n in 0..100 {
            let outcome = if n % 5 == 4 { Outcome::Success } else { Outcome::Overloaded };
            breaker.on_settle(Time::ZERO, Time::ZERO, outcome, 0, 0.0);
            assert_eq!(breaker.state(Time::ZERO), RouteState::Open);
        }
    }
}
