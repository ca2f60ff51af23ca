//! Scenarios as data: every file of `tests/scenarios/fairness`, with what is expected of it.
//!
//! `cargo test --test fair_queue scenarios -- --nocapture` prints what was measured beside it.

use fairflow::core::cost::{Cost, Weight};
use fairflow::core::fair_queue::{Class, FairQueue, QueueLimits, Request, TenantLimits};
use fairflow::core::time::Time;
use fairflow::sim::fairness::{Scenario, play};

#[test]
fn every_scenario_is_as_expected() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/fairness");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 16, "{} files", files.len());
    let mut wrong = Vec::new();
    println!("{:<26} {:<34} {:>10} {:>19}  others", "scenario", "measure", "measured", "expected");
    for file in files {
        let scenario = Scenario::open(&file).unwrap_or_else(|error| panic!("{error}"));
        let name = &scenario.name;
        assert!(!scenario.expect.is_empty(), "{name} expects nothing");
        let report = play(&scenario, 1);
        for expect in &scenario.expect {
            let seen = report.figure(expect);
            let bound = |value: Option<f64>| value.map_or("–".into(), |value| value.to_string());
            let range = format!("{} … {}", bound(expect.min), bound(expect.max));
            let what = format!("{} {}", expect.measure.as_str(), expect.of.join(", "));
            println!("{name:<26} {what:<34} {seen:>10.3} {range:>19}  {}", expect.published);
            if !expect.is_met(seen) {
                wrong.push(format!("{name}: {what} is {seen}, expected {range}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_a_scenario_is_named() {
    let text = |client: &str, expect: &str| {
        format!("seconds = 9\nslots = [[0, 4]]\nclient = [{{ tenant = \"a\", {client} }}]\nexpect = [{expect}]")
    };
    let served = "{ measure = \"served\", of = [\"a\"], min = 1 }";
    assert!(Scenario::parse("mine", &text("rate = 1", served)).is_ok());
    for (text, wanted) in [
        (text("rat = 1", served), "did you mean `rate`"),
        (text("rate = -1", served), "scenario mine: client[0].rate is -1; give a number from 0"),
        (text("think = 1", served), "client[0].rate is 0; give a rate, threads or a burst"),
        (text("rate = 1, class = \"vip\"", served), "\"vip\" is no class; say interactive"),
        (text("rate = 1", &served.replace("\"a\"", "\"b\"")), "expect[0].of is \"b\"; name a tenant of a client"),
        (text("rate = 1", &served.replace("served", "ratio")), "expect[0].of is [\"a\"]; name 2 tenants"),
        (text("rate = 1", &served.replace("served", "speed")), "\"speed\" is no figure; say one of gap, "),
        (
            text("rate = 1", &served.replace(", min = 1", "")),
            "expect[0].min is missing, and max too; give at least one",
        ),
        (text("rate = 1", "").replace("[[0, 4]]", "[[1, 4]]"), "the first step must be from second 0"),
        (text("rate = 1", "").replace("seconds = 9", "seconds = 0"), "seconds is 0; give a number from"),
    ] {
        let message = Scenario::parse("mine", &text).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(wanted), "{message}\ninstead of\n{wanted}");
    }
}

/// mClock's own example, in slots: ten queued each, six pulls.
#[test]
fn pulls_of_mclock() {
    let pulls = |weights: [f64; 2], reserve: [u32; 2]| {
        let mut queue = FairQueue::new(QueueLimits::default());
        for n in 0..20 {
            let tenant = n % 2;
            let limits = TenantLimits {
                weight: Weight::new(weights[tenant]).unwrap(),
                reserve: reserve[tenant],
                ..TenantLimits::default()
            };
            let tenant_name = ["a", "b"][tenant].into();
            let (class, cost, deadline) = (Class::Standard, Cost::ONE, Time::FAR);
            let request = Request { tenant: tenant_name, limits, class, cost, deadline, payload: tenant };
            queue.push(Time::ZERO, request).map_err(|(refusal, _)| refusal).unwrap();
        }
        let mut served = [0; 2];
        for _ in 0..6 {
            let job = queue.pop(Time::ZERO, 0).unwrap();
            served[job.payload] += 1;
            // A rate that is long overdue is a slot that is free again.
            queue.complete(Time::ZERO, job.key, None);
        }
        served
    };
    assert_eq!(pulls([1.0, 2.0], [0, 0]), [2, 4], "by weight");
    assert_eq!(pulls([1.0, 1.0], [2, 1]), [4, 2], "by reservation");
    assert_eq!(pulls([1.0, 100.0], [2, 1]), [4, 2], "weights have no say while both are due");
}
