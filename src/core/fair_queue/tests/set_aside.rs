//! Long jobs that are set aside for the sake of reservations, and when they run after all.

use super::*;

const LONG_AFTER: Duration = Duration::from_secs(10);

/// A queue in which long jobs were started as far as they may, and others are set aside.
struct World {
    queue: FairQueue<u32>,
    now: Time,
    running: Vec<Key>,
    /// Jobs that are set aside, in their order.
    aside: Vec<Key>,
}

/// Returns a queue of 8 slots, of which a tenant that is away has reserved as many as may be.
fn world() -> World {
    let mut queue = FairQueue::new(QueueLimits { unlendable: 0.5, long: LONG_AFTER, ..limits() });
    // A first job tells how long such jobs take.
    queue.push(Time::ZERO, request("long", 100, 0)).expect("admitted");
    let first = queue.pop(Time::ZERO, 0).expect("nothing is reserved");
    let now = Time::ZERO + 6 * LONG_AFTER;
    queue.complete(now, first.key, Some(Cost::new(100)));
    queue.register(now, &"away".into(), &TenantLimits { reserve: 8, ..TenantLimits::default() });
    queue.set_capacity(now, 8);
    // Tenants of their own: a flow is set aside as a whole.
    let push = |tenant: u32| queue.push(now, request(&format!("long{tenant}"), 100, tenant)).expect("admitted");
    let mut aside: Vec<Key> = (0..9).map(push).collect();
    let running: Vec<Key> = std::iter::from_fn(|| queue.pop(now, 0)).map(|job| job.key).collect();
    aside.retain(|key| !running.contains(key));
    assert_eq!((running.len(), aside.len()), (5, 4), "6 of 8 slots are granted, and half of those are not lent");
    assert!(!queue.has_ready(), "a credit would not be answered");
    World { queue, now, running, aside }
}

#[test]
fn a_long_job_that_ends_lets_another_run() {
    let World { mut queue, now, running, aside } = world();
    for key in running.into_iter().take(aside.len()) {
        queue.complete(now, key, Some(Cost::new(100)));
        assert!(queue.has_ready(), "it waits for a slot alone");
        assert!(queue.pop(now, 0).is_some());
        assert!(!queue.has_ready() && queue.pop(now, 0).is_none(), "one for one");
    }
}

#[test]
fn jobs_set_aside_run_once_nothing_is_reserved_any_more() {
    let World { mut queue, now, aside, .. } = world();
    queue.register(now, &"away".into(), &TenantLimits::default());
    assert!(queue.has_ready());
    assert_eq!(std::iter::from_fn(|| queue.pop(now, 0)).count(), aside.len());
}

#[test]
fn jobs_that_left_while_set_aside_take_nobodys_turn() {
    let World { mut queue, now, running, aside } = world();
    for key in &aside[..3] {
        assert!(queue.cancel(now, *key).is_some());
    }
    queue.complete(now, running[0], Some(Cost::new(100)));
    assert_eq!(queue.pop(now, 0).map(|job| job.key), Some(aside[3]));
}
