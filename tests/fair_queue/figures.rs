//! Figures of whole runs in virtual time: reservations beside long jobs, and forecasts of the wait.
//!
//! `cargo test --test fair_queue figures -- --nocapture` prints them; `FAIRFLOW_SEEDS=n` takes more seeds
//! (300 give a million reservation windows).

use crate::random::Random;
use fairflow::sim::Steps;
use fairflow::sim::fairness::{Client, Scenario, play};

fn seeds(few: u64) -> u64 {
    std::env::var("FAIRFLOW_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

fn scenario(client: Vec<Client>, slots: u32, speed: f64) -> Scenario {
    Scenario {
        name: String::new(),
        seconds: 1_500.0,
        slots: Steps::always(slots.into()),
        speed,
        long: Some(10.0),
        unlendable: None,
        client,
        account: None,
        silent: false,
        cancel: None,
        expect: Vec::new(),
    }
}

#[test]
fn reservations_are_kept() {
    let (mut windows, mut misses, mut worst_use) = (0, 0, 1.0f64);
    for seed in 1..=seeds(6) {
        let mut random = Random(seed);
        let slots = 5 + random.below(60) as u32;
        let mut left = (f64::from(slots) * 0.8) as u32;
        let mut clients = Vec::new();
        for n in 0..2 + random.below(5) {
            let reserve = (1 + random.below(8) as u32).min(left);
            left -= reserve;
            if reserve > 0 {
                let cost = 0.2 + 2.0 * random.unit();
                let (on, off) = (5.0 + 40.0 * random.unit(), 5.0 + 40.0 * random.unit());
                let rate = f64::from(reserve) / cost * (0.3 + 2.0 * random.unit());
                clients.push(Client {
                    tenant: format!("reserved{n}"),
                    reserve,
                    cost,
                    on,
                    off,
                    rate,
                    spread: 0.7,
                    poisson: true,
                    weight: 0.1 + 5.0 * random.unit(),
                    ..Client::default()
                });
            }
        }
        let load = |tenant: &str, share: f64, cost: f64| Client {
            tenant: tenant.into(),
            cost,
            spread: 1.0,
            poisson: true,
            rate: f64::from(slots) * share / cost,
            ..Client::default()
        };
        clients.extend([load("long", 0.6, 30.0), load("short", 0.6, 1.0)]);
        let report = play(&scenario(clients, slots, 1.0), seed);
        assert_eq!(report.misses, 0, "seed {seed}");
        worst_use = worst_use.min(report.used());
        (windows, misses) = (windows + report.windows, misses + report.misses);
    }
    println!("{windows} reservation windows, {misses} misses, use of capacity at least {worst_use:.5}");
    assert!(windows > 10_000, "{windows}");
    assert!(worst_use >= 0.999, "{worst_use}");
}

/// Median of |actual ÷ forecast − 1| beside the statistical floor 0.8 · cv ÷ √queue, and the share below the P90.
#[test]
fn forecasts_come_true() {
    println!("{:<30} {:>9} {:>10} {:>9} {:>9}", "load", "requests", "P50 error", "floor", "P90 holds");
    for (name, tenants, cv, load) in [
        ("20 tenants, cv 0.5", 20, 0.5, 1.0),
        ("20 tenants, cv 1", 20, 1.0, 1.0),
        ("200 tenants, cv 0.5", 200, 0.5, 1.0),
    ] {
        let (mut errors, mut covered, mut floor) = (Vec::new(), 0, 0.0);
        for seed in 1..=seeds(2) {
            let slots = 16;
            // Closed loops keep the queue at its depth; a few open ones come and go.
            let closed = Client {
                tenant: "t".into(),
                copies: tenants,
                threads: 4,
                think: 0.5,
                cost: 100.0,
                spread: cv,
                ..Client::default()
            };
            let open = Client {
                tenant: "open".into(),
                copies: 4,
                rate: load * f64::from(slots) * 0.5 / f64::from(tenants),
                poisson: true,
                cost: 100.0,
                spread: cv,
                ..Client::default()
            };
            let report = play(&scenario(vec![closed, open], slots, 100.0), seed);
            for promise in report.promises.iter().skip(2_000).filter(|promise| promise.depth >= 10) {
                errors.push((promise.waited / promise.p50 - 1.0).abs());
                covered += u32::from(promise.waited <= promise.p90);
                floor += 0.8 * cv / (promise.depth as f64).sqrt();
            }
        }
        errors.sort_by(f64::total_cmp);
        let (count, median) = (errors.len() as f64, errors[errors.len() / 2]);
        let (covered, floor) = (f64::from(covered) / count, floor / count);
        println!("{name:<30} {count:>9} {median:>10.3} {floor:>9.3} {covered:>9.3}");
        assert!((0.85..=0.95).contains(&covered), "{name}: the P90 covers {covered}");
        assert!(median <= 0.35, "{name}: {median}");
    }
}
