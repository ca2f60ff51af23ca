//! A forecast refuses a request only once enough was seen.

use super::*;

/// Offers a request that may wait for a minute once `dispatched` of 300 jobs have left within `seconds`.
fn offered_after(dispatched: u64, seconds: u64) -> Result<(), Refusal> {
    let mut queue = FairQueue::new(limits());
    for n in 0..300 {
        queue.push(Time::ZERO, request("busy", 100, n)).expect("admitted");
    }
    for n in 1..=dispatched {
        let at = Time::from_millis(n * seconds * 1_000 / dispatched);
        queue.pop(at, 0).expect("a job");
    }
    let now = Time::from_millis(seconds * 1_000);
    let patient = Request { deadline: now + Duration::from_secs(60), ..request("busy", 100, 1_000) };
    queue.push(now, patient).map(drop).map_err(|(refusal, _)| refusal)
}

#[test]
fn a_second_of_a_cold_start_refuses_nobody_who_may_wait_a_minute() {
    assert_eq!(offered_after(4, 1), Ok(()));
}

#[test]
fn what_was_seen_for_long_enough_refuses() {
    let refused = offered_after(40, 10);
    assert!(matches!(refused, Err(Refusal::DeadlineUnreachable { .. })), "{refused:?}");
}
