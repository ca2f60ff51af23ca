//! The window against simulated providers of many capacities, service times and scatters, in virtual time.
//!
//! `cargo test --test controller --release window -- --nocapture` prints the figures; `FAIRFLOW_SEEDS=15` takes more
//! seeds. The scenarios with targets are in `src/sim/scenarios`.

use fairflow::sim::{Controller, Discipline, Load, Measure, Scenario, Service, Steps, Summary, run, summarize};

const HOUR: f64 = 3600.0;

/// An unlimited provider with a median and scatter of service times.
fn base(name: &str, median: f64, sigma: f64, seconds: f64) -> Scenario {
    let text = "about = \"\"\n[window]\nmax = 512\n[[load]]\nkind = \"closed\"\nclients = 1000";
    let mut scenario = Scenario::parse(name, text).expect("a scenario");
    scenario.seconds = seconds;
    scenario.service = Service { median, sigma, ..Service::default() };
    scenario.provider.refusal = 0.001;
    scenario
}

fn cap(name: &str, cap: u32, median: f64, sigma: f64, seconds: f64) -> Scenario {
    let mut scenario = base(name, median, sigma, seconds);
    scenario.provider.cap = Steps::always(f64::from(cap));
    scenario
}

fn fifo(name: &str, servers: u32, median: f64, sigma: f64, seconds: f64) -> Scenario {
    let mut scenario = base(name, median, sigma, seconds);
    scenario.provider.servers = Steps::always(f64::from(servers));
    scenario
}

fn sharing(name: &str, servers: u32, median: f64, sigma: f64, seconds: f64) -> Scenario {
    let mut scenario = fifo(name, servers, median, sigma, seconds);
    scenario.provider.discipline = Discipline::Sharing;
    scenario
}

fn with(mut scenario: Scenario, change: impl FnOnce(&mut Scenario)) -> Scenario {
    change(&mut scenario);
    scenario
}

fn played(scenario: &Scenario) -> Summary {
    scenario.validate().expect("a valid scenario");
    let seeds = std::env::var("FAIRFLOW_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let of = |controller| (1..=seeds).map(|seed| run(scenario, controller, seed)).collect::<Vec<_>>();
    let (ours, oracle) = (of(Controller::Fairflow), of(Controller::Oracle));
    let summary = summarize(&ours, &oracle);
    let figure = |measure| summary.get(measure).map_or((f64::NAN, f64::NAN), |s| (s.median, s.least));
    let (goodput, worst) = figure(Measure::Goodput);
    println!(
        "{:36} goodput {goodput:.3} (worst {worst:.3}) refusals {:.4} in flight {:.1} settled {:.1}",
        scenario.name,
        figure(Measure::Refusals).0,
        figure(Measure::InFlight).0,
        figure(Measure::Settled).0
    );
    summary
}

/// Goodput at least, refusals per success at most, in flight in the second half at most.
#[track_caller]
fn expect(scenario: &Scenario, goodput: f64, refusals: f64, in_flight: f64) -> Summary {
    let summary = played(scenario);
    let median = |measure| summary.get(measure).map_or(f64::NAN, |spread| spread.median);
    assert!(median(Measure::Goodput) >= goodput, "goodput {} < {goodput}", median(Measure::Goodput));
    assert!(median(Measure::Refusals) <= refusals, "refusals {} > {refusals}", median(Measure::Refusals));
    assert!(median(Measure::Settled) <= in_flight, "in flight {} > {in_flight}", median(Measure::Settled));
    summary
}

#[test]
fn hard_cap() {
    let minute = || cap("cap 24, .4 s σ .5, 1 min", 24, 0.4, 0.5, 60.0);
    expect(&minute(), 0.97, 0.006, 24.1);
    expect(&with(minute(), |s| s.provider.refusal = 0.05), 0.97, 0.008, 24.1);
    let few = with(minute(), |s| s.load = vec![Load::Closed { clients: 12, think: 0.0 }]);
    expect(&few, 0.96, 0.0, 12.0);
    expect(&cap("cap 24, 10 s σ .8, 1 h", 24, 10.0, 0.8, HOUR), 0.99, 0.003, 24.1);
    expect(&cap("cap 200, 20 s σ .8, 1 h", 200, 20.0, 0.8, HOUR), 0.97, 0.003, 200.5);
    expect(&cap("cap 5, 10 s σ .8, 1 h", 5, 10.0, 0.8, HOUR), 0.98, 0.02, 5.1);
    expect(&cap("cap 2, 10 s σ .8, 1 h", 2, 10.0, 0.8, HOUR), 0.98, 0.04, 2.1);
    expect(&cap("cap 60, .05 s σ .5, 1 min", 60, 0.05, 0.5, 60.0), 0.99, 0.003, 60.1);
    expect(&cap("cap 60, 30 s σ .8, 2 h", 60, 30.0, 0.8, 2.0 * HOUR), 0.97, 0.003, 60.1);
    let sizes = cap("cap 24, sizes 1–8 × 2 s σ .3, 1 h", 24, 2.0, 0.3, HOUR);
    expect(&with(sizes, |s| s.service.sizes = 8), 0.98, 0.003, 24.1);
    let lag = cap("cap 24, slots lag 0–2 ms, 5 min", 24, 0.4, 0.5, 300.0);
    expect(&with(lag, |s| s.provider.lag = 0.002), 0.84, 0.025, 24.1);
}

#[test]
fn silent_queue() {
    expect(&fifo("fifo 16, 10 s σ .8, 4 h", 16, 10.0, 0.8, 4.0 * HOUR), 0.97, 0.0, 1.3 * 16.0);
    expect(&fifo("fifo 16, .4 s σ .5, 5 min", 16, 0.4, 0.5, 300.0), 0.96, 0.0, 1.3 * 16.0);
    expect(&fifo("fifo 2, 10 s σ .5, 1 h", 2, 10.0, 0.5, HOUR), 0.85, 0.0, 5.0);
    expect(&fifo("fifo 5, 1 s σ .5, 1 h", 5, 1.0, 0.5, HOUR), 0.95, 0.0, 7.5);
    expect(&fifo("fifo 60, 10 s σ .8, 1 h", 60, 10.0, 0.8, HOUR), 0.95, 0.0, 90.0);
    expect(&fifo("fifo 200, 10 s σ .5, 1 h", 200, 10.0, 0.5, HOUR), 0.95, 0.0, 300.0);
    expect(&sharing("sharing 16, 10 s σ .8, 1 h", 16, 10.0, 0.8, HOUR), 0.93, 0.0, 25.0);
    expect(&sharing("sharing 1, 1 s σ .5, 1 h", 1, 1.0, 0.5, HOUR), 0.95, 0.0, 8.0);
    let sizes = fifo("fifo 16, sizes 1–8 × 2 s σ .3, 1 h", 16, 2.0, 0.3, HOUR);
    expect(&with(sizes, |s| s.service.sizes = 8), 0.94, 0.0, 24.0);
}

#[test]
fn silent_queue_with_a_bound() {
    let bound = |cap: f64, scenario| with(scenario, |s: &mut Scenario| s.provider.cap = Steps::always(cap));
    expect(&bound(17.0, fifo("fifo 1 + 16 waiting, 77 ms σ .05, 5 min", 1, 0.077, 0.05, 300.0)), 0.95, 0.005, 3.0);
    expect(&bound(17.0, sharing("sharing 1, 429 beyond 17, 77 ms", 1, 0.077, 0.05, 300.0)), 0.95, 0.005, 3.0);
    expect(&bound(40.0, fifo("fifo 8 + 32 waiting, 10 s σ .8, 1 h", 8, 10.0, 0.8, HOUR)), 0.93, 0.005, 14.0);
}

#[test]
fn moving_capacity() {
    let steps = |t: f64| Steps::new(vec![(0.0, 24.0), (t, 8.0), (2.0 * t, 48.0)]);
    let hour = cap("cap 24→8→48, 20 min each, 10 s σ .8", 24, 10.0, 0.8, HOUR);
    expect(&with(hour, |s| s.provider.cap = steps(1200.0)), 0.94, 0.01, 48.0);
    let minute = cap("cap 24→8→48, 20 s each, .4 s σ .5", 24, 0.4, 0.5, 60.0);
    expect(&with(minute, |s| s.provider.cap = steps(20.0)), 0.88, 0.012, 48.0);
    let silent = fifo("fifo 24→8→48, 20 min each, 2 s σ .5", 24, 2.0, 0.5, HOUR);
    expect(&with(silent, |s| s.provider.servers = steps(1200.0)), 0.90, 0.0, 48.0);
}

#[test]
fn a_slowdown_of_the_provider_is_not_our_queue() {
    let slow = Steps::new(vec![(0.0, 1.0), (1800.0, 2.0), (2100.0, 1.0)]);
    for scenario in [
        cap("cap 24, 2 s σ .5, × 2 for 5 min", 24, 2.0, 0.5, HOUR),
        fifo("fifo 16, 2 s σ .5, × 2 for 5 min", 16, 2.0, 0.5, HOUR),
    ] {
        let summary = expect(&with(scenario, |s| s.provider.slow = slow.clone()), 0.95, 0.003, 24.1);
        let kept = summary.get(Measure::Kept).map_or(f64::NAN, |spread| spread.median);
        assert!(kept >= 0.7, "{kept}");
    }
}

#[test]
fn outage() {
    let scenario = cap("cap 24, 2 s σ .5, 503 for 60 s", 24, 2.0, 0.5, 1800.0);
    expect(&with(scenario, |s| s.provider.outages = vec![(600.0, 660.0)]), 0.97, 0.004, 24.1);
}

#[test]
fn remembered() {
    let scenario = cap("cap 24, remembered 24, .4 s, 1 min", 24, 0.4, 0.5, 60.0);
    expect(&with(scenario, |s| s.remembered = Some(24)), 0.97, 0.005, 24.1);
}
