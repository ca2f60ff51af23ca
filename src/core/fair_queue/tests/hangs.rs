//! Attempts that hold their slot to no end: their tenant pays for the time.

use super::*;

const SLOTS: usize = 6;
/// Service time of an attempt that is answered, and of one that hangs until its timeout, in milliseconds.
const SERVICE: u64 = 500;
const TIMEOUT: u64 = 3_000;
const END: u64 = 600_000;

/// Keeps two tenants backlogged, `0` whose attempts all hang and `1` whose are answered, and returns the milliseconds that
/// each of them held slots. A hanging job is given up after `attempts`.
fn slot_time(attempts: u32) -> [u64; 2] {
    let mut queue = FairQueue::new(limits());
    let mut held = [0, 0];
    let push = |queue: &mut FairQueue<(usize, u32)>, now: u64, tenant: usize| {
        let Request { limits, class, cost, deadline, .. } = request("", 100, 0);
        let tenant_name = ["hangs", "answered"][tenant].into();
        let payload = (tenant, 1);
        let request = Request { tenant: tenant_name, limits, class, cost, deadline, payload };
        queue.push(Time::from_millis(now), request).expect("admitted");
    };
    for tenant in [0, 1].repeat(2 * SLOTS) {
        push(&mut queue, 0, tenant);
    }
    let mut running: Vec<(u64, Key, usize, u32)> = Vec::new();
    let mut now = 0;
    while now < END {
        while running.len() < SLOTS {
            let job = queue.pop(Time::from_millis(now), 0).expect("work-conserving");
            let (tenant, attempt) = job.payload;
            let takes = [TIMEOUT, SERVICE][tenant];
            running.push((now + takes, job.key, tenant, attempt));
            held[tenant] += takes;
        }
        running.sort_unstable_by_key(|&(ends, ..)| std::cmp::Reverse(ends));
        let (ends, key, tenant, attempt) = running.pop().expect("slots are full");
        now = ends;
        let at = Time::from_millis(now);
        if tenant == 0 && attempt < attempts {
            queue.requeue(at, key, at, Duration::ZERO, (tenant, attempt + 1)).expect("it was in flight");
        } else {
            queue.complete(at, key, (tenant == 1).then_some(Cost::new(100)));
            push(&mut queue, now, tenant);
        }
    }
    held
}

#[test]
fn a_tenant_whose_attempts_hang_holds_its_share_of_the_slots() {
    for attempts in [1, 4] {
        let [hangs, answered] = slot_time(attempts);
        let share = hangs as f64 / (hangs + answered) as f64;
        assert!((0.45..=0.55).contains(&share), "{attempts} attempts: {share:.3} of the slot time");
    }
}

#[test]
fn a_failure_that_takes_no_longer_than_others_costs_what_was_predicted() {
    let mut queue = FairQueue::new(limits());
    let mut serve = |millis: u64, actual: Option<Cost>| {
        queue.push(Time::ZERO, request("a", 100, 0)).expect("admitted");
        let job = queue.pop(Time::ZERO, 0).expect("job");
        queue.complete(Time::from_millis(millis), job.key, actual);
        queue.flows.members.iter().map(|member| member.share.start).max().expect("a flow")
    };
    let first = serve(SERVICE, Some(Cost::new(100)));
    let refused = serve(1, None);
    let failed = serve(SERVICE, None);
    assert_eq!((refused - first, failed - refused), (first, first));
    let hung = serve(TIMEOUT, None);
    assert_eq!(hung - failed, 6 * first, "it held a slot for six jobs");
}
