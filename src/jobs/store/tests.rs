//! Tests of the store: it keeps, shares and gives up.

use std::time::Duration;

use super::*;
use crate::config::{Size, Span};

fn limits() -> JobsConfig {
    JobsConfig {
        keep: Span(Duration::from_secs(10)),
        most: 6,
        bytes: Size(1_000),
        tenant_most: 4,
        tenant_bytes: Size(500),
    }
}

fn key(tenant: &str, name: &str) -> Key {
    (tenant.into(), name.into())
}

fn claim(jobs: &Jobs<u32>, key: &Key, detached: bool, now: Time) -> Claim<u32> {
    jobs.claim(key, Asked { kind: "x", digest: [0; 32], detached }, limits(), now)
}

fn new(jobs: &Jobs<u32>, key: &Key, detached: bool) -> Option<(Ticket<u32>, Watch<u32>)> {
    match claim(jobs, key, detached, Time::ZERO) {
        Claim::New(ticket, watch) => Some((ticket, watch)),
        _ => None,
    }
}

async fn finish(jobs: &Jobs<u32>, key: &Key, bytes: usize, failed: bool) {
    let (ticket, _watch) = new(jobs, key, false).expect("a new job");
    ticket.run(async { Finished { value: 7, bytes, failed, at: Time::ZERO } }).await;
}

fn sizes(jobs: &Jobs<u32>) -> (usize, usize, usize, usize) {
    let table = jobs.table();
    (table.entries.len(), table.all.known, table.all.bytes, table.tenants.len())
}

#[tokio::test]
async fn a_job_is_made_once_and_told_to_all() {
    let jobs = Jobs::default();
    let one = key("a", "1");
    let (ticket, mut first) = new(&jobs, &one, false).expect("new");
    let Claim::Known(mut second) = claim(&jobs, &one, false, Time::ZERO) else { panic!("the same job") };
    assert!(matches!(
        jobs.claim(&one, Asked { kind: "x", digest: [1; 32], detached: false }, limits(), Time::ZERO),
        Claim::Conflict
    ));
    assert!(new(&jobs, &key("b", "1"), false).is_some(), "another tenant's");
    ticket.run(async { Finished { value: 5, bytes: 10, failed: false, at: Time::ZERO } }).await;
    for watch in [&mut first, &mut second] {
        assert_eq!(watch.wait_for(Option::is_some).await.expect("told").as_deref(), Some(&5));
    }
    let late = jobs.find(&one, Time::ZERO).expect("kept");
    assert_eq!((&*late.0, late.1.borrow().as_deref()), ("x", Some(&5)));
    assert!(jobs.find(&one, Time::ZERO + Duration::from_secs(10)).is_none(), "too old");
    assert_eq!(sizes(&jobs), (0, 0, 0, 0), "b's was dropped undone");
}

#[tokio::test]
async fn a_job_nobody_waits_for_is_given_up_unless_detached() {
    let jobs = Jobs::default();
    let (ticket, watch) = new(&jobs, &key("a", "1"), false).expect("new");
    drop(watch);
    ticket.run(std::future::pending()).await;
    assert_eq!(sizes(&jobs).0, 0);

    let (ticket, watch) = new(&jobs, &key("a", "2"), true).expect("new");
    drop(watch);
    ticket.run(async { Finished { value: 1, bytes: 1, failed: false, at: Time::ZERO } }).await;
    assert!(jobs.find(&key("a", "2"), Time::ZERO).is_some(), "done all the same");

    // One that is claimed again as detached goes on too; one that is forgotten does not.
    let (ticket, watch) = new(&jobs, &key("a", "3"), false).expect("new");
    drop(claim(&jobs, &key("a", "3"), true, Time::ZERO));
    drop(watch);
    let run = ticket.run(std::future::pending());
    tokio::pin!(run);
    assert!(futures_util::poll!(&mut run).is_pending());
    jobs.table().forget(&key("a", "3"));
    run.await;
}

#[tokio::test]
async fn a_failure_is_kept_until_it_is_tried_again() {
    let jobs = Jobs::default();
    finish(&jobs, &key("a", "1"), 1, true).await;
    assert!(jobs.find(&key("a", "1"), Time::ZERO).is_some());
    finish(&jobs, &key("a", "1"), 1, false).await;
    assert!(matches!(claim(&jobs, &key("a", "1"), false, Time::ZERO), Claim::Known(_)));
    assert_eq!(sizes(&jobs), (1, 1, 1, 1));
}

#[tokio::test]
async fn what_is_kept_is_bounded_for_each_and_for_all() {
    let jobs = Jobs::default();
    for name in 0..20 {
        finish(&jobs, &key("a", &name.to_string()), 10, false).await;
        assert!(sizes(&jobs).0 <= 4, "{:?}", sizes(&jobs));
    }
    assert!(jobs.find(&key("a", "19"), Time::ZERO).is_some(), "the newest stays");
    finish(&jobs, &key("a", "large"), 495, false).await;
    assert_eq!(sizes(&jobs), (1, 1, 495, 1), "by bytes");
    finish(&jobs, &key("a", "too large"), 501, false).await;
    finish(&jobs, &key("a", "unkept"), Finished::<u32>::UNKEPT, true).await;
    assert_eq!(sizes(&jobs), (1, 1, 495, 1), "what is not kept takes no other's place");
    for name in 0..20 {
        finish(&jobs, &key(&format!("t{name}"), "x"), 100, false).await;
        assert!(sizes(&jobs).0 <= 6 && sizes(&jobs).2 <= 1_000, "{:?}", sizes(&jobs));
    }
    // What is under way is never forgotten, so it has to be refused.
    let jobs = Jobs::default();
    let under_way: Vec<_> = (0..4).map(|name| new(&jobs, &key("a", &name.to_string()), false).expect("room")).collect();
    assert!(matches!(claim(&jobs, &key("a", "one more"), false, Time::ZERO), Claim::Full));
    let others: Vec<_> = (0..2).map(|name| new(&jobs, &key("b", &name.to_string()), false).expect("room")).collect();
    assert!(matches!(claim(&jobs, &key("c", "one more"), false, Time::ZERO), Claim::Full));
    drop((under_way, others));
    assert_eq!(sizes(&jobs), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_tenants_jobs_are_listed_and_one_that_is_removed_is_given_up() {
    let jobs = Jobs::default();
    finish(&jobs, &key("a", "2"), 10, false).await;
    let (ticket, watch) = new(&jobs, &key("a", "1"), true).expect("new");
    finish(&jobs, &key("b", "3"), 10, false).await;
    let names =
        |tenant: &str| jobs.list(&tenant.into(), Time::ZERO).into_iter().map(|(name, ..)| name).collect::<Vec<_>>();
    assert_eq!(names("a"), ["2".into(), "1".into()], "as they were begun");
    assert_eq!(names("b"), ["3".into()]);
    drop(watch);
    assert!(!jobs.remove(&key("b", "1"), Time::ZERO), "another tenant's");
    assert!(jobs.remove(&key("a", "1"), Time::ZERO) && !jobs.remove(&key("a", "1"), Time::ZERO));
    ticket.run(std::future::pending()).await;
    assert!(jobs.remove(&key("a", "2"), Time::ZERO) && jobs.remove(&key("b", "3"), Time::ZERO));
    assert_eq!(sizes(&jobs), (0, 0, 0, 0));
}
