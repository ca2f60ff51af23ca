//! Many seeds, one figure: median and range.

use super::measure::Measure;
use super::run::Run;
use super::scenario::Scenario;

/// Median and range of one measure over the seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The lower median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// Sums figures up; `None` where there are none.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let median = *figures.get((figures.len() - 1) / 2)?;
        Some(Self { median, least, most })
    }
}

/// The figures of one controller in one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    figures: Vec<(Measure, Spread)>,
}

impl Summary {
    /// Returns the figure of `measure`; `None` where it does not apply.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<Spread> {
        self.figures.iter().find(|(of, _)| *of == measure).map(|(_, spread)| *spread)
    }

    /// Returns the measures that miss what the scenario expects: measure, median, band.
    #[must_use]
    pub fn misses(&self, scenario: &Scenario) -> Vec<(Measure, f64, (f64, f64))> {
        let median = |measure: Measure| self.get(measure).map_or(f64::NAN, |spread| spread.median);
        let bands = scenario.expect.iter().map(|(measure, band)| (*measure, median(*measure), *band));
        bands.filter(|(_, value, (least, most))| !(least..=most).contains(&value)).collect()
    }
}

/// Sums runs up, each beside the oracle's run of the same seed.
#[must_use]
pub fn summarize(runs: &[Run], oracle: &[Run]) -> Summary {
    let spread = |measure: Measure| {
        let figures = runs.iter().zip(oracle).filter_map(|(run, oracle)| measure.of(run, oracle));
        Some((measure, Spread::of(figures.collect())?))
    };
    Summary { figures: Measure::ALL.iter().copied().filter_map(spread).collect() }
}
