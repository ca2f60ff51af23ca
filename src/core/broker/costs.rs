//! Learned costs of tenants' requests on a model, so that the next are charged right from the start.

use std::collections::HashMap;
use std::sync::Arc;

use super::Cost;
use crate::core::predict::{ModelCosts, Ratio};

/// Tenants whose experience is kept apart; those beyond share one. Names come from outside, so their number has an end.
const MOST_PAYERS: usize = 100_000;

/// A request's cost from before it was corrected.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    /// As the task said.
    cost: Cost,
    /// The tenant whose experience corrects it.
    payer: u32,
}

impl Expected {
    /// Returns the tenant as a number.
    pub(super) const fn payer(self) -> u32 {
        self.payer
    }
}

/// Learned costs of one model.
#[derive(Debug)]
pub(super) struct Costs {
    model: ModelCosts,
    payers: HashMap<Arc<str>, u32>,
    /// The first is that of tenants beyond [`MOST_PAYERS`].
    ratios: Vec<Ratio>,
}

impl Costs {
    pub(super) fn new() -> Self {
        Self { model: ModelCosts::default(), payers: HashMap::new(), ratios: vec![Ratio::default()] }
    }

    /// Corrects what a request of `tenant` says it costs; the second is what [`learn`](Self::learn) wants back.
    pub(super) fn predict(&mut self, tenant: &Arc<str>, cost: Cost) -> (Cost, Expected) {
        let payer = self.payers.get(tenant).copied().unwrap_or_else(|| self.place(tenant));
        let expected = Expected { cost, payer };
        (self.price(expected), expected)
    }

    /// Corrects an expected cost by what is known by now.
    pub(super) fn price(&self, expected: Expected) -> Cost {
        let ratio = self.ratios.get(expected.payer as usize).copied().unwrap_or_default();
        self.model.predict(&ratio, expected.cost)
    }

    /// Gives a tenant that is not known a place of its own, if there is one.
    fn place(&mut self, tenant: &Arc<str>) -> u32 {
        if self.payers.len() >= MOST_PAYERS {
            return 0;
        }
        #[allow(clippy::cast_possible_truncation, reason = "bounded by MOST_PAYERS")]
        let payer = self.ratios.len() as u32;
        self.payers.insert(tenant.clone(), payer);
        self.ratios.push(Ratio::default());
        payer
    }

    /// Learns what a request did cost.
    pub(super) fn learn(&mut self, expected: Expected, actual: Cost) {
        if let Some(ratio) = self.ratios.get_mut(expected.payer as usize) {
            self.model.record(ratio, expected.cost, actual);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_is_charged_by_its_own_experience() {
        let mut costs = Costs::new();
        for _ in 0..100 {
            for (name, actual) in [("long", 400), ("short", 50)] {
                let (_, expected) = costs.predict(&name.into(), Cost::new(100));
                costs.learn(expected, Cost::new(actual));
            }
        }
        let mut predicted = |name: &str| costs.predict(&name.into(), Cost::new(1_000)).0.units();
        let (long, short) = (predicted("long"), predicted("short"));
        assert!(long > 3_500 && short < 700, "{long} {short}");
        let unknown = predicted("nobody");
        assert!((700..3_500).contains(&unknown), "between the two: {unknown}");
    }
}
