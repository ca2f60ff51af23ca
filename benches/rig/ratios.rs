//! The ratios that a short run is held to: `benches/ratios.toml` has those that were noted, higher is better.

use std::collections::BTreeMap;

/// A ratio may fall to this share of the one noted.
const KEPT: f64 = 2.0 / 3.0;

/// The ratios of one run.
pub struct Ratios {
    bench: String,
    seen: BTreeMap<String, f64>,
}

impl Ratios {
    pub fn of(bench: &str) -> Self {
        Self { bench: bench.to_owned(), seen: BTreeMap::new() }
    }

    /// Takes note of a ratio of which more is better.
    pub fn note(&mut self, name: &str, ratio: f64) {
        assert!(ratio.is_finite() && ratio > 0.0, "{name} is {ratio}");
        self.seen.insert(name.to_owned(), ratio);
    }

    /// Prints the ratios beside those noted.
    ///
    /// # Panics
    ///
    /// Panics where it is `strict` and one has fallen by a third.
    pub fn judge(self, strict: bool) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/ratios.toml");
        let text = std::fs::read_to_string(path).expect("benches/ratios.toml");
        let noted: BTreeMap<String, BTreeMap<String, f64>> = toml::from_str(&text).expect("tables of ratios");
        let noted = noted.get(&self.bench).cloned().unwrap_or_default();
        let mut fallen = Vec::new();
        println!("\nratios, more is better; of a debug build and as noted in benches/ratios.toml:");
        for (name, seen) in &self.seen {
            let (least, beside) =
                noted.get(name).map_or((0.0, "none".to_owned()), |noted| (noted * KEPT, noted.to_string()));
            println!("{name:?} = {seen:.3} # noted: {beside}");
            if *seen < least {
                fallen.push(format!("{name} is {seen:.3}, below {least:.3}"));
            }
        }
        assert!(!strict || fallen.is_empty(), "fallen by more than a third: {}", fallen.join("; "));
    }
}
