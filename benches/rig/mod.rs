//! What the benches share: the form of a run, figures of processes, medians, and the ratios that a short run is held to.
#![allow(dead_code, reason = "each bench takes what it needs")]

pub mod form;
pub mod process;
pub mod ratios;

use std::time::{Duration, Instant};

/// Returns the median of `figures`, the upper one of two.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&mut figures.into_iter().collect::<Vec<_>>(), 0.5)
}

/// Returns the quantile `q` of `figures`, which it sorts.
pub fn quantile(figures: &mut [f64], q: f64) -> f64 {
    assert!(!figures.is_empty(), "nothing was measured");
    figures.sort_by(f64::total_cmp);
    figures[(figures.len() as f64 * q) as usize]
}

/// Waits until `holds`, at most a minute.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
