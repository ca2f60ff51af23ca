//! Long windows are budgets: all at once while something is left, nothing when it is spent, until the reset.

use proptest::prelude::*;

use super::super::*;
use super::{hint, secs, told};

const DAY: f64 = 86_400.0;

/// A quota as a provider keeps it.
#[derive(Debug, Clone, Copy)]
struct Quota {
    limit: f64,
    window: f64,
    /// Whether it fills steadily, rather than at the end of its window.
    steady: bool,
    used: f64,
    at: f64,
}

impl Quota {
    fn pass(&mut self, t: f64) {
        if self.steady {
            self.used = (self.used - (t - self.at) * self.limit / self.window).max(0.0);
        } else if (t / self.window).floor() > (self.at / self.window).floor() {
            self.used = 0.0;
        }
        self.at = t;
    }

    /// Takes a request if something is left.
    fn arrive(&mut self, t: f64) -> bool {
        self.pass(t);
        let admits = self.used + 1.0 <= self.limit + 1e-6;
        self.used += f64::from(u8::from(admits));
        admits
    }

    fn reset(&self) -> f64 {
        if self.steady { self.used / self.limit * self.window } else { self.window - self.at % self.window }
    }

    /// Returns what the quota's answers say, as OpenAI names it, or as a window with an end.
    fn says(&self, named: bool) -> RateHints {
        let hint = RateHint {
            limit: Some(self.limit),
            remaining: (self.limit - self.used).max(0.0).floor(),
            reset: Some(secs(self.reset())),
            window: named.then(|| secs(self.window)),
            at_once: named && !self.steady,
        };
        if named {
            RateHints { long_requests: Some(hint), ..RateHints::default() }
        } else {
            RateHints { requests: Some(hint), ..RateHints::default() }
        }
    }
}

proptest! {
    /// The pacer holds nothing back as long as something of a quota is left, and lets hardly anything go once it is
    /// spent, whatever the quota, its names and the pace of the work.
    #[test]
    fn nothing_waits_while_something_is_left_and_little_goes_when_not(
        limit in 20u32..400,
        window in prop::sample::select(vec![3_600.0, DAY, 7.0 * DAY]),
        steady in any::<bool>(),
        named in any::<bool>(),
        begun in 0.0f64..0.4,
        gap in 0.01f64..3.0,
    ) {
        let mut quota = Quota { limit: f64::from(limit), window, steady, used: 0.0, at: begun * window };
        let (mut pacer, mut refused, mut waited) = (Pacer::default(), 0, 0);
        let mut t = quota.at;
        let start = t;
        for _ in 0..2 * limit {
            t += gap;
            let now = Time::from_nanos(((t - start) * 1e9) as u64);
            quota.pass(t);
            let left = quota.limit - quota.used >= 1.0;
            if pacer.allowance(now, 1.0) == 0 {
                // The first answer tells what is left; before it, one at a time is enough.
                waited += u32::from(left && !steady);
                continue;
            }
            let ticket = pacer.take(now, 1.0);
            let admitted = quota.arrive(t);
            refused += u32::from(!admitted);
            let outcome = if admitted { Outcome::Success } else { Outcome::RateLimited };
            pacer.settle(now, ticket, &Report { hints: quota.says(named), ..Report::new(outcome) }, 0.0);
        }
        prop_assert_eq!(waited, 0);
        prop_assert!(refused <= 1, "{refused}");
        prop_assert!(quota.limit - quota.used < 2.0, "it is used: {quota:?}");
        let now = Time::from_nanos(((t - start) * 1e9) as u64);
        let wait = pacer.spent_until(now, 1.0).map(|until| until.seconds_since(now));
        let reset = quota.reset();
        if steady {
            // At the latest when it is full again; at best with the next unit.
            prop_assert!(wait.is_none_or(|wait| wait <= reset + 1.0), "{wait:?} {reset}");
        } else {
            prop_assert!(wait.is_some_and(|wait| (wait - reset).abs() < 1.0), "{wait:?} {reset}");
            let fresh = now + secs(reset + 1.0);
            prop_assert!(pacer.buckets.iter().flatten().all(|bucket| bucket.allowance(fresh, 1.0) >= limit));
        }
    }

    /// A configured budget is kept by itself: no span between two renewals passes more.
    #[test]
    fn a_known_budget_is_never_exceeded(
        limit in 1u32..500,
        gaps in prop::collection::vec(0.0f64..20_000.0, 1..60),
    ) {
        let budgets = Budgets { requests_per_day: Some(f64::from(limit)), tokens_per_day: None };
        let mut pacer = Pacer::default().with_budgets(budgets, Time::ZERO);
        let (mut t, mut day, mut sent) = (0.0, 0, 0);
        for gap in gaps {
            t += gap;
            let now = Time::from_nanos((t * 1e9) as u64);
            if now.as_nanos() / (DAY as u64 * 1_000_000_000) > day {
                (day, sent) = (now.as_nanos() / (DAY as u64 * 1_000_000_000), 0);
            }
            let allowed = pacer.allowance(now, 1.0);
            prop_assert_eq!(allowed, limit - sent, "all that is left may go at once");
            for _ in 0..allowed.min(100) {
                pacer.take(now, 1.0);
                sent += 1;
            }
            if sent == limit {
                prop_assert_eq!(pacer.spent_until(now, 1.0), Some(Time::ZERO + secs(DAY * (day + 1) as f64)));
            }
        }
    }
}

#[test]
fn a_minute_is_paced_and_a_day_is_not() {
    for (window, expected) in [(60.0, 1..=5), (DAY, 190..=198)] {
        let mut pacer = Pacer::default();
        let ticket = pacer.take(Time::ZERO, 1.0);
        let hints = RateHint {
            limit: Some(200.0),
            remaining: 198.0,
            reset: Some(secs(window / 100.0)),
            window: Some(secs(window)),
            at_once: false,
        };
        told(&mut pacer, Time::ZERO, ticket, RateHints { requests: Some(hints), ..RateHints::default() });
        let allowed = pacer.allowance(Time::from_millis(1_000), 1.0);
        assert!(expected.contains(&allowed), "{window}: {allowed}");
    }
}

#[test]
fn a_day_of_which_much_is_left_does_not_loosen_the_minute() {
    let mut pacer = Pacer::default();
    let ticket = pacer.take(Time::ZERO, 1.0);
    let day =
        RateHint { limit: Some(1e6), remaining: 9e5, reset: Some(secs(4e4)), window: Some(secs(DAY)), at_once: true };
    told(&mut pacer, Time::ZERO, ticket, RateHints { long_requests: Some(day), ..hint(600.0, 0.0, 60.0) });
    assert_eq!(pacer.allowance(Time::ZERO, 1.0), 0);
    assert_eq!(pacer.spent_until(Time::ZERO, 1.0), None);
}

#[test]
fn one_passing_refusal_does_not_outweigh_a_word_of_plenty() {
    let mut pacer = Pacer::default();
    let mut now = Time::ZERO;
    let refusal = pacer.take(now, 1.0);
    let (retry_after, hints) = (Some(secs(0.006)), hint(10_000.0, 9_990.0, 0.06));
    pacer.settle(now, refusal, &Report { retry_after, hints, ..Report::new(Outcome::RateLimited) }, 0.5);
    // A service of 100 ms, as many at once as are let.
    let (mut out, mut sent) = (Vec::new(), 0);
    while now.seconds_since(Time::ZERO) < 5.0 {
        now += secs(0.01);
        out.retain(|ticket: &Ticket| {
            let done = now.since(ticket.at) >= secs(0.1);
            if done {
                told(&mut pacer, now, *ticket, hint(10_000.0, 9_990.0, 0.06));
            }
            !done
        });
        while pacer.allowance(now, 1.0) > 0 && out.len() < 100 {
            out.push(pacer.take(now, 1.0));
            sent += 1;
        }
    }
    assert!(sent >= 600, "166 a second are stated: {sent} in five seconds");
}

#[test]
fn words_of_plenty_raise_a_rate_that_refusals_taught() {
    // The refusals themselves say nothing; the answers since speak of a day.
    let mut pacer = Pacer::default();
    let ticket = pacer.take(Time::ZERO, 1.0);
    pacer.settle(Time::ZERO, ticket, &Report::new(Outcome::RateLimited), 0.5);
    let (mut now, mut sent) = (Time::ZERO, 0);
    while now.seconds_since(Time::ZERO) < 20.0 {
        now += secs(0.01);
        for _ in 0..pacer.allowance(now, 1.0).min(50) {
            let ticket = pacer.take(now, 1.0);
            sent += 1;
            told(&mut pacer, now, ticket, hint(10_000.0, 9_990.0, 86.4));
        }
    }
    assert!(pacer.learned_rate().is_none_or(|rate| rate >= 100.0), "{:?} after {sent}", pacer.learned_rate());
}

/// Ten minutes of forty a second, answered after 50 ms with these words; returns how many were admitted and refused.
fn forty_a_second(hints: RateHints) -> (u32, u32) {
    let (mut pacer, mut level, mut admitted, mut refused) = (Pacer::default(), 40.0f64, 0, 0);
    let (mut now, mut under_way) = (Time::ZERO, std::collections::VecDeque::new());
    while now.seconds_since(Time::ZERO) < 600.0 {
        now += secs(0.005);
        level = (level + 0.2).min(40.0);
        while under_way.front().is_some_and(|(ticket, _): &(Ticket, _)| now.since(ticket.at) >= secs(0.05)) {
            let Some((ticket, outcome)) = under_way.pop_front() else { break };
            pacer.settle(now, ticket, &Report { hints, ..Report::new(outcome) }, 0.5);
        }
        for _ in 0..pacer.allowance(now, 1.0).min(10) {
            let ticket = pacer.take(now, 1.0);
            let admits = level >= 1.0;
            level -= f64::from(u8::from(admits));
            *if admits { &mut admitted } else { &mut refused } += 1;
            under_way.push_back((ticket, if admits { Outcome::Success } else { Outcome::RateLimited }));
        }
    }
    (admitted, refused)
}

#[test]
fn a_provider_that_states_plenty_and_refuses_for_ever_is_not_believed() {
    let (plain, lying) = (forty_a_second(RateHints::default()), forty_a_second(hint(10_000.0, 9_990.0, 0.06)));
    assert!(lying.0 >= plain.0 * 97 / 100, "{plain:?} {lying:?}");
    assert!(lying.1 <= plain.1 + plain.1 / 2 + 200, "{plain:?} {lying:?}");
}

#[test]
fn chance_does_not_lengthen_a_day() {
    let mut pacer = Pacer::default();
    pacer.hold(Time::ZERO, Time::ZERO + secs(DAY), 0.999);
    let late = pacer.hold_until().since(Time::ZERO + secs(DAY));
    assert!(late <= Duration::from_secs(1), "{late:?}");
}

#[test]
fn a_release_sends_one_request_at_once_whatever_held_it() {
    let held = |pacer: &mut Pacer| pacer.hold(Time::ZERO, Time::ZERO + secs(DAY), 0.0);
    let refused = |pacer: &mut Pacer| {
        let ticket = pacer.take(Time::ZERO, 1.0);
        pacer.settle(Time::ZERO, ticket, &Report::new(Outcome::RateLimited), 0.0);
    };
    let spent = |pacer: &mut Pacer| {
        let ticket = pacer.take(Time::ZERO, 1.0);
        told(pacer, Time::ZERO, ticket, hint(50.0, 0.0, 30_000.0));
    };
    type Way<'a> = (&'a str, &'a dyn Fn(&mut Pacer));
    let ways: [Way<'_>; 3] = [("held", &held), ("refused", &refused), ("spent", &spent)];
    for (what, stop) in ways {
        let (mut pacer, now) = (Pacer::default(), Time::from_millis(10));
        stop(&mut pacer);
        assert_eq!(pacer.allowance(now, 1.0), 0, "{what}");
        pacer.release(now);
        assert!(pacer.allowance(now, 1.0) >= 1 && pacer.ready_at(now, 1.0) == now, "{what}");
        assert!(what == "refused" || pacer.allowance(now, 1.0) == 1, "{what}: one goes first");
        assert!(pacer.hold_until() <= now, "{what}");
    }
    let mut free = rated();
    free.release(Time::ZERO);
    assert_eq!(free.allowance(Time::ZERO, 1.0), 10, "what was not held goes on as it did");
}

fn rated() -> Pacer {
    Pacer::new(Rates { requests_per_minute: Some(600.0), tokens_per_minute: None }, Time::ZERO)
}
