//! The form of a run: which parts, how long, how often.

use std::time::Duration;

use super::ratios::Ratios;

/// The form of a run.
pub struct Form {
    /// Length of one load.
    pub span: Duration,
    /// Rounds, each of one load of every rival.
    pub rounds: usize,
    /// Set for the short form, which leaves out what takes minutes.
    pub short: bool,
    filters: Vec<String>,
}

/// A part of a bench: its name, whether the short form has it, and what runs it.
pub type Part = (&'static str, bool, fn(&Form, &mut Ratios));

impl Form {
    /// Reads the arguments: names of parts, or pieces of them. `cargo bench` says `--bench`; without that it is the short
    /// form.
    pub fn read() -> Self {
        let number =
            |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        let (options, filters): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
        let short = !options.iter().any(|option| option == "--bench");
        let millis = if short { 500 } else { 1_000 * number("FAIRFLOW_BENCH_SECONDS", 2) };
        let rounds = number("FAIRFLOW_BENCH_ROUNDS", 5) as usize;
        Self { span: Duration::from_millis(millis), rounds, short, filters }
    }

    /// Runs the parts that are asked for, and holds their ratios to those that are noted.
    ///
    /// # Panics
    ///
    /// Panics where a filter names no part, and in the short form where a ratio has fallen by a third.
    pub fn run(&self, bench: &str, parts: &[Part]) {
        for filter in &self.filters {
            let names: Vec<_> = parts.iter().map(|part| part.0).collect();
            assert!(names.iter().any(|name| name.contains(filter.as_str())), "{filter} names no part of {names:?}");
        }
        let mut ratios = Ratios::of(bench);
        for (name, short, run) in parts {
            let named = self.filters.iter().any(|filter| name.contains(filter.as_str()));
            if named || self.filters.is_empty() && (*short || !self.short) {
                println!("\n## {bench}: {name}\n");
                run(self, &mut ratios);
            }
        }
        ratios.judge(self.short);
    }
}
