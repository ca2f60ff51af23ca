//! Scenarios as data: every file of `tests/scenarios/fairness`, with what is expected of it.
//!
//! `cargo test --test fair_queue scenarios -- --nocapture` prints what was measured beside it.

use std::time::Duration;

use fairflow::core::cost::{Cost, Weight};
use fairflow::core::fair_queue::{Class, FairQueue, QueueLimits, Request, TenantLimits};
use fairflow::core::time::Time;
use serde::Deserialize;

use crate::world::{Client, Report, Sample, World};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    seconds: f64,
    slots: Vec<(f64, u32)>,
    /// Work per second and slot.
    #[serde(default = "one")]
    speed: f64,
    /// Expected service time, in seconds, above which a job is long.
    long: Option<f64>,
    unlendable: Option<f64>,
    client: Vec<Client>,
    expect: Vec<Expect>,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    measure: String,
    #[serde(default)]
    of: Vec<String>,
    #[serde(default)]
    from: f64,
    until: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    /// What others reached.
    #[serde(default)]
    published: String,
}

impl Expect {
    fn measure(&self, report: &Report, clients: &[Client]) -> f64 {
        let id = |name: &str| *report.tenants.get(name).unwrap_or_else(|| panic!("no tenant {name}"));
        let until = self.until.unwrap_or(f64::MAX);
        let within: Vec<_> = report.samples.iter().filter(|(at, _)| *at >= self.from && *at <= until).collect();
        let served = |name: &str| {
            let (first, last) = (&within.first().unwrap().1, &within.last().unwrap().1);
            last[id(name)].served - first[id(name)].served
        };
        let weight =
            |name: &str| clients.iter().find(|client| client.tenant == name).map_or(1.0, |client| client.weight);
        let waits = || {
            let of = self.of.first().map(|name| id(name));
            let rows = report
                .waits
                .iter()
                .filter(|(tenant, at, _)| of.is_none_or(|of| of == *tenant) && *at >= self.from && *at <= until);
            rows.map(|(.., wait)| *wait).collect::<Vec<_>>()
        };
        match self.measure.as_str() {
            // Largest difference of cumulative service by weight, since both last began to be backlogged.
            // As it is granted (at dispatch), or as it is done.
            "gap" | "gap as done" => {
                let of = |sample: &Sample| if self.measure == "gap" { sample.granted } else { sample.served };
                let mut worst = 0.0f64;
                for (n, a) in self.of.iter().enumerate() {
                    for b in &self.of[..n] {
                        let mut base = None;
                        for (_, samples) in &within {
                            let (x, y) = (samples[id(a)], samples[id(b)]);
                            let off = of(&x) / weight(a) - of(&y) / weight(b);
                            if x.waiting > 0 && y.waiting > 0 {
                                worst = worst.max((off - *base.get_or_insert(off)).abs());
                            } else {
                                base = None;
                            }
                        }
                    }
                }
                worst
            }
            "ratio" => served(&self.of[0]) / served(&self.of[1]),
            "served" => served(&self.of[0]),
            "share" => served(&self.of[0]) / report.tenants.keys().map(|name| served(name)).sum::<f64>(),
            "in flight" => {
                let of = id(&self.of[0]);
                let width = f64::from(clients.iter().find(|client| client.tenant == self.of[0]).unwrap().width);
                within.iter().map(|(_, samples)| f64::from(samples[of].flying) * width).sum::<f64>()
                    / within.len() as f64
            }
            "longest wait" => waits().into_iter().fold(0.0, f64::max),
            "mean wait" => waits().iter().sum::<f64>() / waits().len() as f64,
            "dispatched" => waits().len() as f64,
            "use" => 1.0 - report.idle / report.capacity,
            "reservation windows" => report.windows as f64,
            "reservation misses" => report.misses as f64,
            "expired" => f64::from(report.expired),
            "refused" => f64::from(report.refused),
            other => panic!("no measure {other:?}"),
        }
    }
}

#[test]
fn every_scenario_is_as_expected() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/fairness");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 16, "{} files", files.len());
    let mut wrong = Vec::new();
    println!("{:<26} {:<34} {:>10} {:>19}  others", "scenario", "measure", "measured", "expected");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let scenario: Scenario =
            toml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut limits = QueueLimits { capacity: 1_000_000, ..QueueLimits::default() };
        limits.long = scenario.long.map_or(Duration::MAX, Duration::from_secs_f64);
        limits.unlendable = scenario.unlendable.unwrap_or(limits.unlendable);
        let world = World {
            clients: scenario.client,
            seconds: scenario.seconds,
            slots: scenario.slots,
            speed: scenario.speed,
            limits,
            seed: 1,
            sampled: true,
        };
        let report = world.run();
        for expect in &scenario.expect {
            let seen = expect.measure(&report, &world.clients);
            let (min, max) = (expect.min.unwrap_or(f64::MIN), expect.max.unwrap_or(f64::MAX));
            let bound = |value: Option<f64>| value.map_or("–".into(), |value| value.to_string());
            let range = format!("{} … {}", bound(expect.min), bound(expect.max));
            let what = format!("{} {}", expect.measure, expect.of.join(", "));
            println!("{name:<26} {what:<34} {seen:>10.3} {range:>19}  {}", expect.published);
            assert!(expect.min.is_some() || expect.max.is_some(), "{name}: nothing is expected of {what}");
            if !(min..=max).contains(&seen) {
                wrong.push(format!("{name}: {what} is {seen}, expected {range}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
