//! Who asks for what, and what befalls which model when: all of it from one seed.

use std::time::Duration;

use crate::dice::Dice;
use crate::load::Crowd;
use crate::mischief::{OF_A_ROUTE, named};
use crate::pool::{Phase, Sky};

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    /// Before anything is counted.
    pub warm: Duration,
    /// Of all, warming up included.
    pub length: Duration,
}

/// Models that no odd tenant asks for: what befalls them befalls everybody.
pub const UNMET: [&str; 2] = ["two", "weather"];
/// Models whose well-behaved callers lose nothing.
pub const MEASURED: [&str; 6] = ["shared", "two", "weather", "draw", "paint", "sketch"];

impl Plan {
    pub fn short(seed: u64) -> Self {
        Self { seed, warm: Duration::from_secs(2), length: Duration::from_secs(12) }
    }

    pub fn long(seed: u64, seconds: u64) -> Self {
        Self { seed, warm: Duration::from_secs(10), length: Duration::from_secs(seconds.max(60)) }
    }

    /// Returns each model at each account with what befalls it.
    pub fn pools(&self) -> Vec<(&'static str, Vec<Phase>)> {
        let mut dice = Dice::new(self.seed);
        // Odd callers and well-behaved ones meet here; capacity moves.
        let shared =
            self.phases(&mut dice, |dice, turn| (if turn % 2 == 0 { 8 } else { 5 + dice.below(8) }, Sky::Clear));
        // A neighbour of it at the same account is gone every other while.
        let sick = self.phases(&mut dice, |dice, turn| (6, if turn % 2 == 0 { gone(dice) } else { Sky::Clear }));
        let steady = self.phases(&mut dice, |_, _| (6, Sky::Clear));
        let dying = self.phases(&mut dice, |dice, turn| (6, if turn % 2 == 1 { gone(dice) } else { Sky::Clear }));
        let weather = self.phases(&mut dice, |_, turn| {
            (8, [Sky::Rain(0.01), Sky::Rain(0.05), Sky::Clear, Sky::Rain(0.02)][turn % 4])
        });
        let images = || vec![Phase { until: self.length, cap: 6, sky: Sky::Clear }];
        vec![
            ("bfl/draw", images()),
            ("rest/paint", images()),
            ("socket/sketch", images()),
            ("lab/shared", shared),
            ("lab/sick", sick),
            ("lab/two", steady),
            ("spare/two", dying),
            ("storm/weather", weather),
        ]
    }

    /// Cuts the run into four, or into spans of about half a minute.
    fn phases(&self, dice: &mut Dice, mut phase: impl FnMut(&mut Dice, usize) -> (usize, Sky)) -> Vec<Phase> {
        let count = (self.length.as_secs() as usize / 30).max(4);
        let end = |turn: usize| self.length.mul_f64((turn + 1) as f64 / count as f64);
        let phases = (0..count).map(|turn| {
            let (cap, sky) = phase(dice, turn);
            Phase { until: end(turn), cap, sky }
        });
        phases.collect()
    }

    pub fn crowds(&self) -> Vec<Crowd> {
        let crowd = |model, tenant: &str, callers, odd| Crowd { model, tenant: tenant.to_owned(), callers, odd };
        let mut crowds = Vec::new();
        for model in ["shared", "sick", "two", "weather"] {
            crowds.extend(["ada", "bea", "cyd"].map(|tenant| crowd(model, tenant, 7, false)));
        }
        crowds.extend(["xan", "yan"].map(|tenant| crowd("shared", tenant, 4, true)));
        for model in ["draw", "paint", "sketch"] {
            crowds.extend(["ada", "bea"].map(|tenant| crowd(model, tenant, 6, false)));
            crowds.push(crowd(model, "xan", 4, true));
        }
        crowds
    }
}

/// An outage in some way of a route.
fn gone(dice: &mut Dice) -> Sky {
    Sky::Gone(named(dice.pick(&OF_A_ROUTE)))
}
