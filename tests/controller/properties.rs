//! What holds whatever a provider answers, and in whatever order.

use fairflow::core::outcome::Outcome;
use fairflow::core::time::Time;
use fairflow::core::window::{Stamp, Window, WindowConfig};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Step {
    Dispatch {
        size: f64,
        demand: bool,
    },
    Settle {
        index: usize,
        outcome: Outcome,
        demand: bool,
    },
    /// Settles all that is in flight with one outcome.
    Flush(Outcome),
    Advance,
    Reconfigure(WindowConfig),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Success),
        1 => Just(Outcome::Throttled),
        1 => Just(Outcome::RateLimited),
        1 => Just(Outcome::Overloaded),
        1 => Just(Outcome::Rejected),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::Cancelled),
    ]
}

fn config() -> impl Strategy<Value = WindowConfig> {
    let target = prop::option::of((10u64..20_000).prop_map(Duration::from_millis));
    (1u32..20, 0u32..20, 0u32..300, 0u32..9, any::<bool>(), target).prop_map(
        |(min, initial, max, ramp, refusals_free, latency_target)| {
            let (initial, max) = (min + initial, min + initial + max);
            WindowConfig { min, initial, max, ramp, refusals_free, latency_target }
        },
    )
}

fn step() -> impl Strategy<Value = (u64, Step)> {
    let step = prop_oneof![
        12 => (0.1f64..9.0, prop::bool::weighted(0.8)).prop_map(|(size, demand)| Step::Dispatch { size, demand }),
        10 => (any::<usize>(), outcome(), prop::bool::weighted(0.8))
            .prop_map(|(index, outcome, demand)| Step::Settle { index, outcome, demand }),
        1 => outcome().prop_map(Step::Flush),
        1 => Just(Step::Advance),
        1 => config().prop_map(Step::Reconfigure),
    ];
    (prop_oneof![9 => 0u64..500, 1 => 0u64..100_000], step)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn invariants(config in config(), steps in prop::collection::vec(step(), 1..600)) {
        let mut config = config;
        let mut window = Window::new(config);
        let mut now = Time::ZERO;
        let mut open: Vec<Stamp> = Vec::new();
        for (millis, step) in steps {
            now += Duration::from_millis(millis);
            let epoch = window.epoch();
            match step {
                Step::Dispatch { size, demand } => open.push(window.on_dispatch(now, size, demand)),
                Step::Settle { index, outcome, demand } if !open.is_empty() => {
                    let stamp = open.swap_remove(index % open.len());
                    let before = window.limit();
                    let change = window.on_settle(now, stamp, outcome, demand);
                    let (from, to) = change.map_or((before, before), |change| (change.from, change.to));
                    prop_assert_eq!(from, before);
                    prop_assert_eq!(to, window.limit());
                    if matches!(outcome, Outcome::RateLimited | Outcome::Failed | Outcome::Rejected | Outcome::Cancelled) {
                        prop_assert_eq!(window.limit(), before);
                    }
                }
                Step::Settle { .. } => {}
                Step::Flush(outcome) => {
                    let count = open.len();
                    let changes = open.drain(..).filter_map(|stamp| window.on_settle(now, stamp, outcome, true)).collect::<Vec<_>>();
                    if outcome == Outcome::Overloaded {
                        prop_assert!(changes.len() <= 1, "{} cuts of {} failures", changes.len(), count);
                    }
                    if matches!(outcome, Outcome::Overloaded | Outcome::Throttled) {
                        prop_assert!(window.epoch() - epoch <= 1);
                    }
                }
                Step::Advance => { window.advance(now); }
                Step::Reconfigure(new) => { config = new; window.reconfigure(new, now); }
            }
            prop_assert_eq!(window.in_flight() as usize, open.len());
            prop_assert_eq!(window.free(), window.limit().saturating_sub(window.in_flight()));
            prop_assert!((config.min..=config.max).contains(&window.limit()));
            prop_assert!(window.epoch() - epoch <= 1);
        }
    }

    /// The same inputs give the same window.
    #[test]
    fn deterministic(config in config(), steps in prop::collection::vec(step(), 1..200)) {
        let trace = |steps: &[(u64, Step)]| {
            let mut window = Window::new(config);
            let (mut now, mut open, mut limits) = (Time::ZERO, Vec::new(), Vec::new());
            for (millis, step) in steps {
                now += Duration::from_millis(*millis);
                match step {
                    Step::Dispatch { size, demand } => open.push(window.on_dispatch(now, *size, *demand)),
                    Step::Settle { index, outcome, demand } if !open.is_empty() => {
                        let stamp = open.swap_remove(index % open.len());
                        window.on_settle(now, stamp, *outcome, *demand);
                    }
                    _ => { window.advance(now); }
                }
                limits.push(window.limit());
            }
            limits
        };
        prop_assert_eq!(trace(&steps), trace(&steps));
    }

    /// Where all take the same time whatever is in flight, a target above that changes nothing, and one below ends at the minimum,
    /// says so, and stays.
    #[test]
    fn a_target_is_kept_or_said_to_be_missed(min in 1u32..6, initial in 0u32..20, millis in 50u64..5_000, share in 0.2f64..0.9) {
        let service = Duration::from_millis(millis);
        let play = |latency_target: Option<Duration>| {
            let config = WindowConfig { min, initial: min + initial, latency_target, ..WindowConfig::default() };
            let (mut window, mut now, mut open, mut moves) = (Window::new(config), Time::ZERO, Vec::new(), Vec::new());
            for round in 0..120 {
                while window.free() > 0 {
                    open.push(window.on_dispatch(now, 1.0, true));
                }
                now += service;
                for stamp in open.drain(..) {
                    moves.extend(window.on_settle(now, stamp, Outcome::Success, true).map(|change| (round, change)));
                }
            }
            (window, moves)
        };
        let (free, moves) = play(None);
        prop_assert!(!free.misses_target());
        let (loose, same) = play(Some(service.mul_f64(1.0 / share)));
        prop_assert!(!loose.misses_target());
        prop_assert_eq!(moves, same);
        let (tight, moves) = play(Some(service.mul_f64(share)));
        prop_assert!(tight.misses_target());
        prop_assert_eq!(tight.limit(), min);
        prop_assert!(moves.iter().all(|(round, _)| *round < 60), "it stays: {:?}", moves.last());
    }

    /// Behind a silent queue of one server the target places the window, within what whole slots allow.
    #[test]
    fn a_target_places_the_window(slots in 2u32..30, initial in 1u32..60) {
        let target = Duration::from_millis(u64::from(slots) * 100 + 50);
        let config = WindowConfig { initial, latency_target: Some(target), ..WindowConfig::default() };
        let (mut window, mut now, mut open) = (Window::new(config), Time::ZERO, std::collections::VecDeque::new());
        let mut late = Vec::new();
        for done in 0..30_000 {
            while window.free() > 0 {
                open.push_back((now, window.on_dispatch(now, 1.0, true)));
            }
            now += Duration::from_millis(100);
            let (sent, stamp): (Time, Stamp) = open.pop_front().unwrap();
            window.on_settle(now, stamp, Outcome::Success, true);
            if done > 15_000 {
                late.push(now.seconds_since(sent));
            }
        }
        late.sort_by(f64::total_cmp);
        let median = late[late.len() / 2];
        prop_assert!(median <= 1.2 * target.as_secs_f64(), "{median} for {target:?}");
    }
}
