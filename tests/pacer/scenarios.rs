//! Rate buckets in virtual time: what share of the bucket is used, and at how many refusals.
//!
//! `FAIRFLOW_PACER_SECONDS=3600 cargo test --release --test pacer_scenarios -- --nocapture` is the campaign.
#![allow(missing_docs, unreachable_pub)]

mod bench;
#[path = "../window/bench/rng.rs"]
#[allow(dead_code)]
mod rng;

use bench::{Report, Says, Spec, run};
use fairflow::core::pacer::{Pacer, Rates};
use fairflow::core::time::Time;

const SEEDS: [u64; 3] = [1, 2, 3];

fn seconds() -> f64 {
    std::env::var("FAIRFLOW_PACER_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_200.0)
}

/// Runs all seeds of a scenario and returns the worst of each figure.
fn worst(name: &str, spec: Spec, pacer: &Pacer) -> Report {
    let spec = Spec { seconds: spec.seconds.min(seconds()), ..spec };
    let reports = SEEDS.map(|seed| run(spec, pacer.clone(), seed));
    let worst = reports.into_iter().reduce(|a, b| Report {
        goodput: a.goodput.min(b.goodput),
        refusals: a.refusals.max(b.refusals),
        early: a.early + b.early,
    });
    let worst = worst.expect("seeds");
    println!("{name:40} goodput {:.3} refusals {:.4} early {}", worst.goodput, worst.refusals, worst.early);
    assert_eq!(worst.early, 0, "{name}: nothing goes inside a stated wait");
    worst
}

fn buckets() -> Vec<(f64, f64)> {
    let rates = [1.0, 3.0, 10.0, 40.0, 150.0];
    rates
        .iter()
        .flat_map(|&rate| [(rate, 1.0), (rate, 5.0f64.min(rate).max(2.0)), (rate, rate.max(2.0)), (rate, 60.0 * rate)])
        .collect()
}

#[test]
fn bare_refusals() {
    for (rate, burst) in buckets() {
        for service in [1.0, 10.0] {
            let name = format!("bare {rate}/s burst {burst} service {service}");
            let spec = Spec { service, seconds: f64::MAX, ..Spec::new(rate, burst, Says::Nothing) };
            worst(&name, spec, &Pacer::default());
        }
    }
}

#[test]
fn with_headers() {
    for (rate, burst) in buckets() {
        for says in [Says::Full, Says::Remaining, Says::RetryAfter, Says::Window] {
            let name = format!("{says:?} {rate}/s burst {burst}");
            let spec = Spec { seconds: f64::MAX, ..Spec::new(rate, burst, says) };
            worst(&name, spec, &Pacer::default());
        }
    }
}

#[test]
fn other() {
    for says in [Says::Nothing, Says::Full] {
        for rate in [10.0, 40.0] {
            for (what, step, competitor) in
                [("third", (600.0, 0.33), 0.0), ("triple", (600.0, 3.0), 0.0), ("competitor", (f64::MAX, 1.0), 0.5)]
            {
                let spec = Spec { seconds: f64::MAX, step, competitor, ..Spec::new(rate, rate, says) };
                worst(&format!("{says:?} {rate}/s {what}"), spec, &Pacer::default());
            }
        }
    }
    let known = Pacer::new(Rates { requests_per_minute: Some(600.0), tokens_per_minute: None }, Time::ZERO);
    worst("known rate, bare", Spec { seconds: f64::MAX, ..Spec::new(10.0, 10.0, Says::Nothing) }, &known);
    worst("known rate, full", Spec { seconds: f64::MAX, ..Spec::new(10.0, 600.0, Says::Full) }, &known);
}
