//! Rate buckets in virtual time: what share of the bucket is used, and at how many refusals.
//!
//! `FAIRFLOW_PACER_SECONDS=3600 cargo test --release --test controller pacer -- --nocapture` is the campaign.

use fairflow::core::pacer::{Pacer, Rates};
use fairflow::core::time::Time;

use crate::pacer_bench::{Report, Says, Spec, run};

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

/// Rates per second with buckets of one request, of a few, of a second's and of a minute's worth.
fn buckets() -> Vec<(f64, f64)> {
    let rates = [1.0f64, 3.0, 10.0, 40.0];
    let sizes = |rate: f64| [(rate, 1.0), (rate, 5.0), (rate, rate.max(5.0)), (rate, 60.0 * rate)];
    let mut all: Vec<(f64, f64)> = rates.into_iter().flat_map(sizes).collect();
    all.dedup();
    all
}

/// A bucket that holds less than a second's worth refuses for the network's jitter alone: its goodput is printed, and
/// only its refusals are bounded.
fn is_tight(rate: f64, burst: f64) -> bool {
    burst < rate.max(2.0)
}

/// At one request a second a few refusals while starting weigh more than the target.
fn allowed(rate: f64, target: f64) -> f64 {
    if rate < 2.0 { target.max(0.01) * 2.0 } else { target }
}

#[test]
fn bare_refusals_teach_the_rate() {
    for (rate, burst) in buckets() {
        for service in [1.0, 10.0] {
            let name = format!("bare {rate}/s burst {burst} service {service}");
            let report = worst(&name, Spec { service, ..Spec::new(rate, burst, Says::Nothing) }, &Pacer::default());
            assert!(report.refusals <= allowed(rate, 0.02), "{name}: {report:?}");
            assert!(is_tight(rate, burst) || report.goodput >= 0.95, "{name}: {report:?}");
        }
    }
}

#[test]
fn headers_leave_nothing_to_learn() {
    for (rate, burst) in buckets() {
        let name = format!("headers {rate}/s burst {burst}");
        let report = worst(&name, Spec::new(rate, burst, Says::Full), &Pacer::default());
        let tight = is_tight(rate, burst);
        assert!(report.refusals <= allowed(rate, 0.0025), "{name}: {report:?}");
        assert!(tight || rate < 2.0 || (report.goodput >= 0.98 && report.refusals <= 0.001), "{name}: {report:?}");
    }
}

#[test]
fn windows_that_fill_at_once_are_spread() {
    for rate in [1.0, 3.0, 10.0, 40.0] {
        let name = format!("fixed window {rate}/s");
        let report = worst(&name, Spec::new(rate, 1.0, Says::Window), &Pacer::default());
        assert!(report.goodput >= 0.98 && report.refusals <= 0.001, "{name}: {report:?}");
    }
}

#[test]
fn half_of_the_story_is_enough() {
    for (rate, burst) in buckets() {
        for (says, goodput) in [(Says::Remaining, 0.95), (Says::RetryAfter, 0.9)] {
            let name = format!("{says:?} {rate}/s burst {burst}");
            let report = worst(&name, Spec::new(rate, burst, says), &Pacer::default());
            // A minute's worth at once leaves a long pause, and the way back from it costs a few more.
            let most = allowed(rate, 0.02) + if says == Says::RetryAfter && rate < 2.0 { 0.01 } else { 0.0 };
            assert!(report.refusals <= most, "{name}: {report:?}");
            assert!(is_tight(rate, burst) || report.goodput >= goodput, "{name}: {report:?}");
        }
    }
}

#[test]
fn rates_that_move_are_followed() {
    for says in [Says::Nothing, Says::Full] {
        for rate in [10.0, 40.0] {
            for (what, step, competitor) in
                [("third", (600.0, 0.33), 0.0), ("triple", (600.0, 3.0), 0.0), ("competitor", (f64::MAX, 1.0), 0.5)]
            {
                let name = format!("{says:?} {rate}/s {what}");
                let spec = Spec { step, competitor, ..Spec::new(rate, rate, says) };
                let report = worst(&name, spec, &Pacer::default());
                assert!(report.goodput >= 0.85 && report.refusals <= 0.02, "{name}: {report:?}");
            }
        }
    }
}

#[test]
fn a_known_rate_is_kept() {
    let known = Pacer::new(Rates { requests_per_minute: Some(600.0), tokens_per_minute: None }, Time::ZERO);
    for (burst, says) in [(10.0, Says::Nothing), (600.0, Says::Full)] {
        let report = worst(&format!("known rate, {says:?}"), Spec::new(10.0, burst, says), &known);
        assert!(report.goodput >= 0.975 && report.refusals <= 0.001, "{says:?}: {report:?}");
    }
}
