//! The window against simulated providers, in virtual time.
//!
//! `cargo test --test window_scenarios --release -- --nocapture` prints the tables. `SEEDS=15`
//! takes more seeds, `TRACE=name` prints every change of the first seed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

mod bench;

use bench::provider::{Spec, Steps};
use bench::world::{Report, run, run_with};
use fairflow::core::window::{Window, WindowConfig};

const HOUR: f64 = 3600.0;
const CONFIG: WindowConfig = WindowConfig { initial: 4, min: 1, max: 512 };

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Medians over the seeds.
struct Row {
    goodput: f64,
    worst: f64,
    refusals: f64,
    in_flight: f64,
    settled: f64,
    reports: Vec<Report>,
}

fn row(spec: &Spec) -> Row {
    row_of(spec, |seed| run(spec.clone(), CONFIG, seed))
}

fn row_of(spec: &Spec, run: impl Fn(u64) -> Report) -> Row {
    let seeds = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let reports: Vec<Report> = (1..=seeds).map(run).collect();
    let of = |f: fn(&Report) -> f64| median(reports.iter().map(f).collect());
    let row = Row {
        goodput: of(|r| r.goodput),
        worst: reports.iter().map(|r| r.goodput).fold(1.0, f64::min),
        refusals: of(|r| r.refusals),
        in_flight: of(|r| r.mean_in_flight),
        settled: of(|r| r.settled),
        reports,
    };
    println!(
        "{:36} goodput {:.3} (worst {:.3}) refusals/success {:.4} in flight {:6.1} settled {:6.1}",
        spec.name, row.goodput, row.worst, row.refusals, row.in_flight, row.settled,
    );
    if std::env::var("TRACE").is_ok_and(|which| spec.name.contains(&which)) {
        for (t, change) in &row.reports[0].trace {
            println!("   {t:9.2} {:14} {} -> {}", change.kind.as_str(), change.from, change.to);
        }
    }
    row
}

#[track_caller]
fn expect(row: &Row, goodput: f64, refusals: f64, in_flight: f64) {
    assert!(row.goodput >= goodput, "goodput {} < {goodput}", row.goodput);
    assert!(row.refusals <= refusals, "refusals {} > {refusals}", row.refusals);
    assert!(row.settled <= in_flight, "settled in flight {} > {in_flight}", row.settled);
}

#[test]
fn hard_cap() {
    let minute = |cap| Spec::cap("cap 24, .4 s σ .5, 1 min", cap, 0.4, 0.5, 60.0);
    expect(&row(&minute(24)), 0.97, 0.006, 24.1);
    let slow = Spec { name: "… refusals take 50 ms".into(), refusal_seconds: 0.05, ..minute(24) };
    expect(&row(&slow), 0.97, 0.008, 24.1);
    let clients = Spec { name: "… 200 clients".into(), clients: 200, ..minute(24) };
    expect(&row(&clients), 0.97, 0.006, 24.1);
    let few = Spec { name: "… 12 clients (oracle 0.5)".into(), clients: 12, ..minute(24) };
    expect(&row(&few), 0.48, 0.0, 12.0);
    expect(&row(&Spec::cap("cap 24, 10 s σ .8, 1 h", 24, 10.0, 0.8, HOUR)), 0.99, 0.003, 24.1);
    expect(&row(&Spec::cap("cap 200, 20 s σ .8, 1 h", 200, 20.0, 0.8, HOUR)), 0.96, 0.003, 200.5);
    expect(&row(&Spec::cap("cap 5, 10 s σ .8, 1 h", 5, 10.0, 0.8, HOUR)), 0.98, 0.02, 5.1);
    expect(&row(&Spec::cap("cap 2, 10 s σ .8, 1 h", 2, 10.0, 0.8, HOUR)), 0.98, 0.04, 2.1);
    expect(&row(&Spec::cap("cap 60, .05 s σ .5, 1 min", 60, 0.05, 0.5, 60.0)), 0.99, 0.003, 60.1);
    expect(&row(&Spec::cap("cap 60, 30 s σ .8, 2 h", 60, 30.0, 0.8, 2.0 * HOUR)), 0.97, 0.003, 60.1);
    let sizes = Spec { max_size: 8, ..Spec::cap("cap 24, sizes 1–8 × 2 s σ .3, 1 h", 24, 2.0, 0.3, HOUR) };
    expect(&row(&sizes), 0.98, 0.003, 24.1);
    let lag = Spec { lag: 0.002, ..Spec::cap("cap 24, slots lag 0–2 ms, 5 min", 24, 0.4, 0.5, 300.0) };
    expect(&row(&lag), 0.88, 0.025, 24.1);
}

#[test]
fn silent_queue() {
    let long = Spec::fifo("fifo 16, 10 s σ .8, 1 h", 16, 10.0, 0.8, HOUR);
    expect(&row(&long), 0.95, 0.0, 1.3 * 16.0);
    let longer = Spec::fifo("fifo 16, 10 s σ .8, 4 h", 16, 10.0, 0.8, 4.0 * HOUR);
    expect(&row(&longer), 0.97, 0.0, 1.25 * 16.0);
    let short = Spec::fifo("fifo 16, .4 s σ .5, 5 min", 16, 0.4, 0.5, 300.0);
    expect(&row(&short), 0.97, 0.0, 1.25 * 16.0);
    expect(&row(&Spec::fifo("fifo 2, 10 s σ .5, 1 h", 2, 10.0, 0.5, HOUR)), 0.85, 0.0, 5.0);
    expect(&row(&Spec::fifo("fifo 5, 1 s σ .5, 1 h", 5, 1.0, 0.5, HOUR)), 0.95, 0.0, 7.5);
    expect(&row(&Spec::fifo("fifo 60, 10 s σ .8, 1 h", 60, 10.0, 0.8, HOUR)), 0.95, 0.0, 90.0);
    expect(&row(&Spec::fifo("fifo 200, 10 s σ .5, 1 h", 200, 10.0, 0.5, HOUR)), 0.95, 0.0, 300.0);
    expect(&row(&Spec::sharing("sharing 16, 10 s σ .8, 1 h", 16, 10.0, 0.8, HOUR)), 0.93, 0.0, 25.0);
    expect(&row(&Spec::sharing("sharing 1, 1 s σ .5, 1 h", 1, 1.0, 0.5, HOUR)), 0.95, 0.0, 8.0);
    let sizes = Spec { max_size: 8, ..Spec::fifo("fifo 16, sizes 1–8 × 2 s σ .3, 1 h", 16, 2.0, 0.3, HOUR) };
    expect(&row(&sizes), 0.94, 0.0, 24.0);
}

#[test]
fn silent_queue_with_a_bound() {
    let bound = |cap: f64, spec: Spec| Spec { cap: Steps::always(cap), ..spec };
    let one = bound(17.0, Spec::fifo("fifo 1 + 16 waiting, 77 ms σ .05, 5 min", 1, 0.077, 0.05, 300.0));
    expect(&row(&one), 0.95, 0.005, 3.0);
    let one = bound(17.0, Spec::sharing("sharing 1, 429 beyond 17, 77 ms", 1, 0.077, 0.05, 300.0));
    expect(&row(&one), 0.95, 0.005, 3.0);
    let eight = bound(40.0, Spec::fifo("fifo 8 + 32 waiting, 10 s σ .8, 1 h", 8, 10.0, 0.8, HOUR));
    expect(&row(&eight), 0.93, 0.005, 14.0);
}

#[test]
fn moving_capacity() {
    let steps = |t: f64| Steps(vec![(0.0, 24.0), (t, 8.0), (2.0 * t, 48.0)]);
    let hour =
        Spec { cap: steps(1200.0), ..Spec::cap("cap 24→8→48, 20 min each, 10 s σ .8", 24, 10.0, 0.8, HOUR) };
    expect(&row(&hour), 0.93, 0.01, 48.0);
    let minute = Spec { cap: steps(20.0), ..Spec::cap("cap 24→8→48, 20 s each, .4 s σ .5", 24, 0.4, 0.5, 60.0) };
    expect(&row(&minute), 0.88, 0.012, 48.0);
    let silent =
        Spec { servers: steps(1200.0), ..Spec::fifo("fifo 24→8→48, 20 min each, 2 s σ .5", 24, 2.0, 0.5, HOUR) };
    expect(&row(&silent), 0.90, 0.0, 48.0);
}

#[test]
fn a_slowdown_of_the_provider_is_not_our_queue() {
    let slow = Steps(vec![(0.0, 1.0), (1800.0, 2.0), (2100.0, 1.0)]);
    for spec in [
        Spec { slow: slow.clone(), ..Spec::cap("cap 24, 2 s σ .5, × 2 for 5 min", 24, 2.0, 0.5, HOUR) },
        Spec { slow: slow.clone(), ..Spec::fifo("fifo 16, 2 s σ .5, × 2 for 5 min", 16, 2.0, 0.5, HOUR) },
    ] {
        let row = row(&spec);
        expect(&row, 0.95, 0.003, 24.1);
        let kept = row.reports.iter().map(|report| {
            let limits = |from: f64, to: f64| {
                report.samples.iter().filter(move |(t, _)| (from..to).contains(t)).map(|(_, limit)| f64::from(*limit))
            };
            let before = limits(1500.0, 1800.0).sum::<f64>() / limits(1500.0, 1800.0).count() as f64;
            limits(1800.0, 2400.0).sum::<f64>() / limits(1800.0, 2400.0).count() as f64 / before
        });
        let kept = median(kept.collect());
        println!("   window during and after ÷ before: {kept:.2}");
        assert!(kept >= 0.7, "{kept}");
    }
}

#[test]
fn outage() {
    let outage = Steps(vec![(0.0, 0.0), (600.0, 1.0), (660.0, 0.0)]);
    let spec = Spec { outage, ..Spec::cap("cap 24, 2 s σ .5, 503 for 60 s", 24, 2.0, 0.5, 1800.0) };
    let row = row(&spec);
    expect(&row, 0.97, 0.004, 24.1);
    let back = median(row.reports.iter().map(|report| report.back_after).collect());
    println!("   at 90 % of capacity again after {back:.1} s ({:.1} round trips)", back / 2.27);
}

#[test]
fn remembered() {
    let spec = Spec::cap("cap 24, remembered 24, .4 s, 1 min", 24, 0.4, 0.5, 60.0);
    let row = row_of(&spec, |seed| run_with(spec.clone(), Window::remembered(CONFIG, 24), seed));
    expect(&row, 0.96, 0.005, 24.1);
}

/// Values nobody looked at while the constants were chosen. `--ignored` prints all.
#[test]
#[ignore = "a survey, not a check"]
fn survey() {
    for (median, sigma) in [(0.05, 0.3), (1.0, 0.8), (5.0, 0.5), (30.0, 1.0)] {
        for c in [1, 3, 8, 13, 40, 100] {
            let seconds = 2000.0 * median * 4.0;
            row(&Spec::cap(&format!("cap {c}, {median} s σ {sigma}"), c, median, sigma, seconds));
            row(&Spec::fifo(&format!("fifo {c}, {median} s σ {sigma}"), c, median, sigma, seconds));
            row(&Spec::sharing(&format!("sharing {c}, {median} s σ {sigma}"), c, median, sigma, seconds));
            row(&Spec::batch(&format!("batch {c}, {median} s σ {sigma}"), c, median, sigma, seconds));
        }
    }
}
