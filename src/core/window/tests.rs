//! Single moves of the window, by hand.

use super::{ChangeKind, Phase, Stamp, Window, WindowConfig};
use crate::core::outcome::Outcome;
use crate::core::time::Time;

const CONFIG: WindowConfig =
    WindowConfig { initial: 4, min: 1, max: 4096, ramp: 2, refusals_free: false, latency_target: None };

fn at(millis: u64) -> Time {
    Time::from_nanos(millis * 1_000_000)
}

fn fill(window: &mut Window, now: Time) -> Vec<Stamp> {
    let mut stamps = Vec::new();
    while window.free() > 0 {
        stamps.push(window.on_dispatch(now, 1.0, true));
    }
    stamps
}

/// Serves `rounds` windows of one second each, all at once.
fn serve(window: &mut Window, start: u64, rounds: u64) -> u64 {
    for round in 0..rounds {
        for stamp in fill(window, at(start + round * 1000)) {
            window.on_settle(at(start + round * 1000 + 1000), stamp, Outcome::Success, true);
        }
    }
    start + rounds * 1000
}

#[test]
fn slow_start_multiplies_per_round_trip() {
    for (ramp, limit) in [(0, 32), (1, 32), (2, 108), (3, 256)] {
        let mut window = Window::new(WindowConfig { ramp, ..CONFIG });
        serve(&mut window, 0, 3);
        assert_eq!(window.limit(), limit);
    }
    let mut window = Window::new(CONFIG);
    serve(&mut window, 0, 3);
    assert_eq!(window.phase(), Phase::SlowStart);
}

#[test]
fn no_growth_without_demand() {
    let mut window = Window::new(CONFIG);
    for second in 0..50 {
        let stamps: Vec<Stamp> = (0..4).map(|_| window.on_dispatch(at(second * 1000), 1.0, false)).collect();
        for stamp in stamps {
            window.on_settle(at(second * 1000 + 1000), stamp, Outcome::Success, false);
        }
    }
    assert_eq!(window.limit(), 4);
}

#[test]
fn a_burst_of_refusals_is_one_reading() {
    let mut window = Window::remembered(CONFIG, 1030);
    let stamps = fill(&mut window, at(0));
    let mut changes = Vec::new();
    // The provider admits 30; the answers to the others arrive in reverse.
    for &stamp in stamps[30..].iter().rev() {
        changes.extend(window.on_settle(at(1), stamp, Outcome::Throttled, true));
    }
    assert_eq!(window.limit(), 30);
    assert_eq!(window.capacity(), Some(30));
    assert_eq!(window.epoch(), 1);
    assert!(changes.iter().all(|change| change.kind == ChangeKind::CapacityRead));
}

#[test]
fn which_request_is_refused_says_nothing() {
    // They overtake each other: a provider that admits eight of twelve may refuse any four.
    for refused in [[0, 1, 2, 3], [8, 9, 10, 11], [11, 3, 7, 0]] {
        let mut window = Window::new(WindowConfig { initial: 12, ..CONFIG });
        let stamps = fill(&mut window, at(0));
        for index in refused {
            window.on_settle(at(1), stamps[index], Outcome::Throttled, true);
        }
        assert_eq!((window.limit(), window.capacity()), (8, Some(8)));
        for index in (0..12).filter(|index| !refused.contains(index)) {
            window.on_settle(at(1000), stamps[index], Outcome::Success, true);
        }
        serve(&mut window, 1000, 1);
        assert_eq!((window.phase(), window.limit()), (Phase::Probing, 9));
        let stamps = fill(&mut window, at(2000));
        let change = window.on_settle(at(2001), stamps[3], Outcome::Throttled, true).expect("a verdict");
        assert_eq!((change.kind, change.to), (ChangeKind::ProbeFailed, 8));
    }
}

/// Serves one window of one second, with nothing waiting behind it.
fn calm(window: &mut Window) {
    let stamps: Vec<Stamp> = (0..window.limit()).map(|_| window.on_dispatch(at(0), 1.0, false)).collect();
    for stamp in stamps {
        window.on_settle(at(1000), stamp, Outcome::Success, false);
    }
}

/// A provider that fails what `fails` says, at once, and serves the rest in a second; for so many seconds.
fn weather(window: &mut Window, seconds: u64, mut fails: impl FnMut(u32) -> bool) -> Vec<ChangeKind> {
    let mut changes = Vec::new();
    let mut running: std::collections::VecDeque<(u64, Stamp)> = std::collections::VecDeque::new();
    for now in (0..seconds * 1000).step_by(10) {
        while let Some((_, stamp)) = running.pop_front_if(|(done, _)| *done <= now) {
            changes.extend(window.on_settle(at(now), stamp, Outcome::Success, true));
        }
        // What fails is tried again ten milliseconds later.
        let mut failed = Vec::new();
        for stamp in fill(window, at(now)) {
            if fails(running.len() as u32) {
                failed.push(stamp);
            } else {
                running.push_back((now + 1000, stamp));
            }
        }
        for stamp in failed {
            changes.extend(window.on_settle(at(now + 5), stamp, Outcome::Overloaded, true));
        }
    }
    changes.into_iter().map(|change| change.kind).collect()
}

#[test]
fn failures_at_random_move_nothing() {
    for one_in in [50, 20, 5] {
        let mut window = Window::remembered(CONFIG, 24);
        calm(&mut window);
        let mut n = 0;
        let changes = weather(&mut window, 60, |_| {
            n += 1;
            n % one_in == 0
        });
        assert!(!changes.contains(&ChangeKind::Overload), "{changes:?}");
        assert!(window.limit() >= 24, "{}", window.limit());
    }
}

#[test]
fn a_provider_that_fails_what_it_has_no_place_for_is_read() {
    let mut window = Window::remembered(CONFIG, 40);
    calm(&mut window);
    let changes = weather(&mut window, 5, |running| running >= 24);
    assert!(changes.contains(&ChangeKind::Overload), "{changes:?}");
    assert!((23..=25).contains(&window.limit()), "{}", window.limit());
}

#[test]
fn a_crash_of_all_in_flight_moves_nothing() {
    let mut window = Window::remembered(CONFIG, 1000);
    calm(&mut window);
    for stamp in fill(&mut window, at(1000)) {
        assert_eq!(window.on_settle(at(1500), stamp, Outcome::Overloaded, true), None);
    }
    assert_eq!((window.limit(), window.epoch()), (1000, 0));
}

#[test]
fn an_outage_leaves_the_window_and_a_second_at_a_level_that_never_worked_halves_it() {
    let mut window = Window::remembered(CONFIG, 100);
    calm(&mut window);
    assert_eq!(window.outage(at(2000)), None);
    // One probe succeeds, and at the full window all fails again.
    let probe = window.on_dispatch(at(3000), 1.0, true);
    window.on_settle(at(4000), probe, Outcome::Success, true);
    let change = window.outage(at(5000)).expect("a cut");
    assert_eq!((change.kind, change.from, change.to), (ChangeKind::Overload, 100, 50));
    // Never below what a cold window begins with.
    let changes: Vec<u32> = (6..12).filter_map(|second| window.outage(at(second * 1000))).map(|it| it.to).collect();
    assert_eq!(changes, [25, 12, 6, 4]);
}

#[test]
fn capacity_that_vanished_and_returns_is_used_at_once() {
    let mut window = Window::remembered(CONFIG, 24);
    calm(&mut window);
    let (full, end) = (window.limit(), 1000);
    let mut now = end;
    while window.limit() > 1 || window.in_flight() > 0 {
        now += 10;
        for stamp in fill(&mut window, at(now)).into_iter().rev() {
            window.on_settle(at(now + 1), stamp, Outcome::Throttled, true);
        }
        assert!(now < end + 10_000, "the window gives way");
    }
    let change = window.resume(at(now + 60_000)).expect("it is back");
    assert_eq!((change.kind, change.to), (ChangeKind::Resume, full));
    assert_eq!(window.resume(at(now + 60_000)), None, "once");
}

#[test]
fn rates_rejections_and_cancels_say_nothing() {
    for outcome in [Outcome::RateLimited, Outcome::Rejected, Outcome::Cancelled] {
        let mut window = Window::new(CONFIG);
        for stamp in fill(&mut window, at(0)) {
            assert_eq!(window.on_settle(at(5), stamp, outcome, true), None);
        }
        assert_eq!((window.limit(), window.in_flight(), window.epoch()), (4, 0, 0));
    }
}

#[test]
fn a_refused_probe_returns_and_doubles_the_interval() {
    let mut window = Window::new(CONFIG);
    let stamps = fill(&mut window, at(0));
    window.on_settle(at(1), stamps[3], Outcome::Throttled, true);
    assert_eq!((window.limit(), window.phase()), (3, Phase::Holding));
    let mut now = 1000;
    let mut waits = Vec::new();
    let mut held = 0;
    let mut running: std::collections::VecDeque<Stamp> = stamps[..3].iter().copied().collect();
    while waits.len() < 4 {
        now += 333;
        if let Some(stamp) = running.pop_front() {
            window.on_settle(at(now), stamp, Outcome::Success, true);
            held += 1;
        }
        while window.free() > 0 {
            let stamp = window.on_dispatch(at(now), 1.0, true);
            if running.len() < 3 {
                running.push_back(stamp);
            } else {
                let change = window.on_settle(at(now + 1), stamp, Outcome::Throttled, true);
                assert_eq!(change.map(|change| change.kind), Some(ChangeKind::ProbeFailed));
                waits.push(held / 3);
                held = 0;
            }
        }
    }
    assert!(waits.windows(2).all(|pair| pair[1] >= pair[0] * 2 - 1), "{waits:?}");
}

#[test]
fn pinned_never_moves() {
    let mut window = Window::new(WindowConfig { initial: 7, min: 7, max: 7, ..CONFIG });
    for (second, outcome) in [Outcome::Success, Outcome::Throttled, Outcome::Overloaded].into_iter().enumerate() {
        for stamp in fill(&mut window, at(second as u64 * 1000)) {
            assert_eq!(window.on_settle(at(second as u64 * 1000 + 9), stamp, outcome, true), None);
        }
    }
    assert_eq!((window.limit(), window.phase()), (7, Phase::Pinned));
}

#[test]
fn idle_decays_to_recent_use_and_returns_by_slow_start() {
    let mut window = Window::remembered(CONFIG, 64);
    let stamps: Vec<Stamp> = (0..10).map(|_| window.on_dispatch(at(0), 1.0, false)).collect();
    for stamp in stamps {
        window.on_settle(at(1000), stamp, Outcome::Success, false);
    }
    assert_eq!(window.advance(at(2000)), None);
    let change = window.advance(at(3100));
    assert_eq!(change.map(|change| (change.kind, change.to)), Some((ChangeKind::IdleDecay, 32)));
    window.advance(at(60_000));
    assert_eq!(window.limit(), 10);
    serve(&mut window, 60_000, 2);
    assert_eq!(window.limit(), 64);
}

#[test]
fn reload_keeps_what_was_learned() {
    let mut window = Window::remembered(CONFIG, 64);
    assert_eq!(window.reconfigure(WindowConfig { min: 2, max: 100, ..CONFIG }, at(0)), None);
    let change = window.reconfigure(WindowConfig { min: 2, max: 50, ..CONFIG }, at(0));
    assert_eq!(change.map(|change| (change.from, change.to)), Some((64, 50)));
}

#[test]
fn it_is_small() {
    assert!(size_of::<Window>() <= 1792, "{}", size_of::<Window>());
    assert!(size_of::<Stamp>() <= 24, "{}", size_of::<Stamp>());
}
