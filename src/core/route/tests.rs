use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::core::account::{Claim, Signal};
use crate::core::broker::Update;
use crate::core::retry::Backoff;
use crate::core::verdict::{Matter, Scope, Verdict};
use crate::core::window::WindowConfig;

const NOW: Time = Time::from_millis(1);
const LIFE: u32 = 7;
const BROKER: u32 = 3;
const BASE: Duration = Duration::from_secs(2);

/// A caller that may leave.
#[derive(Debug, Clone)]
struct Waiter {
    past: Past,
    left: Rc<Cell<bool>>,
}

impl Waiter {
    fn new(past: Past) -> Self {
        Self { past, left: Rc::default() }
    }
}

impl Ride for Waiter {
    fn past(&self) -> Past {
        self.past
    }

    fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    fn is_gone(&self) -> bool {
        self.left.get()
    }
}

/// A route with what it has put out, by kind.
struct Bench {
    route: Route<Waiter>,
    now: Time,
    grants: Vec<Grant<Waiter>>,
    refused: Vec<Refused>,
    updates: Vec<Update<Waiter>>,
    claims: Vec<Claim>,
    signals: Vec<Signal>,
    events: Vec<Event>,
}

fn config() -> RouteConfig {
    let backoff = Backoff { base: BASE, max: BASE };
    let (window, timeout) = (WindowConfig::default(), Duration::from_secs(60));
    RouteConfig { index: 0, routes: 1, window, timeout, max_attempts: 3, backoff, paused: false, limited: false }
}

impl Bench {
    fn new(config: RouteConfig) -> Self {
        let route = Route::new(config, Memory::default(), LIFE, BROKER, NOW);
        let mut bench = Self {
            route,
            now: NOW,
            grants: Vec::new(),
            refused: Vec::new(),
            updates: Vec::new(),
            claims: Vec::new(),
            signals: Vec::new(),
            events: Vec::new(),
        };
        bench.handle(Input::Timeout);
        bench
    }

    fn handle(&mut self, input: Input<Waiter>) {
        self.route.observe(Surroundings { demand: true, slots: self.grants.len() });
        self.route.handle(input, self.now, &mut || 0.5);
        while let Some(output) = self.route.poll_output() {
            match output {
                Output::Grant(grant) => self.grants.push(grant),
                Output::Refuse { refused, .. } => self.refused.push(refused),
                Output::Update(update) => self.updates.push(update),
                Output::Claim(claim) => self.claims.push(claim),
                Output::Signal(signal) => self.signals.push(signal),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn assign(&mut self, broker: u32, past: &[Past]) {
        self.assign_to(1, broker, past);
    }

    fn assign_to(&mut self, payer: u32, broker: u32, past: &[Past]) {
        let job = |(index, past): (usize, &Past)| Assigned {
            key: Key::new(u32::try_from(index).unwrap_or_default(), 1),
            cost: Cost::new(10),
            deadline: Time::FAR,
            payer,
            waited: Duration::ZERO,
            promised: None,
            job: Waiter::new(*past),
        };
        self.handle(Input::Assign { broker, jobs: past.iter().enumerate().map(job).collect() });
    }

    /// Ends the attempt granted first; with `again`, its caller wants another.
    fn settle(&mut self, report: Report, again: bool) {
        let Grant { lease, past, probe, .. } = self.grants.remove(0);
        let retry = again.then(|| Waiter::new(past.after(&report, probe)));
        self.handle(Input::Settle(Settle { life: LIFE, lease, report, retry }));
    }

    fn ended(&mut self) -> Vec<Ended<Waiter>> {
        self.updates.iter_mut().flat_map(|update| std::mem::take(&mut update.ended)).collect()
    }

    fn credits(&self) -> u64 {
        self.updates.last().map_or(0, |update| update.limit)
    }
}

#[test]
fn a_route_asks_for_as_many_jobs_as_its_gates_let_through() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.credits(), 4, "the initial window");
    bench.assign(BROKER, &[Past::default(); 5]);
    assert_eq!((bench.grants.len(), bench.ended().len()), (4, 1), "one too many goes back unsent");
    let attempts: Vec<_> = bench.grants.iter().map(|grant| (grant.attempt, grant.last)).collect();
    assert_eq!(attempts, [(1, false); 4]);
    bench.settle(Report::new(Outcome::Success), false);
    assert!(matches!(bench.ended()[..], [Ended::Done { outcome: Outcome::Success, .. }]));
    assert!(bench.credits() > 5);
    assert!(matches!(bench.events.last(), Some(Event::Settled { attempt: 1, .. } | Event::Moved { .. })));
}

#[test]
fn a_failure_is_tried_again_until_the_model_or_the_caller_allows_no_more() {
    for (most, attempts) in [(u32::MAX, 3), (2, 2), (1, 1)] {
        let mut bench = Bench::new(config());
        let mut past = Past::none(most);
        for attempt in 1..=attempts {
            bench.assign(BROKER, &[past]);
            assert_eq!((bench.grants[0].attempt, bench.grants[0].last), (attempt, attempt == attempts));
            bench.settle(Report::new(Outcome::Throttled), true);
            bench.now += Duration::from_secs(30);
            let ended = bench.ended();
            match &ended[..] {
                [Ended::Retry { not_before, job, .. }] if attempt < attempts => {
                    assert_eq!(not_before.since(NOW + Duration::from_secs(30) * (attempt - 1)), BASE / 2);
                    past = job.past;
                }
                [Ended::Done { .. }] if attempt == attempts => {}
                _ => panic!("attempt {attempt} of {attempts}: {ended:?}"),
            }
        }
        assert_eq!(bench.refused, [Refused::Exhausted { attempts, retry_after: BASE }]);
        let retried = bench.events.iter().filter(|event| matches!(event, Event::Retried { .. })).count();
        assert_eq!(retried, attempts as usize - 1, "told only where there is another");
    }
}

#[test]
fn a_request_whose_attempts_are_used_up_is_not_dispatched_again() {
    let mut bench = Bench::new(config());
    let past = Past { attempts: 3, ..Past::default() };
    bench.assign(BROKER, &[past]);
    assert_eq!(bench.refused, [Refused::Exhausted { attempts: 3, retry_after: BASE }]);
    assert!(bench.grants.is_empty() && matches!(bench.ended()[..], [Ended::Done { .. }]));
    // Nor by a lease of an earlier life, whose job nobody knows any more.
    let report = Report { retry_after: Some(Duration::from_secs(9)), ..Report::new(Outcome::RateLimited) };
    let settle = Settle { life: LIFE - 1, lease: Key::new(0, 1), report, retry: Some(Waiter::new(past)) };
    bench.handle(Input::Settle(settle));
    assert_eq!(bench.refused[1], Refused::Exhausted { attempts: 3, retry_after: Duration::from_secs(9) });
}

#[test]
fn a_failure_of_its_own_ends_a_request_where_others_are_served() {
    let mut bench = Bench::new(config());
    let served = |bench: &mut Bench| {
        bench.assign_to(2, BROKER, &[Past::default()]);
        bench.settle(Report::new(Outcome::Success), false);
    };
    served(&mut bench);
    bench.assign(BROKER, &[Past::default()]);
    bench.settle(Report::new(Outcome::Failed), true);
    let outcomes = |ended: Vec<Ended<Waiter>>| match &ended[..] {
        [Ended::Done { outcome, .. }, Ended::Retry { .. }] | [.., Ended::Done { outcome, .. }] => *outcome,
        _ => panic!("{ended:?}"),
    };
    assert_eq!((bench.refused.len(), outcomes(bench.ended())), (0, Outcome::Success), "once it is tried again");
    served(&mut bench);
    bench.assign(BROKER, &[Past { attempts: 1, ..Past::default() }]);
    bench.settle(Report::new(Outcome::Failed), true);
    assert_eq!((outcomes(bench.ended()), bench.refused), (Outcome::Rejected, vec![Refused::Final]));
}

#[test]
fn a_caller_that_left_is_not_sent_and_a_late_one_is_refused() {
    let mut bench = Bench::new(config());
    let gone = Waiter::new(Past::default());
    gone.left.set(true);
    let late = Waiter::new(Past::default());
    let job = |index, job, deadline| Assigned {
        key: Key::new(index, 1),
        cost: Cost::ONE,
        deadline,
        payer: 1,
        waited: Duration::ZERO,
        promised: None,
        job,
    };
    bench.handle(Input::Assign { broker: BROKER, jobs: vec![job(0, gone, Time::FAR), job(1, late, NOW)] });
    assert!(bench.grants.is_empty());
    assert_eq!(bench.refused, [Refused::Expired { retry_after: EXPIRED }]);
    assert!(matches!(bench.ended()[..], [Ended::Unsent { .. }, Ended::Done { outcome: Outcome::Cancelled, .. }]));
}

#[test]
fn jobs_need_the_leave_of_a_limited_account_one_claim_at_a_time() {
    let mut bench = Bench::new(RouteConfig { limited: true, ..config() });
    bench.assign(BROKER, &[Past::default(); 2]);
    bench.assign(BROKER, &[Past::default(); 1]);
    assert_eq!(bench.claims.len(), 1, "what came since follows");
    assert_eq!((bench.claims[0].member, bench.claims[0].slots, bench.claims[0].tokens.len()), (LIFE.into(), 0, 2));
    bench.handle(Input::Allowed { jobs: 1 });
    assert_eq!((bench.grants.len(), bench.ended().len()), (1, 2), "all others go back");
    assert_eq!(bench.signals.last(), Some(&Signal::slots(LIFE.into(), 1)));
    let limit = bench.route.told.assigned;
    bench.handle(Input::Timeout);
    assert_eq!(bench.route.told.assigned, limit, "no credit until there is room again");
    bench.handle(Input::Reopen);
    assert!(bench.credits() > 3);
}

#[test]
fn a_key_that_is_refused_suspends_the_route_and_an_operator_lifts_it() {
    let mut bench = Bench::new(config());
    bench.assign(BROKER, &[Past::default()]);
    let verdict = Verdict::new(Scope::Key, Matter::Key);
    let rest = Some(Duration::from_secs(30));
    bench.settle(Report { verdict, retry_after: rest, ..Report::new(verdict.outcome()) }, true);
    assert!(bench.events.iter().any(|event| matches!(event, Event::Suspended { .. })));
    let limited = bench.signals.last().and_then(|signal| signal.limited);
    assert!(limited.is_some_and(|limited| limited.stated == rest && limited.suspension.is_some()));
    let view = bench.updates.last().map(|update| update.view);
    assert!(view.is_some_and(|view| view.suspension.is_some() && view.hold_until > NOW));
    assert!(matches!(bench.route.poll_timeout(), Some((at, Reason::Pacer)) if at > NOW));
    bench.handle(Input::Lift);
    let view = bench.updates.last().map(|update| update.view);
    assert!(view.is_some_and(|view| view.suspension.is_none() && view.hold_until <= NOW));
    assert_eq!(bench.credits(), 2, "one request goes first");
}

#[test]
fn a_lease_that_nobody_settles_gives_its_slot_back_once() {
    let mut bench = Bench::new(RouteConfig {
        window: WindowConfig { initial: 1, min: 1, max: 1, ..WindowConfig::default() },
        ..config()
    });
    bench.assign(BROKER, &[Past::default()]);
    let (at, reason) = bench.route.poll_timeout().expect("the lease ends");
    assert_eq!((at, reason), (NOW + Duration::from_secs(65), Reason::Lease));
    bench.now = at;
    // Its holder has the slot still.
    bench.route.observe(Surroundings { demand: true, slots: 1 });
    bench.route.handle(Input::Timeout, at, &mut || 0.5);
    while bench.route.poll_output().is_some() {}
    assert_eq!((bench.route.leases(), bench.route.in_flight(), bench.route.credits(at)), (0, 0, 1));
    let lease = bench.grants.remove(0).lease;
    let settle = Settle { life: LIFE, lease, report: Report::new(Outcome::Success), retry: None };
    bench.handle(Input::Settle(settle));
    assert_eq!((bench.route.in_flight(), bench.route.expired), (0, 0));
}

#[test]
fn slots_of_earlier_lives_count_until_their_calls_end() {
    let mut bench = Bench::new(config());
    bench.route.observe(Surroundings { demand: true, slots: 3 });
    bench.route.handle(Input::Timeout, NOW, &mut || 0.5);
    assert_eq!((bench.route.in_flight(), bench.route.credits(NOW)), (3, 1));
    bench.handle(Input::Timeout);
    assert_eq!((bench.route.in_flight(), bench.route.credits(NOW)), (0, 4));
}

#[test]
fn jobs_of_a_broker_that_is_no_more_are_dropped() {
    let mut bench = Bench::new(config());
    bench.assign(BROKER, &[Past::default()]);
    bench.handle(Input::NewBroker { life: BROKER + 1 });
    bench.updates.clear();
    bench.assign(BROKER, &[Past::default()]);
    assert_eq!(bench.grants.len(), 1, "of the old one nothing is taken");
    bench.settle(Report::new(Outcome::Throttled), true);
    assert!(bench.ended().is_empty() && bench.refused.is_empty(), "its caller submits it anew");
}

#[test]
fn a_stream_that_outgrows_its_charge_renews_its_lease_and_raises_it() {
    let mut bench = Bench::new(config());
    bench.assign(BROKER, &[Past::default()]);
    let lease = bench.grants[0].lease;
    bench.now += Duration::from_secs(50);
    bench.handle(Input::Raise { life: LIFE, lease, charged: Cost::new(25) });
    assert!(matches!(bench.ended()[..], [Ended::Raised { more, .. }] if more == Cost::new(15)));
    assert_eq!(bench.route.leases.poll_timeout(), Some(bench.now + Duration::from_secs(65)));
    bench.handle(Input::Raise { life: LIFE - 1, lease, charged: Cost::new(99) });
    assert!(bench.ended().is_empty());
}
