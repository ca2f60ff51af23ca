//! The controller's targets, in short: a change that loses shows here. `fairflow simulate` plays all of it.

use std::sync::Mutex;

use fairflow::core::window::ChangeKind;
use fairflow::sim::{Controller, Measure, Run, Scenario, ScenarioError, library, run, summarize};

/// Scenarios that take moments, also in a debug build.
const SHORT: [&str; 41] = [
    "cap-24",
    "cap-steps",
    "cap-replicas",
    "cap-latecomers",
    "queue-16",
    "cold-24",
    "remembered-24",
    "crash",
    "knee",
    "competitors",
    "sizes-unknown",
    "one-slot",
    "slow-refusals",
    "lag",
    "overtaking",
    "quota-day",
    "rate-wordless",
    "rate-wordless-bursts",
    "rate-wordless-cap",
    "cap-wordless",
    "target-sharing",
    "target-batch",
    "target-queue",
    "target-below",
    "weather-24",
    "weather-bad",
    "weather-even",
    "cold-failures",
    "cap-503",
    "cap-503-steps",
    "blackout",
    "hang-part",
    "hang-part-kept",
    "late-refusals",
    "silent-drops",
    "two-workers",
    "even-7",
    "fast-failing-route",
    "route-returns",
    "account-cap",
    "suspended-route",
];

fn find(name: &str) -> Scenario {
    library::find(name).expect("a built-in scenario")
}

fn figure(run: &Run, oracle: &Run, measure: Measure) -> f64 {
    measure.of(run, oracle).unwrap_or(f64::NAN)
}

#[test]
fn targets_are_reached() {
    let next = Mutex::new(SHORT.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let name = next.lock().expect("no panic").next();
                    let Some(name) = name else { return };
                    let scenario = find(name);
                    let of = |controller| (1..=5).map(|seed| run(&scenario, controller, seed)).collect::<Vec<_>>();
                    let summary = summarize(&of(Controller::Fairflow), &of(Controller::Oracle));
                    for (measure, value, band) in summary.misses(&scenario) {
                        wrong.lock().expect("no panic").push(format!("{name}: {measure:?} {value} not in {band:?}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_built_in_scenario_can_be_read() {
    let scenarios = library::all().expect("all can be read");
    assert_eq!(scenarios.len(), library::names().count());
    assert!(scenarios.iter().all(|scenario| !scenario.expect.is_empty()), "each expects something");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for name in ["cap-replicas", "one-slot", "busy-queue", "route-returns"] {
        let mut scenario = find(name);
        scenario.seconds = scenario.seconds.min(100.0);
        for controller in Controller::ALL.iter().copied().chain([Controller::Oracle]) {
            let (one, two) = (run(&scenario, controller, 3), run(&scenario, controller, 3));
            // Not equal to itself where a sample holds no latency, so by its text.
            assert_eq!(format!("{one:?}"), format!("{two:?}"), "{name}, {controller}");
            let other = run(&scenario, controller, 4);
            assert_ne!(one.delivered, other.delivered, "{name}, {controller}: the seed matters");
        }
    }
}

#[test]
fn the_oracle_uses_what_there_is_and_is_never_refused() {
    for (name, capacity) in [("cap-24", 24.0 * 3600.0), ("queue-16", 16.0 * 3600.0), ("knee", 16.0 * 3600.0)] {
        let oracle = run(&find(name), Controller::Oracle, 1);
        assert_eq!((oracle.throttled, oracle.rate_limited), (0, 0), "{name}");
        assert!((oracle.delivered / capacity - 1.0).abs() < 0.001, "{name}: {} of {capacity}", oracle.delivered);
    }
    let mut bucket = find("rate-headers");
    bucket.seconds = 600.0;
    let oracle = run(&bucket, Controller::Oracle, 1);
    assert_eq!(oracle.rate_limited, 0);
    // 60 at once and 10 a second, less what is under way at the end.
    assert!((6_000..=6_060).contains(&oracle.successes), "{}", oracle.successes);
}

#[test]
fn rivals_behave_as_they_are_known_to() {
    let scenario = find("cap-24");
    let (oracle, ours) = (run(&scenario, Controller::Oracle, 1), run(&scenario, Controller::Fairflow, 1));
    let goodput = |run: &Run| figure(run, &oracle, Measure::Goodput);
    let refusals = |run: &Run| figure(run, &oracle, Measure::Refusals);

    // Vector's climbs by one per round trip and saws.
    let arc = run(&scenario, Controller::VectorArc, 1);
    let falls = arc.samples.windows(2).filter(|pair| pair[1].window < pair[0].window).count();
    assert!(falls >= 10, "{falls}");
    assert!(figure(&arc, &oracle, Measure::Cold) > 10.0 * figure(&ours, &oracle, Measure::Cold));
    // Netflix' takes 5 s for overload and stays at its floor; without both it reaches the cap at many refusals.
    assert!((0.80..0.87).contains(&goodput(&run(&scenario, Controller::NetflixAimd, 1))));
    let tuned = run(&scenario, Controller::NetflixAimdFloor1, 1);
    assert!(goodput(&tuned) > 0.95 && refusals(&tuned) > 50.0 * refusals(&ours), "{}", refusals(&tuned));
    // A fixed limit is right only where it happens to be.
    assert!((goodput(&run(&scenario, Controller::Fixed(4), 1)) - 4.0 / 24.0).abs() < 0.01);
    assert!(goodput(&run(&scenario, Controller::Fixed(24), 1)) > 0.99);
    // Loss-based ones fill a silent queue.
    let queue = find("queue-16");
    assert!(run(&queue, Controller::NetflixAimdFloor1, 1).in_flight > 100.0);
}

#[test]
fn limits_stay_in_bounds_and_a_crash_is_no_overload() {
    let mut scenario = find("crash");
    (scenario.window.min, scenario.window.max) = (2, 30);
    for seed in 1..=3 {
        let ours = run(&scenario, Controller::Fairflow, seed);
        assert!(ours.changes.iter().all(|(_, _, change)| (2..=30).contains(&change.to)));
        let cuts = ours.changes.iter().filter(|(_, _, change)| change.kind == ChangeKind::Overload).count();
        assert_eq!(cuts, 0);
    }
}

#[test]
fn nothing_is_sent_inside_a_stated_retry_after_and_a_dead_provider_is_left_alone() {
    let mut stated = find("retry-after");
    stated.seconds = 1500.0;
    for seed in 1..=3 {
        let ours = run(&stated, Controller::Fairflow, seed);
        assert!(ours.throttled > 0, "there were refusals");
        assert_eq!(ours.inside_retry_after, 0);
        let down = run(&find("outage"), Controller::Fairflow, seed);
        // Rests of a second, then of a quarter of the outage so far, each shortened to half at most: one probe each.
        assert!(down.probes.is_some_and(|probes| (1..=24).contains(&probes)), "{:?}", down.probes);
    }
}

#[test]
fn a_rate_of_an_account_holds_for_all_its_routes_together() {
    let text = "about = \"\"\nseconds = 600\nservice = { median = 1.0, sigma = 0.5 }\n\
        accounts.shared.rate = { per_minute = 600, burst = 20 }\n\
        routes = [{ account = \"shared\" }, { account = \"shared\" }, { provider = { cap = 1 } }]\n\
        [[load]]\nkind = \"closed\"\nclients = 100\n";
    let scenario = Scenario::parse("account-rate", text).expect("a scenario");
    let (ours, oracle) = (run(&scenario, Controller::Fairflow, 1), run(&scenario, Controller::Oracle, 1));
    // The third route is none of the account's, and learns its cap as ever.
    assert_eq!(ours.rate_limited, 0, "the account waits rather than be refused");
    assert!(ours.throttled > 0, "the cap of the third");
    let goodput = figure(&ours, &oracle, Measure::Goodput);
    assert!((0.95..=1.01).contains(&goodput), "{goodput}");
}

#[test]
fn what_is_wrong_with_a_scenario_is_named() {
    let message = |text: &str| Scenario::parse("mine", text).map(|_| ()).unwrap_err().to_string();
    let load = "[[load]]\nkind = \"closed\"\nclients = 3\n";
    let unknown = library::find("cap24").unwrap_err();
    assert!(matches!(unknown, ScenarioError::Unknown { nearest: Some("cap-24"), .. }), "{unknown}");
    for (text, wanted) in [
        (format!("about = \"\"\nsecnds = 3\n{load}"), "did you mean `seconds`"),
        (format!("about = \"\"\nseconds = -3\n{load}"), "seconds is -3; give a number from"),
        (format!("about = \"\"\n[provider]\ncap = \"many\"\n{load}"), "it must be a number, or a list"),
        (format!("about = \"\"\n[provider]\ncap = [[5, 24]]\n{load}"), "the first step must be from second 0"),
        (format!("about = \"\"\n[provider]\noutages = [[9, 3]]\n{load}"), "provider.outages is (9.0, 3.0)"),
        (load.replace('3', "0") + "[service]\nmedian = 1", "missing field `about`"),
        (format!("about = \"\"\n{}", load.replace('3', "0")), "load.clients is 0"),
        (
            format!("about = \"\"\n[[routes]]\n[[routes]]\nprovider = {{ lag = -1 }}\n{load}"),
            "routes[1].provider.lag is -1; give a number from",
        ),
        (format!("about = \"\"\n[[routes]]\naccount = \"a\"\n{load}"), "routes[0].account is \"a\"; add a table"),
        (format!("about = \"\"\n[accounts.a]\n{load}"), "accounts.a is used by no route; say account = \"a\""),
        (
            format!("about = \"\"\naccounts.a.max_in_flight = 0\nroutes = [{{ account = \"a\" }}]\n{load}"),
            "accounts.a.max_in_flight is 0; give a number from 1",
        ),
        (format!("about = \"\"\nroutes = [{{}}]\nprovider.lag = 1\n{load}"), "provider is given beside [[routes]]"),
    ] {
        let message = message(&text);
        assert!(message.contains(wanted), "{message}");
    }
}
