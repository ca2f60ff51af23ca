//! The rivals: the rules and default constants that their authors published.
//!
//! Each is a rule that moves a limit after every sample. In one thing they are treated better than in their own house:
//! a refusal's round trip never counts as a service time (Netflix' limiters and Envoy would learn from it that the
//! provider is fast), and what exceeds the limit waits in a queue rather than being refused.

mod arc;
mod envoy;
mod netflix;

pub(super) use arc::Arc;
pub(super) use envoy::Envoy;
pub(super) use netflix::{Aimd, Gradient2, Vegas};

use super::gates::{Gates, Inside, Sent};
use crate::core::outcome::Outcome;
use crate::core::report::Report;
use crate::core::time::Time;

/// An ended attempt, as a rule sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) now: Time,
    /// Seconds from dispatch to answer.
    pub(super) rtt: f64,
    /// In flight at its dispatch, itself included.
    pub(super) in_flight: u32,
    /// Refused or failed.
    pub(super) dropped: bool,
}

/// How a rival moves its limit.
pub(super) trait Rule {
    fn limit(&self) -> u32;
    fn dispatched(&mut self, _in_flight: u32) {}
    fn seen(&mut self, seen: Seen);
}

/// A fixed limit.
pub(super) struct Fixed(pub(super) u32);

impl Rule for Fixed {
    fn limit(&self) -> u32 {
        self.0
    }

    fn seen(&mut self, _: Seen) {}
}

/// A rule as the only gate of a dispatcher.
pub(super) struct Limited<R> {
    rule: R,
    in_flight: u32,
}

impl<R: Rule> Limited<R> {
    pub(super) fn new(rule: R) -> Self {
        Self { rule, in_flight: 0 }
    }
}

impl<R: Rule> Gates for Limited<R> {
    fn credits(&mut self, _: Time, _: Inside) -> u32 {
        self.rule.limit().saturating_sub(self.in_flight)
    }

    fn dispatch(&mut self, at: Time) -> Sent {
        self.in_flight += 1;
        self.rule.dispatched(self.in_flight);
        Sent { at, in_flight: self.in_flight }
    }

    fn settle(&mut self, now: Time, Sent { at, in_flight }: Sent, report: Report) {
        self.in_flight -= 1;
        let dropped = match report.outcome {
            Outcome::Success => false,
            Outcome::Throttled | Outcome::RateLimited | Outcome::Overloaded | Outcome::Failed => true,
            Outcome::Rejected | Outcome::Cancelled => return,
        };
        self.rule.seen(Seen { now, rtt: now.seconds_since(at), in_flight, dropped });
    }

    fn limit(&self) -> u32 {
        self.rule.limit()
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Serves `n` full windows, one a second.
    fn serve(rule: &mut impl Rule, now: &mut Time, n: u32, rtt: f64, dropped: bool) {
        for _ in 0..n {
            *now += Duration::from_secs_f64(rtt);
            let limit = rule.limit();
            for in_flight in 1..=limit {
                rule.dispatched(in_flight);
            }
            for in_flight in 1..=limit {
                rule.seen(Seen { now: *now, rtt, in_flight, dropped });
            }
        }
    }

    #[test]
    fn arc_goes_up_by_one_and_down_by_a_tenth() {
        let (mut arc, mut now) = (Arc::new(), Time::ZERO);
        serve(&mut arc, &mut now, 50, 1.0, false);
        let high = arc.limit();
        assert!((40..=51).contains(&high), "{high}");
        serve(&mut arc, &mut now, 1, 1.0, true);
        assert_eq!(arc.limit(), high * 9 / 10);
    }

    #[test]
    fn netflix_aimd_cuts_per_sample() {
        let (mut aimd, mut now) = (Aimd::floor_1(), Time::ZERO);
        serve(&mut aimd, &mut now, 2, 1.0, false);
        let high = aimd.limit();
        serve(&mut aimd, &mut now, 1, 1.0, true);
        assert!(aimd.limit() < high / 5, "{high} to {}", aimd.limit());
    }

    #[test]
    fn vegas_and_the_gradients_yield_to_latency() {
        let mut now = Time::ZERO;
        let mut rules: [Box<dyn Rule>; 3] =
            [Box::new(Vegas::new(1)), Box::new(Gradient2::new()), Box::new(Envoy::new(1))];
        for rule in &mut rules {
            let mut grown = 0;
            for _ in 0..60 {
                now += Duration::from_millis(500);
                for in_flight in 1..=rule.limit() {
                    rule.seen(Seen { now, rtt: 0.5, in_flight, dropped: false });
                }
                grown = rule.limit();
            }
            // The least of it: each takes the new latency for normal sooner or later, and grows back.
            let mut least = grown;
            for _ in 0..20 {
                now += Duration::from_millis(2_500);
                for in_flight in 1..=rule.limit() {
                    rule.seen(Seen { now, rtt: 2.5, in_flight, dropped: false });
                    least = least.min(rule.limit());
                }
            }
            assert!(least < grown * 9 / 10, "{grown} to {least}");
        }
    }
}
