//! The queue against brute force: a state-machine model, and fluid weighted sharing.

mod forecasts;
mod hangs;
mod set_aside;

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::core::cost::{Cost, Weight};
use crate::core::key::Key;

fn limits() -> QueueLimits {
    QueueLimits { capacity: 100_000, ..QueueLimits::default() }
}

fn weight(value: f64) -> Weight {
    Weight::new(value).expect("a valid weight")
}

fn request(tenant: &str, cost: u64, payload: u32) -> Request<u32> {
    Request {
        tenant: tenant.into(),
        limits: TenantLimits::default(),
        class: Class::Standard,
        cost: Cost::new(cost),
        deadline: Time::FAR,
        payload,
    }
}

/// Keeps every tenant backlogged and serves `steps` jobs; returns each tenant's served cost.
fn serve_backlogged(tenants: &[(&str, f64, u64)], steps: usize) -> Vec<u64> {
    let mut queue = FairQueue::new(limits());
    let mut served = vec![0; tenants.len()];
    let push = |queue: &mut FairQueue<u32>, index: usize| {
        let (name, share, cost) = tenants[index];
        let mut request = request(name, cost, u32::try_from(index).unwrap_or(0));
        request.limits.weight = weight(share);
        queue.push(Time::ZERO, request).expect("admitted");
    };
    for index in 0..tenants.len() {
        push(&mut queue, index);
        push(&mut queue, index);
    }
    for _ in 0..steps {
        let job = queue.pop(Time::ZERO, 0).expect("work-conserving");
        let index = job.payload as usize;
        served[index] += u64::from(job.cost.units());
        queue.complete(Time::ZERO, job.key, None);
        push(&mut queue, index);
    }
    served
}

#[test]
fn backlogged_tenants_share_by_weight_within_one_request() {
    let served = serve_backlogged(&[("a", 1.0, 10), ("b", 2.0, 10), ("c", 3.0, 10), ("d", 4.0, 10)], 1_000);
    for (index, share) in [1_000, 2_000, 3_000, 4_000].into_iter().enumerate() {
        assert!(served[index].abs_diff(share) <= 10, "{served:?}");
    }
}

#[test]
fn large_requests_do_not_buy_a_larger_share() {
    let served = serve_backlogged(&[("short", 1.0, 1), ("long", 1.0, 100)], 10_100);
    assert!(served[0].abs_diff(served[1]) <= 200, "{served:?}");
}

#[test]
fn the_lowest_class_gets_its_weight_and_is_never_starved() {
    let mut queue = FairQueue::new(limits());
    let mut served = BTreeMap::new();
    for n in 0..2_000 {
        for &class in Class::ALL {
            let request = Request { class, ..request(class.as_str(), 1, n) };
            queue.push(Time::ZERO, request).expect("admitted");
        }
    }
    for _ in 0..840 {
        let job = queue.pop(Time::ZERO, 0).expect("work-conserving");
        let flow = queue.jobs.records[job.key.index()].flow;
        *served.entry(Class::ALL[queue.flows.class_of(flow)]).or_insert(0u32) += 1;
    }
    for (class, expected) in [(Class::Batch, 40), (Class::Standard, 160), (Class::Interactive, 640)] {
        assert!(served[&class].abs_diff(expected) <= 2, "{served:?}");
    }
}

#[test]
fn idling_banks_nothing() {
    let mut queue = FairQueue::new(limits());
    for n in 0..100 {
        queue.push(Time::ZERO, request("busy", 1, n)).expect("admitted");
    }
    for _ in 0..50 {
        let job = queue.pop(Time::ZERO, 0).expect("job");
        queue.complete(Time::ZERO, job.key, None);
    }
    for n in 0..100 {
        queue.push(Time::ZERO, request("late", 1, 1_000 + n)).expect("admitted");
    }
    let late = (0..20).filter(|_| queue.pop(Time::ZERO, 0).expect("job").payload >= 1_000).count();
    assert!((9..=11).contains(&late), "{late} of 20 went to the tenant that came late");
}

#[test]
fn debt_is_not_washed_off_by_leaving() {
    let mut queue = FairQueue::new(limits());
    for n in 0..100 {
        queue.push(Time::ZERO, request("steady", 1, n)).expect("admitted");
    }
    queue.push(Time::ZERO, request("debtor", 1, 1_000)).expect("admitted");
    let debtor = loop {
        let job = queue.pop(Time::ZERO, 0).expect("job");
        if job.payload == 1_000 {
            break job.key;
        }
    };
    // It turns out fifty times as large as predicted; its tenant leaves and comes back at once.
    queue.complete(Time::ZERO, debtor, Some(Cost::new(50)));
    queue.push(Time::ZERO, request("debtor", 1, 1_001)).expect("admitted");
    let first_back = (0..).find(|_| queue.pop(Time::ZERO, 0).is_none_or(|job| job.payload == 1_001));
    assert!(first_back.is_some_and(|turns| (40..=55).contains(&turns)), "{first_back:?}");
}

#[test]
fn a_refund_while_idle_is_kept() {
    let mut queue = FairQueue::new(limits());
    queue.push(Time::ZERO, request("steady", 10, 0)).expect("admitted");
    queue.push(Time::ZERO, request("cheap", 100, 1)).expect("admitted");
    queue.push(Time::ZERO, request("steady", 10, 0)).expect("admitted");
    let jobs: Vec<_> = (0..3).filter_map(|_| queue.pop(Time::ZERO, 0)).collect();
    let cheap = jobs.iter().find(|job| job.payload == 1).expect("dispatched").key;
    queue.complete(Time::ZERO, cheap, Some(Cost::new(10)));
    for _ in 0..12 {
        queue.push(Time::ZERO, request("steady", 10, 0)).expect("admitted");
        queue.push(Time::ZERO, request("cheap", 10, 1)).expect("admitted");
    }
    let cheap = (0..12).filter(|_| queue.pop(Time::ZERO, 0).expect("job").payload == 1).count();
    assert!(cheap >= 6, "the refund of 90 was lost: {cheap} of 12 turns");
}

#[test]
fn a_tenant_at_its_cap_is_parked_and_delays_nobody() {
    let mut queue = FairQueue::new(limits());
    for n in 0..10 {
        let mut capped = request("capped", 1, n);
        capped.limits.max_in_flight = 2;
        queue.push(Time::ZERO, capped).expect("admitted");
        queue.push(Time::ZERO, request("free", 1, 100 + n)).expect("admitted");
    }
    let jobs: Vec<_> = std::iter::from_fn(|| queue.pop(Time::ZERO, 0)).collect();
    assert_eq!(jobs.iter().filter(|job| job.payload < 100).count(), 2);
    assert_eq!(jobs.iter().filter(|job| job.payload >= 100).count(), 10);
    let first = jobs.iter().find(|job| job.payload < 100).expect("dispatched");
    queue.complete(Time::ZERO, first.key, None);
    assert!(queue.pop(Time::ZERO, 0).is_some_and(|job| job.payload == 2), "unparked, and in order");
}

#[test]
fn a_raised_cap_wakes_the_backlog() {
    let mut queue = FairQueue::new(limits());
    let capped = |payload, cap| {
        let mut request = request("a", 1, payload);
        request.limits.max_in_flight = cap;
        request
    };
    for n in 0..5 {
        queue.push(Time::ZERO, capped(n, 1)).expect("admitted");
    }
    assert!(queue.pop(Time::ZERO, 0).is_some() && queue.pop(Time::ZERO, 0).is_none());
    queue.push(Time::ZERO, capped(5, 3)).expect("admitted");
    assert!(
        queue.pop(Time::ZERO, 0).is_some() && queue.pop(Time::ZERO, 0).is_some() && queue.pop(Time::ZERO, 0).is_none()
    );
}

#[test]
fn a_retry_waits_for_its_time_keeps_its_place_and_is_charged_once() {
    let mut queue = FairQueue::new(limits());
    for n in 0..3 {
        queue.push(Time::ZERO, request("a", 1, n)).expect("admitted");
    }
    let first = queue.pop(Time::ZERO, 0).expect("job");
    let charged = queue.flows.member(0).share.start;
    let due = Time::from_millis(10);
    queue.requeue(Time::ZERO, first.key, due, Duration::ZERO, first.payload).expect("was in flight");
    assert_eq!(queue.poll_timeout(), Some(due));
    assert_eq!(queue.pop(Time::ZERO, 0).map(|job| job.payload), Some(1), "a waiting retry holds up nobody");
    let again = queue.pop(due, 0).expect("due");
    assert_eq!((again.payload, again.key), (0, first.key), "ahead of what came after it");
    let now = queue.flows.member(0).share.start;
    assert_eq!(now - charged, Weight::ONE.charge(Cost::ONE), "job 1 alone");
    assert!(
        queue.requeue(due, Key::from_bits(99), due, Duration::ZERO, 7).is_err(),
        "an unknown key gives the payload back"
    );
}

#[test]
fn what_a_holder_had_ends_when_it_is_no_more() {
    let mut queue = FairQueue::new(limits());
    for n in 0..4 {
        queue.push(Time::ZERO, request("a", 1, n)).expect("admitted");
    }
    let lost = queue.pop(Time::ZERO, 7).expect("job");
    let kept = queue.pop(Time::ZERO, 8).expect("job");
    queue.abandon(Time::ZERO, 7);
    assert_eq!((queue.in_flight(), queue.tenant("a")), (1, (2, 1)));
    assert!(queue.requeue(Time::ZERO, lost.key, Time::ZERO, Duration::ZERO, 0).is_err(), "ended");
    assert!(queue.give_back(Time::ZERO, kept.key, 1).is_ok());
    assert_eq!(queue.pop(Time::ZERO, 8).map(|job| job.payload), Some(1), "back at its place");
}

#[test]
fn every_refusal_has_its_reason_and_a_time_to_come_back() {
    let mut queue = FairQueue::new(QueueLimits { capacity: 3, ..limits() });
    let mut capped = request("a", 1, 0);
    capped.limits.max_queued = 1;
    queue.push(Time::ZERO, capped).expect("admitted");
    let mut second = request("a", 1, 1);
    second.limits.max_queued = 1;
    assert!(matches!(queue.push(Time::ZERO, second), Err((Refusal::TenantQueueFull { .. }, 1))));
    queue.push(Time::ZERO, request("b", 1, 2)).expect("admitted");
    queue.push(Time::ZERO, request("c", 1, 3)).expect("admitted");
    assert!(matches!(queue.push(Time::ZERO, request("d", 1, 4)), Err((Refusal::QueueFull { .. }, 4))));

    // One job a second drains; twenty wait: a request that may wait five seconds is told so now.
    let mut queue = FairQueue::new(limits());
    for n in 0..40 {
        queue.push(Time::ZERO, request("a", 1, n)).expect("admitted");
    }
    for second in 1..=20 {
        let job = queue.pop(Time::from_millis(second * 1_000), 0).expect("job");
        queue.complete(Time::from_millis(second * 1_000), job.key, None);
    }
    let now = Time::from_millis(20_000);
    let mut hurried = request("a", 1, 99);
    hurried.deadline = now + Duration::from_secs(5);
    let refused = queue.push(now, hurried).map_err(|(refusal, _)| refusal);
    let Err(Refusal::DeadlineUnreachable { estimate, .. }) = refused else { panic!("{refused:?}") };
    assert!(estimate > Duration::from_secs(15), "{estimate:?}");
    let mut newcomer = request("newcomer", 1, 100);
    newcomer.deadline = now + Duration::from_secs(10);
    assert!(queue.push(now, newcomer).is_ok(), "a tenant without backlog waits for a round, not for the line");
}

#[derive(Debug, Clone)]
enum Step {
    Push { tenant: u8, class: usize, cost: u64, lives: u64 },
    Pop,
    Complete { which: usize, actual: u64 },
    Requeue { which: usize, delay: u64 },
    GiveBack { which: usize },
    Cancel { which: usize },
    Wait { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..6, 0usize..3, 1u64..20, 1u64..400)
            .prop_map(|(tenant, class, cost, lives)| Step::Push { tenant, class, cost, lives }),
        4 => Just(Step::Pop),
        3 => (any::<usize>(), 0u64..40).prop_map(|(which, actual)| Step::Complete { which, actual }),
        1 => (any::<usize>(), 0u64..50).prop_map(|(which, delay)| Step::Requeue { which, delay }),
        1 => any::<usize>().prop_map(|which| Step::GiveBack { which }),
        1 => any::<usize>().prop_map(|which| Step::Cancel { which }),
        2 => (0u64..40).prop_map(|millis| Step::Wait { millis }),
    ]
}

const CAPS: [u32; 6] = [1, 2, u32::MAX, 3, u32::MAX, 1];

proptest! {
    /// Every admitted job ends exactly once (completed, cancelled or expired); caps hold; while a job may run, pop
    /// returns one; an expired job is never dispatched; and at rest nothing is remembered.
    #[test]
    fn no_job_is_lost_or_run_twice(steps in prop::collection::vec(step(), 1..300)) {
        let mut queue = FairQueue::new(limits());
        let mut now = Time::ZERO;
        let mut next = 0u32;
        let mut facts: BTreeMap<u32, (usize, Time)> = BTreeMap::new();
        let mut waiting: BTreeMap<u32, Key> = BTreeMap::new();
        let mut flying: VecDeque<(u32, Key)> = VecDeque::new();
        let mut ended: BTreeMap<u32, &str> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Push { tenant, class, cost, lives } => {
                    let deadline = now + Duration::from_millis(lives);
                    let mut request = request(&format!("t{tenant}"), cost, next);
                    request.class = Class::ALL[class];
                    request.limits.max_in_flight = CAPS[tenant as usize];
                    request.deadline = deadline;
                    if let Ok(key) = queue.push(now, request) {
                        facts.insert(next, (tenant as usize, deadline));
                        waiting.insert(next, key);
                    }
                    next += 1;
                }
                Step::Pop => match queue.pop(now, 0) {
                    Some(job) => {
                        let (_, deadline) = facts[&job.payload];
                        prop_assert!(deadline > now, "expired and dispatched");
                        prop_assert!(waiting.remove(&job.payload).is_some(), "in two places");
                        flying.push_back((job.payload, job.key));
                    }
                    None => {
                        let delayed = |key: &Key| queue.jobs.records[key.index()].held_until().is_some();
                        for (job, key) in &waiting {
                            let (tenant, deadline) = facts[job];
                            let used = flying.iter().filter(|(other, _)| facts[other].0 == tenant).count();
                            let held = delayed(key) || deadline <= now || used >= CAPS[tenant] as usize;
                            prop_assert!(held, "not work-conserving: job {} could run", job);
                        }
                    }
                },
                Step::Complete { which, actual } if !flying.is_empty() => {
                    let (job, key) = flying.remove(which % flying.len()).expect("in range");
                    queue.complete(now, key, (actual > 0).then(|| Cost::new(actual)));
                    queue.complete(now, key, None);
                    prop_assert!(ended.insert(job, "completed").is_none());
                }
                Step::Requeue { which, delay } if !flying.is_empty() => {
                    let (job, key) = flying.remove(which % flying.len()).expect("in range");
                    queue.requeue(now, key, now + Duration::from_millis(delay), Duration::ZERO, job).expect("in flight");
                    waiting.insert(job, key);
                }
                Step::GiveBack { which } if !flying.is_empty() => {
                    let (job, key) = flying.remove(which % flying.len()).expect("in range");
                    queue.give_back(now, key, job).expect("in flight");
                    waiting.insert(job, key);
                }
                Step::Cancel { which } if !waiting.is_empty() => {
                    let (&job, &key) = waiting.iter().nth(which % waiting.len()).expect("in range");
                    if queue.cancel(now, key).is_some() {
                        waiting.remove(&job);
                        prop_assert!(ended.insert(job, "cancelled").is_none());
                    }
                }
                Step::Wait { millis } => now += Duration::from_millis(millis),
                _ => {}
            }
            for job in queue.expire(now) {
                prop_assert!(facts[&job].1 <= now, "expired early");
                prop_assert!(waiting.remove(&job).is_some(), "expired from nowhere");
                prop_assert!(ended.insert(job, "expired").is_none());
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert_eq!(queue.in_flight(), flying.len());
            for (tenant, cap) in CAPS.iter().enumerate() {
                let (_, used) = queue.tenant(&format!("t{tenant}"));
                prop_assert!(used <= *cap);
            }
        }
        now += Duration::from_secs(1);
        for (_, key) in flying.drain(..) {
            queue.complete(now, key, None);
        }
        queue.expire(now);
        prop_assert_eq!((queue.len(), queue.in_flight(), queue.jobs.len()), (0, 0, 0));
        for _ in 0..8 {
            (0..3).for_each(|class| queue.flows.forget_idle(class));
        }
        prop_assert_eq!(queue.flows.tenants.known(), 0, "an idle tenant without debt is forgotten");
        prop_assert_eq!(queue.poll_timeout(), None);
    }

    /// Against fluid weighted sharing: two tenants that stay backlogged differ in weighted service by at most one
    /// largest request each (Goyal et al., theorem 1), whatever the costs and however many slots serve them.
    #[test]
    fn weighted_service_stays_within_one_largest_request_each(
        weights in prop::collection::vec(1u32..9, 2..6),
        costs in prop::collection::vec(1u64..50, 40..400),
        slots in 1usize..24,
    ) {
        let mut queue = FairQueue::new(limits());
        let mut served = vec![0.0f64; weights.len()];
        let mut costs = costs.into_iter().cycle();
        let mut push = |queue: &mut FairQueue<u32>, tenant: usize| {
            let mut request = request(&format!("t{tenant}"), costs.next().unwrap_or(1), u32::try_from(tenant).unwrap_or(0));
            request.limits.weight = weight(f64::from(weights[tenant]));
            queue.push(Time::ZERO, request).expect("admitted");
        };
        for tenant in 0..weights.len() {
            push(&mut queue, tenant);
            push(&mut queue, tenant);
        }
        let mut flying = VecDeque::new();
        for _ in 0..400 {
            let job = queue.pop(Time::ZERO, 0).expect("work-conserving");
            let tenant = job.payload as usize;
            served[tenant] += f64::from(job.cost.units()) / f64::from(weights[tenant]);
            flying.push_back(job.key);
            if flying.len() >= slots {
                queue.complete(Time::ZERO, flying.pop_front().expect("full"), None);
            }
            push(&mut queue, tenant);
            for (a, x) in served.iter().enumerate() {
                for (b, y) in served.iter().enumerate() {
                    let bound = 50.0 / f64::from(weights[a]) + 50.0 / f64::from(weights[b]);
                    prop_assert!((x - y).abs() <= bound + 1e-6, "{x} beside {y} with bound {bound}");
                }
            }
        }
    }
}

#[test]
fn an_overrun_is_charged_as_it_occurs() {
    let mut queue = FairQueue::new(limits());
    for n in 0..20 {
        queue.push(Time::ZERO, request("streams", 1, n)).expect("admitted");
        queue.push(Time::ZERO, request("steady", 1, 100 + n)).expect("admitted");
    }
    let stream = queue.pop(Time::ZERO, 0).expect("job");
    assert_eq!(stream.payload, 0);
    queue.charge_more(stream.key, Cost::new(9));
    let steady = (0..10).filter(|_| queue.pop(Time::ZERO, 0).expect("job").payload >= 100).count();
    assert!(steady >= 9, "the stream goes on, and its tenant pays while it does: {steady}");
    // It ends as it was charged: nothing is left to correct.
    let before = queue.flows.member(0).share.start;
    queue.complete(Time::ZERO, stream.key, Some(Cost::new(10)));
    assert_eq!(queue.flows.member(0).share.start, before);
}

#[test]
fn a_class_may_not_fill_the_queue() {
    let mut queue = FairQueue::new(QueueLimits { class_caps: [1, usize::MAX, usize::MAX], ..limits() });
    let batch = |n| Request { class: Class::Batch, ..request("night", 1, n) };
    queue.push(Time::ZERO, batch(0)).expect("admitted");
    assert!(matches!(queue.push(Time::ZERO, batch(1)), Err((Refusal::QueueFull { .. }, 1))));
    assert!(queue.push(Time::ZERO, request("day", 1, 2)).is_ok());
}

#[test]
fn an_urgent_class_runs_ahead_by_its_head_start_and_pays_it_back() {
    let served = |head_start| {
        let mut queue = FairQueue::new(QueueLimits { head_start, class_weights: [Weight::ONE; 3], ..limits() });
        for n in 0..400 {
            let night = Request { class: Class::Batch, ..request("night", 1, n) };
            queue.push(Time::ZERO, night).expect("admitted");
        }
        assert!((0..50).all(|_| queue.pop(Time::ZERO, 0).is_some()));
        for n in 0..400 {
            let person = Request { class: Class::Interactive, ..request("person", 1, 1_000 + n) };
            queue.push(Time::ZERO, person).expect("admitted");
        }
        let mut pulls = (0..300).map(|_| queue.pop(Time::ZERO, 0).expect("job").payload >= 1_000);
        let at_once = pulls.by_ref().take_while(|urgent| *urgent).count();
        (at_once, at_once + pulls.filter(|urgent| *urgent).count())
    };
    let ((none, even), (ahead, total)) = (served(0.0), served(2.0));
    assert_eq!(ahead, none + 2, "two largest costs more than without");
    assert!((149..=152).contains(&even) && total <= even + 2, "{even} and {total} of 300");
}

#[test]
fn tags_are_rebased_before_they_overflow() {
    let mut queue = FairQueue::new(limits());
    // The largest cost at the smallest weight moves a tag by 2^52: the 2^61 of a rebase are passed several times.
    let dear = |payload| {
        let mut request = request(if payload % 2 == 0 { "a" } else { "b" }, u64::MAX, payload);
        request.limits.weight = Weight::MIN;
        request.limits.group = (payload % 4 < 2).then_some(Group { id: 7, weight: Weight::MIN });
        request
    };
    let mut served = [0u32; 2];
    for n in 0..4 {
        queue.push(Time::ZERO, dear(n % 2)).expect("admitted");
    }
    for _ in 0..6_000 {
        let job = queue.pop(Time::ZERO, 0).expect("work-conserving");
        served[job.payload as usize % 2] += 1;
        queue.push(Time::ZERO, dear(job.payload)).expect("admitted");
        queue.complete(Time::ZERO, job.key, None);
    }
    assert!(served[0].abs_diff(served[1]) <= 2, "{served:?}");
    let time = queue.flows.levels[1].time.max(queue.flows.root.time);
    assert!(time < 1 << 62, "{time}");
}
