//! Unit tests of the gates together.

mod budgets;

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const MINUTE: f64 = 60.0;

fn secs(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn rated(rate: f64) -> Pacer {
    Pacer::new(Rates { requests_per_minute: Some(rate), tokens_per_minute: None }, Time::ZERO)
}

proptest! {
    #[test]
    fn no_minute_passes_more_than_the_limit(
        rate in 2.0f64..2_000.0,
        gaps in prop::collection::vec(0u64..500, 1..300),
    ) {
        let mut now = Time::ZERO;
        let mut pacer = rated(rate);
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

    /// Several in flight, outcomes in any order, holds of any length: nothing goes before the latest stated time.
    #[test]
    fn nothing_is_sent_inside_a_stated_wait(
        steps in prop::collection::vec((0u64..2_000, 0usize..8, 0u8..7, 1u64..9_000, 0.0f64..1.0), 1..200),
        limit in prop::option::of(1.0f64..1_000.0),
    ) {
        let mut now = Time::ZERO;
        let mut pacer = limit.map_or_else(Pacer::default, rated);
        let (mut stated, mut out) = (Time::ZERO, Vec::new());
        for (gap, index, kind, wait, random) in steps {
            now += Duration::from_millis(gap);
            for _ in 0..pacer.allowance(now, 1.0).min(5) {
                prop_assert!(now >= stated, "sent at {now:?}, stated {stated:?}");
                out.push(pacer.take(now, 1.0));
            }
            prop_assert!(pacer.ready_at(now, 1.0) >= stated.max(now));
            if out.is_empty() {
                continue;
            }
            let ticket = out.swap_remove(index % out.len());
            let outcome = Outcome::ALL[usize::from(kind) % Outcome::ALL.len()];
            let refused = outcome.is_retryable() && wait % 2 == 0;
            let hold = refused.then(|| Duration::from_millis(wait));
            stated = stated.max(hold.map_or(Time::ZERO, |hold| now + hold));
            pacer.settle(now, ticket, &Report { retry_after: hold, ..Report::new(outcome) }, random);
        }
    }

    /// No header makes the machine panic, send without end, or name a time at which it is still shut for ever.
    #[test]
    fn any_headers_leave_it_alive(
        hints in prop::collection::vec(
            (prop::option::of(0.0f64..1e9), 0.0f64..1e9, prop::option::of(0u64..100_000_000),
             prop::option::of(0u64..100_000), any::<bool>(), 0u64..3_000), 1..60),
        rate in prop::option::of(1.0f64..10_000.0),
    ) {
        let mut pacer = rate.map_or_else(Pacer::default, rated);
        let mut now = Time::ZERO;
        for (limit, remaining, reset, window, at_once, gap) in hints {
            let ticket = pacer.take(now, 3.0);
            now += Duration::from_millis(gap);
            let hint = RateHint {
                limit, remaining, reset: reset.map(Duration::from_millis), window: window.map(Duration::from_secs), at_once,
            };
            let hints = RateHints { requests: Some(hint), tokens: Some(hint), ..RateHints::default() };
            pacer.settle(now, ticket, &Report { hints, ..Report::new(Outcome::Success) }, 0.5);
            let ready = pacer.ready_at(now, 3.0);
            prop_assert!(ready >= now);
            prop_assert!(pacer.allowance(now, 3.0) == 0 || ready == now);
        }
    }
}

fn hint(limit: f64, remaining: f64, reset: f64) -> RateHints {
    let requests = RateHint { limit: Some(limit), remaining, reset: Some(secs(reset)), ..RateHint::default() };
    RateHints { requests: Some(requests), ..RateHints::default() }
}

fn told(pacer: &mut Pacer, now: Time, ticket: Ticket, hints: RateHints) {
    pacer.settle(now, ticket, &Report { hints, ..Report::new(Outcome::Success) }, 0.0);
}

#[test]
fn holds_merge_by_maximum_and_wake_late_never_early() {
    let mut pacer = Pacer::default();
    pacer.hold(Time::ZERO, Time::from_millis(500), 0.0);
    pacer.hold(Time::ZERO, Time::from_millis(100), 0.9);
    assert_eq!(pacer.ready_at(Time::from_millis(10), 1.0), Time::from_millis(500));
    assert_eq!(pacer.ready_at(Time::from_millis(600), 1.0), Time::from_millis(600));
    pacer.hold(Time::from_millis(600), Time::from_millis(1_600), 0.5);
    assert_eq!(pacer.hold_until(), Time::from_millis(1_650));
}

#[test]
fn one_canary_goes_first_and_successes_double() {
    let mut pacer = Pacer::default();
    let old = pacer.take(Time::ZERO, 1.0);
    let stated = Report { retry_after: Some(secs(1.0)), ..Report::new(Outcome::RateLimited) };
    let early = pacer.take(Time::ZERO, 1.0);
    pacer.settle(Time::ZERO, early, &stated, 0.0);
    let after = Time::from_millis(1_000);
    // The learned rate is slow: what counts here is the hold.
    assert_eq!(pacer.hold.allowance(after), 1);
    let canary = pacer.take(after, 1.0);
    assert_eq!(pacer.hold.allowance(after), 0);
    told(&mut pacer, after, old, RateHints::default());
    assert_eq!(pacer.hold.allowance(after), 0, "a success from before the hold says nothing");
    for outcome in [Outcome::Cancelled, Outcome::Rejected] {
        pacer.settle(after, canary, &Report::new(outcome), 0.0);
        assert_eq!(pacer.hold.allowance(after), 1, "another one takes its place");
        pacer.take(after, 1.0);
    }
    pacer.settle(after, canary, &Report::new(Outcome::Throttled), 0.0);
    assert_eq!(pacer.hold.allowance(after), 0);
    let again = pacer.hold_until();
    assert!(again >= after + secs(1.0), "held again");
    let canary = pacer.take(again, 1.0);
    told(&mut pacer, again, canary, RateHints::default());
    assert_eq!(pacer.hold.allowance(again), 2);
    for most in [4, 8, 16] {
        let next = pacer.take(again, 1.0);
        told(&mut pacer, again, next, RateHints::default());
        assert_eq!(pacer.hold.allowance(again), most);
    }
}

#[test]
fn a_canary_that_is_told_a_moment_waits_for_that_moment_unless_it_is_told_so_again_and_again() {
    for outcome in [Outcome::RateLimited, Outcome::Overloaded] {
        let mut pacer = Pacer::default();
        let stated = Report { retry_after: Some(secs(0.2)), ..Report::new(outcome) };
        let mut now = Time::ZERO;
        let mut waits = Vec::new();
        for _ in 0..7 {
            let ticket = pacer.take(now, 1.0);
            pacer.settle(now, ticket, &stated, 0.0);
            waits.push(pacer.hold_until().seconds_since(now));
            now = pacer.hold_until();
        }
        // The first was no canary yet.
        assert_eq!(waits, [0.2, 0.2, 0.2, 0.2, 1.0, 2.0, 4.0], "{outcome:?}");
    }
}

#[test]
fn headers_teach_a_rate_and_an_empty_bucket_waits() {
    let mut pacer = Pacer::default();
    let ticket = pacer.take(Time::ZERO, 1.0);
    told(&mut pacer, Time::ZERO, ticket, hint(600.0, 0.0, 60.0));
    let wait = pacer.ready_at(Time::ZERO, 1.0).since(Time::ZERO).as_secs_f64();
    assert!((wait - 0.1).abs() < 0.005, "ten a second: {wait}");
}

#[test]
fn what_was_sent_since_is_not_sent_again() {
    let mut pacer = Pacer::default();
    let first = pacer.take(Time::ZERO, 1.0);
    told(&mut pacer, Time::ZERO, first, hint(600.0, 20.0, 58.0));
    let now = Time::from_millis(10);
    let tickets: Vec<Ticket> = (0..10).map(|_| pacer.take(now, 1.0)).collect();
    // The first of them reports what was left before the other nine.
    told(&mut pacer, now, tickets[0], hint(600.0, 19.0, 58.1));
    let left = |pacer: &Pacer| pacer.bucket(Dimension::Requests).map(|bucket| bucket.left()).unwrap_or_default();
    assert!(left(&pacer) <= 10.2, "{}", left(&pacer));
    told(&mut pacer, now, tickets[9], hint(600.0, 10.0, 59.0));
    let known = left(&pacer);
    // Old news, out of order, with more left.
    told(&mut pacer, now, first, hint(600.0, 599.0, 0.1));
    assert_eq!(left(&pacer), known);
}

#[test]
fn a_changed_limit_changes_the_rate() {
    let mut pacer = rated(60.0);
    let rate = |pacer: &Pacer| pacer.bucket(Dimension::Requests).map(|bucket| bucket.rate()).unwrap_or_default();
    for (limit, reset) in [(600.0, 6.0), (6_000.0, 0.6), (60.0, 60.0)] {
        let ticket = pacer.take(Time::ZERO, 1.0);
        told(&mut pacer, Time::ZERO, ticket, hint(limit, (limit - 60.0).max(0.0), reset));
        assert!((rate(&pacer) - limit / 60.0).abs() < 1e-6, "{limit}: {}", rate(&pacer));
    }
}

#[test]
fn a_window_that_fills_at_once_is_spread_and_waits_for_its_reset() {
    let mut pacer = Pacer::default();
    let at = |remaining, reset| RateHints {
        requests: Some(RateHint {
            limit: Some(100.0),
            remaining,
            reset: Some(secs(reset)),
            at_once: true,
            ..RateHint::default()
        }),
        ..RateHints::default()
    };
    let ticket = pacer.take(Time::ZERO, 1.0);
    told(&mut pacer, Time::ZERO, ticket, at(0.0, 30.0));
    assert_eq!(pacer.allowance(Time::from_millis(29_000), 1.0), 0);
    assert_eq!(pacer.ready_at(Time::from_millis(29_000), 1.0), Time::from_millis(30_000));
    assert!(pacer.ready_at(Time::from_millis(30_000), 1.0) <= Time::from_millis(30_400), "a hundred in thirty seconds");
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

#[test]
fn a_thousand_refusals_of_one_moment_cut_once() {
    let mut pacer = Pacer::default();
    let tickets: Vec<Ticket> = (0..1_000).map(|_| pacer.take(Time::ZERO, 1.0)).collect();
    let now = Time::from_millis(50);
    pacer.settle(now, tickets[0], &Report::new(Outcome::RateLimited), 0.0);
    let once = pacer.learned_rate();
    for ticket in &tickets[1..] {
        pacer.settle(now, *ticket, &Report::new(Outcome::RateLimited), 0.0);
    }
    assert_eq!(pacer.learned_rate(), once);
    assert!(once.is_some());
    let next = pacer.take(now, 1.0);
    pacer.settle(now, next, &Report::new(Outcome::RateLimited), 0.0);
    assert!(pacer.learned_rate() < once);
}

#[test]
fn one_refusal_of_a_quiet_route_does_not_silence_it() {
    let mut pacer = Pacer::default();
    let (sent, refused) = (Time::ZERO, Time::from_millis(20));
    let ticket = pacer.take(sent, 1.0);
    pacer.settle(refused, ticket, &Report::new(Outcome::RateLimited), 0.0);
    assert!(pacer.ready_at(refused, 1.0) < Time::from_millis(2_500), "{:?}", pacer.ready_at(refused, 1.0));
}

#[test]
fn a_bucket_that_is_always_found_full_is_not_taken_for_a_slow_one() {
    // Forty a second, of which the headers, read when the answer is made, tell nothing but "full".
    let mut pacer = Pacer::default();
    let full = RateHint { limit: Some(40.0), remaining: 40.0, reset: Some(Duration::ZERO), ..RateHint::default() };
    let hints = RateHints { requests: Some(full), ..RateHints::default() };
    let mut now = Time::ZERO;
    for _ in 0..30 {
        now = pacer.ready_at(now, 1.0);
        let ticket = pacer.take(now, 1.0);
        now += Duration::from_millis(400);
        pacer.settle(now, ticket, &Report { hints, ..Report::new(Outcome::Success) }, 0.0);
    }
    let pause = pacer.ready_at(now, 1.0).since(now);
    assert!(pause < Duration::from_millis(100), "{pause:?}");
}
