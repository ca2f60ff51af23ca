use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::core::fair_queue::Class;
use crate::core::health::RouteState;

/// A payload whose caller can leave, and learns where it is.
#[derive(Debug, Clone, Default)]
struct Job {
    name: u32,
    past: Past,
    gone: Rc<Cell<bool>>,
    place: Rc<Cell<Option<(Key, Time)>>>,
}

impl Ride for Job {
    fn past(&self) -> Past {
        self.past
    }

    fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    fn placed(&self, key: Key, not_before: Time) {
        self.place.set(Some((key, not_before)));
    }

    fn is_gone(&self) -> bool {
        self.gone.get()
    }
}

/// A broker with routes that say what the test wants.
struct Bench {
    broker: Broker<Job>,
    now: Time,
    limits: Vec<u64>,
    assigned: Vec<(usize, Assigned<Job>)>,
    refused: Vec<(u32, Refused)>,
    published: u32,
    retired: u32,
    reservations: Vec<Option<u32>>,
}

const LIFE: u32 = 7;

impl Bench {
    fn with(routes: usize, config: BrokerConfig) -> Self {
        let mut bench = Self {
            broker: Broker::new(config, Time::ZERO),
            now: Time::ZERO,
            limits: vec![0; routes],
            assigned: Vec::new(),
            refused: Vec::new(),
            published: 0,
            retired: 0,
            reservations: Vec::new(),
        };
        bench.tell(Input::Wire(vec![LIFE; routes]));
        bench
    }

    fn new(routes: usize) -> Self {
        Self::with(routes, BrokerConfig::default())
    }

    fn tell(&mut self, input: Input<Job>) {
        self.broker.handle(input, self.now);
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Assign { route, jobs } => self.assigned.extend(jobs.into_iter().map(|job| (route, job))),
                Output::Refuse { job, refused } => self.refused.push((job.name, refused)),
                Output::Publish => self.published += 1,
                Output::Retire => self.retired += 1,
                Output::Reservations { granted, .. } => self.reservations.push(granted),
            }
        }
    }

    fn at(&mut self, millis: u64) -> &mut Self {
        self.now = Time::from_millis(millis);
        self.tell(Input::Timeout);
        self
    }

    fn submit_job(&mut self, job: &Job, cost: u64, patience: Duration) {
        self.tell(Input::Submit(Request {
            tenant: "tenant".into(),
            limits: TenantLimits::default(),
            class: Class::Standard,
            cost: Cost::new(cost),
            deadline: self.now + patience,
            payload: job.clone(),
        }));
    }

    fn submit(&mut self, name: u32) -> Job {
        let job = Job { name, ..Job::default() };
        self.submit_job(&job, 1, Duration::from_secs(60));
        job
    }

    fn update(&mut self, route: usize, view: RouteView, ended: Vec<Ended<Job>>) {
        let limit = self.limits[route];
        self.tell(Input::Update(Update { route, life: LIFE, limit, view, ended }));
    }

    /// Gives a route more credit, and has it tell how jobs ended.
    fn credit(&mut self, route: usize, more: u64, ended: Vec<Ended<Job>>) {
        self.limits[route] += more;
        self.update(route, RouteView::new(), ended);
    }

    /// Closes a route until a millisecond.
    fn close(&mut self, route: usize, until: u64) {
        let state = RouteState::Closed { until: Time::from_millis(until) };
        self.update(route, RouteView { state, ..RouteView::new() }, Vec::new());
    }

    fn routes_of(&self) -> Vec<(usize, u32)> {
        self.assigned.iter().map(|(route, job)| (*route, job.job.name)).collect()
    }

    fn reason(&self) -> Option<Reason> {
        self.broker.poll_timeout().map(|(_, reason)| reason)
    }
}

fn done(job: &Assigned<Job>, cost: Option<u64>) -> Ended<Job> {
    let service = Duration::from_secs(1);
    Ended::Done { key: job.key, outcome: Outcome::Success, charged: job.cost, cost: cost.map(Cost::new), service }
}

fn retry(assigned: Assigned<Job>, now: Time, elsewhere: bool, route: usize) -> Ended<Job> {
    let Assigned { key, mut job, .. } = assigned;
    job.past = job.past.with(route);
    (job.past.attempts, job.past.elsewhere) = (job.past.attempts + 1, elsewhere);
    Ended::Retry { key, outcome: Outcome::Throttled, not_before: now, service: Duration::ZERO, job }
}

fn nothing() -> Vec<Ended<Job>> {
    Vec::new()
}

#[test]
fn the_route_with_the_most_credit_gets_the_next_job() {
    let mut bench = Bench::new(2);
    bench.credit(1, 1, nothing());
    bench.credit(0, 3, nothing());
    (1..=5).for_each(|name| drop(bench.submit(name)));
    assert_eq!(bench.routes_of(), [(0, 1), (0, 2), (1, 3), (0, 4)]);
    assert_eq!(bench.broker.queue().len(), 1, "no credit is left for the fifth");
}

#[test]
fn a_limit_that_falls_or_comes_twice_gives_nothing() {
    let mut bench = Bench::new(1);
    bench.credit(0, 2, nothing());
    (1..=4).for_each(|name| drop(bench.submit(name)));
    bench.credit(0, 0, nothing());
    bench.limits[0] = 1;
    bench.credit(0, 0, nothing());
    assert_eq!(bench.assigned.len(), 2);
    bench.credit(0, 2, nothing());
    assert_eq!(bench.assigned.len(), 3, "three in all, whatever was said between");
}

#[test]
fn a_request_is_refused_where_every_route_is_closed_for_longer_than_it_may_wait() {
    let mut bench = Bench::new(2);
    bench.close(0, 90_000);
    bench.submit(1);
    assert_eq!(bench.refused, [], "the other route is open");
    bench.close(1, 80_000);
    let opens = Refused::NoCapacity { retry_after: Duration::from_secs(80) };
    assert_eq!(bench.refused, [(1, opens)], "and what waits in vain is told at once");
    bench.submit(2);
    bench.submit_job(&Job { name: 3, ..Job::default() }, 1, Duration::from_secs(100));
    assert_eq!((&bench.refused[1..], bench.broker.queue().len()), (&[(2, opens)][..], 1), "the third can wait");
    let view = RouteView { hold_until: Time::from_millis(1_000), confirmed_down: true, ..RouteView::new() };
    (0..2).for_each(|route| bench.update(route, view, Vec::new()));
    bench.submit(4);
    assert_eq!(bench.refused.last(), Some(&(4, Refused::NoCapacity { retry_after: Duration::from_secs(1) })));
}

#[test]
fn what_waits_too_long_is_refused_and_its_time_is_asked_for() {
    let mut bench = Bench::new(1);
    bench.submit(1);
    assert_eq!(bench.reason(), Some(Reason::Waiting));
    let at = bench.broker.poll_timeout().map_or(0, |(at, _)| at.as_nanos() / 1_000_000);
    bench.at(at).at(60_001);
    assert!(matches!(bench.refused[..], [(1, Refused::Expired { .. })]), "{:?}", bench.refused);
    assert_eq!(bench.broker.poll_timeout(), None);
}

#[test]
fn a_model_without_requests_retires_when_nothing_is_left() {
    let mut bench = Bench::new(1);
    bench.broker = Broker::new(BrokerConfig::default(), Time::ZERO).retiring_after(Some(Duration::from_secs(10)));
    bench.tell(Input::Wire(vec![LIFE]));
    assert_eq!(bench.broker.poll_timeout(), Some((Time::from_millis(10_000), Reason::Retire)));
    bench.at(9_000).submit(1);
    bench.credit(0, 1, nothing());
    assert_eq!(bench.broker.poll_timeout(), None, "it is in use");
    bench.at(30_000);
    let ended = done(&bench.assigned[0].1, None);
    bench.credit(0, 0, vec![ended]);
    assert_eq!((bench.retired, bench.broker.poll_timeout()), (1, None), "once");

    let mut bench = Bench::new(1);
    bench.submit(1);
    bench.tell(Input::Withdraw);
    assert_eq!(bench.retired, 0, "what waits is served");
    bench.credit(0, 1, nothing());
    let ended = done(&bench.assigned[0].1, None);
    bench.credit(0, 0, vec![ended]);
    assert_eq!(bench.retired, 1);
}

#[test]
fn a_retry_waits_for_its_backoff_and_for_the_budget() {
    let mut bench = Bench::new(1);
    let job = bench.submit(1);
    bench.limits[0] = 1_000;
    bench.credit(0, 0, nothing());
    while job.place.get().is_some_and(|(_, not_before)| not_before == Time::ZERO) {
        let (_, assigned) = bench.assigned.pop().unwrap_or_else(|| unreachable!("a retry that may go goes"));
        assert!(assigned.job.past.attempts <= 101, "the budget has an end");
        let again = retry(assigned, Time::ZERO, false, 20);
        bench.credit(0, 0, vec![again]);
    }
    let waits = job.place.get().map(|(_, not_before)| not_before);
    assert!(waits > Some(Time::ZERO) && bench.assigned.is_empty(), "{waits:?}");
    assert!(bench.broker.retry_room(Time::ZERO) < 1.0);
    assert_eq!(bench.reason(), Some(Reason::Waiting));
    bench.at(1_000);
    assert_eq!(bench.assigned.len(), 1);
}

#[test]
fn a_job_that_failed_at_a_route_goes_to_another() {
    let mut bench = Bench::new(2);
    bench.credit(0, 9, nothing());
    bench.submit(1);
    let (route, assigned) = bench.assigned.remove(0);
    assert_eq!(route, 0);
    let again = retry(assigned, bench.now, false, 0);
    bench.credit(1, 1, nothing());
    bench.credit(0, 0, vec![again]);
    assert_eq!(bench.routes_of(), [(1, 1)], "although the first has more credit");
}

#[test]
fn a_job_that_every_route_has_refused_has_its_answer() {
    let mut bench = Bench::new(1);
    bench.credit(0, 9, nothing());
    bench.submit(1);
    let again = retry(bench.assigned.remove(0).1, bench.now, true, 0);
    bench.credit(0, 0, vec![again]);
    assert_eq!((&bench.refused[..], bench.assigned.len()), (&[(1, Refused::Final)][..], 0));
    assert!(bench.broker.queue().is_empty() && bench.broker.queue().in_flight() == 0);
}

#[test]
fn a_job_lets_slots_pass_for_a_while_and_then_takes_what_there_is() {
    let mut bench = Bench::new(2);
    bench.credit(0, 99, nothing());
    bench.submit(1);
    let again = retry(bench.assigned.remove(0).1, bench.now, false, 0);
    bench.credit(0, 0, vec![again]);
    assert!(bench.assigned.is_empty(), "the other route is open, and may have a slot soon");
    for tenths in 1..=25 {
        bench.at(tenths * 100 + 1);
    }
    assert_eq!(bench.routes_of(), [(0, 1)]);
}

#[test]
fn costs_are_predicted_from_what_they_turned_out_to_be() {
    let mut bench = Bench::new(1);
    bench.limits[0] = 1_000;
    bench.credit(0, 0, nothing());
    for name in 0..100 {
        bench.submit_job(&Job { name, ..Job::default() }, 100, Duration::from_secs(60));
        let ended = done(&bench.assigned[name as usize].1, Some(400));
        bench.credit(0, 0, vec![ended]);
    }
    let (first, last) = (bench.assigned[0].1.cost.units(), bench.assigned[99].1.cost.units());
    assert!(first == 100 && (390..=400).contains(&last), "{first} and {last}");
    assert!(bench.broker.health().service_times().p50 > 0.9);
}

#[test]
fn a_caller_that_has_gone_takes_no_credit() {
    let mut bench = Bench::new(1);
    let (first, second) = (bench.submit(1), bench.submit(2));
    first.gone.set(true);
    bench.credit(0, 1, nothing());
    assert_eq!(bench.routes_of(), [(0, 2)]);
    second.gone.set(true);
    let Assigned { key, job, .. } = bench.assigned.remove(0).1;
    bench.credit(0, 0, vec![Ended::Unsent { key, job }]);
    let third = bench.submit(3);
    bench.tell(Input::Cancel(third.place.get().map_or(key, |(key, _)| key)));
    assert!(bench.broker.queue().is_empty() && bench.broker.queue().in_flight() == 0);
}

#[test]
fn a_new_life_of_a_route_begins_anew_and_an_old_ones_word_is_void() {
    let mut bench = Bench::new(1);
    bench.credit(0, 2, nothing());
    bench.submit(1);
    bench.tell(Input::Wire(vec![LIFE + 1]));
    assert_eq!(bench.broker.queue().in_flight(), 0, "nobody will tell how it ended");
    let again = retry(bench.assigned.remove(0).1, bench.now, false, 0);
    bench.credit(0, 5, vec![again]);
    bench.submit(2);
    assert!(bench.assigned.is_empty() && bench.refused.is_empty());
    bench.tell(Input::Wire(vec![LIFE]));
    bench.limits[0] = 1;
    let stale = Ended::Unsent { key: Key::from_bits(1 << 32 | 77), job: Job { name: 3, ..Job::default() } };
    bench.credit(0, 0, vec![stale]);
    assert_eq!((bench.routes_of(), &bench.refused[..]), (vec![(0, 2)], &[(3, Refused::Unknown)][..]));
}

#[test]
fn a_job_is_priced_when_it_goes_by_what_was_learned_while_it_waited() {
    let mut bench = Bench::new(1);
    let jobs: Vec<_> = (0..40).map(|name| Job { name, ..Job::default() }).collect();
    jobs.iter().for_each(|job| bench.submit_job(job, 100, Duration::from_secs(60)));
    let mut costs = Vec::new();
    for _ in &jobs {
        bench.credit(0, 1, Vec::new());
        let (_, Assigned { key, cost, .. }) = bench.assigned.pop().expect("there is credit");
        let service = Duration::from_secs(1);
        let (outcome, actual) = (Outcome::Success, Some(Cost::new(400)));
        bench.update(0, RouteView::new(), vec![Ended::Done { key, outcome, charged: cost, cost: actual, service }]);
        costs.push(cost.units());
    }
    assert_eq!(costs[0], 100, "as it says, at first");
    assert!(costs[39] > 350, "all were pushed at the first price: {costs:?}");
}

#[test]
fn followed_snapshots_keep_up_with_changes_and_what_fades() {
    let mut bench = Bench::new(1);
    bench.broker = Broker::new(BrokerConfig::default(), Time::ZERO).publishing();
    bench.broker.follow(true);
    bench.at(1_000).tell(Input::Wire(vec![LIFE]));
    assert_eq!(bench.published, 0, "the route has told nothing yet");
    bench.update(0, RouteView::new(), Vec::new());
    assert_eq!(bench.published, 1, "a first change is shown at once");
    let first = bench.submit(1);
    assert_eq!(bench.broker.poll_timeout(), Some((Time::from_millis(1_050), Reason::Publish)));
    bench.at(1_050);
    assert_eq!((bench.published, bench.reason()), (2, Some(Reason::Publish)), "a wait grows by itself");
    bench.at(1_549);
    assert_eq!(bench.published, 2);
    bench.at(1_550);
    bench.tell(Input::Cancel(first.place.get().map_or(Key::from_bits(1), |(key, _)| key)));
    bench.at(1_600);
    assert_eq!((bench.published, bench.broker.poll_timeout()), (4, None), "nothing more can change");
}

#[test]
fn snapshots_that_nobody_follows_are_few_until_somebody_asks() {
    let mut bench = Bench::new(1);
    bench.broker = Broker::new(BrokerConfig::default(), Time::ZERO).publishing();
    bench.tell(Input::Wire(vec![LIFE]));
    bench.update(0, RouteView::new(), Vec::new());
    for millis in 1..1_000 {
        bench.at(millis).update(0, RouteView { window: millis as u32, ..RouteView::new() }, Vec::new());
    }
    assert_eq!(bench.published, 1);
    bench.tell(Input::Show);
    bench.tell(Input::Show);
    assert_eq!(bench.published, 2, "what is asked for is shown at once, and not twice");
    bench.at(1_049);
    assert_eq!((bench.published, bench.broker.poll_timeout()), (3, None), "who asked again sees what came since");
}

#[test]
fn reservations_that_are_cut_are_told_once() {
    let limits = TenantLimits { reserve: 10, ..TenantLimits::default() };
    let reserve = BTreeMap::from([("tenant".into(), limits)]);
    let mut bench = Bench::with(1, BrokerConfig { reserve, ..BrokerConfig::default() });
    for window in [5, 6, 20] {
        bench.update(0, RouteView { window, ..RouteView::new() }, Vec::new());
    }
    assert_eq!(bench.reservations, [Some(4), None]);
}

#[test]
fn shedding_refuses_all_that_waits() {
    let mut bench = Bench::new(1);
    (1..=3).for_each(|name| drop(bench.submit(name)));
    bench.tell(Input::Shed);
    assert_eq!(bench.refused.len(), 3);
    assert!(bench.broker.queue().is_empty());
}

proptest! {
    /// The broker loses or doubles no job, overdraws no credit and spins on no timeout, in any order of inputs.
    #[test]
    fn every_job_is_in_one_place(steps in prop::collection::vec((0u8..9, 0usize..3, 0u64..400), 1..200)) {
        let mut bench = Bench::new(3);
        let (mut submitted, mut ended, mut cancelled, mut given) = (0, 0, 0, vec![0u64; 3]);
        let (mut callers, mut held) = (Vec::new(), Vec::<(usize, Assigned<Job>)>::new());
        for (kind, route, number) in steps {
            let index = (number as usize).checked_rem(held.len());
            match kind {
                0..=2 => {
                    submitted += 1;
                    let job = Job { name: submitted, ..Job::default() };
                    bench.submit_job(&job, number, Duration::from_millis(number * 10 + 1));
                    callers.push(job);
                }
                3 => bench.credit(route, number % 4, nothing()),
                4 => bench.close(route, bench.now.as_nanos() / 1_000_000 + number),
                5 => {
                    let Some(caller) = callers.get(number as usize) else { continue };
                    let Some((key, _)) = caller.place.get() else { continue };
                    let before = bench.broker.queue().len();
                    bench.tell(Input::Cancel(key));
                    cancelled += before - bench.broker.queue().len();
                }
                6 => {
                    let Some((route, job)) = index.map(|index| held.swap_remove(index)) else { continue };
                    ended += 1;
                    let done = done(&job, Some(number));
                    bench.credit(route, 0, vec![done]);
                }
                7 => {
                    let Some((route, job)) = index.map(|index| held.swap_remove(index)) else { continue };
                    let again = if number % 2 == 0 {
                        retry(job, bench.now, number % 3 == 0, route)
                    } else {
                        Ended::Unsent { key: job.key, job: job.job }
                    };
                    bench.credit(route, 0, vec![again]);
                }
                _ => {
                    let now = bench.now.as_nanos() / 1_000_000;
                    bench.at(now + number);
                }
            }
            for (route, job) in bench.assigned.drain(..) {
                given[route] += 1;
                held.push((route, job));
            }
            let queue = bench.broker.queue();
            prop_assert_eq!(queue.in_flight(), held.len());
            prop_assert_eq!(submitted as usize, queue.len() + held.len() + ended + cancelled + bench.refused.len());
            prop_assert!(given.iter().zip(&bench.limits).all(|(given, limit)| given <= limit));
            // A wake may be early, at most a few times: time passes until there is nothing to do.
        }
        for _ in 0..10_000 {
            let Some((at, _)) = bench.broker.poll_timeout() else { break };
            bench.now = bench.now.max(at);
            bench.tell(Input::Timeout);
        }
        prop_assert_eq!(bench.broker.poll_timeout(), None);
        prop_assert_eq!(bench.broker.queue().len(), 0, "all that waits has a deadline");
    }
}
