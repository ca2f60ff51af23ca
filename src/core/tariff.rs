//! The likely price of a request of a model: by the price that is set for it, corrected by what answers did cost,
//! else by what they have lately cost for each unit of predicted work.
//!
//! A price is known before the first answer; how many tokens a request takes is a guess until some are.

use super::cost::Cost;
use super::ledger::Money;

/// Answers that an average remembers: soon enough to follow another mix of requests.
const MEMORY: f64 = 10.0;

/// An average that follows: of all that came while little has, of the last [`MEMORY`] later.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Mean {
    value: f64,
    seen: f64,
}

impl Mean {
    fn add(&mut self, newest: f64) {
        self.seen = (self.seen + 1.0).min(MEMORY);
        self.value += (newest - self.value) / self.seen;
    }
}

/// The learned costs of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tariff {
    /// Mean cost of answers, as a share of their cost by the set price.
    of_price: Mean,
    /// Mean dollars for a unit of predicted work.
    per_unit: Mean,
}

impl Default for Tariff {
    /// Nothing is known: a price counts as it is.
    fn default() -> Self {
        Self { of_price: Mean { value: 1.0, seen: 1.0 }, per_unit: Mean::default() }
    }
}

impl Tariff {
    /// Begins with what a unit of work cost, in dollars.
    #[must_use]
    pub fn remember(per_unit: f64) -> Self {
        Self { per_unit: Mean { value: per_unit, seen: 1.0 }, ..Self::default() }
    }

    /// Returns what a unit of work has lately cost, in dollars.
    #[must_use]
    pub fn per_unit(&self) -> Option<f64> {
        (self.per_unit.seen > 0.0).then_some(self.per_unit.value)
    }

    /// Returns what a request is expected to cost that the price in dollars, if there is one that tells, has cost
    /// `priced`; `None` where nobody knows. Only what is certain to be free costs nothing.
    #[must_use]
    pub fn expected(&self, priced: Option<f64>, units: Cost) -> Option<Money> {
        match priced {
            Some(priced) if priced > 0.0 => Some(at_least_something(priced * self.of_price.value)),
            // A price of nothing holds as long as no provider tells another.
            Some(_) if self.per_unit.value == 0.0 => Some(Money::ZERO),
            _ => self.by_work(units),
        }
    }

    /// Returns what so much work costs by what answers have cost; `None` where none has told.
    #[must_use]
    pub fn by_work(&self, units: Cost) -> Option<Money> {
        Some(at_least_something(self.per_unit()? * f64::from(units.units())))
    }

    /// Learns what a request did cost of which that was expected.
    pub fn learn(&mut self, priced: Option<f64>, units: Cost, paid: Money) {
        if let Some(priced) = priced.filter(|priced| *priced > 0.0) {
            self.of_price.add(paid.dollars() / priced);
        }
        self.per_unit.add(paid.dollars() / f64::from(units.units()));
    }
}

/// Reads dollars so that only zero is nothing.
fn at_least_something(dollars: f64) -> Money {
    Money::from_dollars(dollars).max(Money::from_nanos(u64::from(dollars > 0.0)))
}

/// The cost of an answer, by how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paid {
    /// The provider told the cost, or the usage that the price applies to.
    Told(Money),
    /// Estimated from the prediction, or from the pieces that came.
    Estimated(Money),
    /// Neither told nor estimated.
    Unknown,
}

impl Paid {
    /// Returns the money, where it is known.
    #[must_use]
    pub fn money(self) -> Option<Money> {
        match self {
            Self::Told(money) | Self::Estimated(money) => Some(money),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(dollars: f64) -> Option<Money> {
        Some(Money::from_dollars(dollars))
    }

    #[test]
    fn a_price_is_known_before_the_first_answer_and_corrected_after() {
        let mut tariff = Tariff::default();
        let ten = Cost::new(10);
        assert_eq!((tariff.expected(Some(0.5), ten), tariff.expected(None, ten)), (dollars(0.5), None));
        tariff.learn(Some(0.5), ten, Money::from_dollars(0.1));
        assert_eq!(tariff.expected(Some(0.5), ten), dollars(0.3), "half way after one");
        (0..1_000).for_each(|_| tariff.learn(Some(0.5), ten, Money::from_dollars(0.1)));
        assert_eq!(tariff.expected(Some(5.0), ten), dollars(1.0));
        assert_eq!(tariff.expected(None, Cost::new(20)), dollars(0.2), "and where no price tells, by work");
        assert_eq!(Tariff::remember(0.25).by_work(ten), dollars(2.5));
    }

    #[test]
    fn only_what_is_certain_to_be_free_costs_nothing() {
        let mut tariff = Tariff::default();
        let tiny = tariff.expected(Some(1e-15), Cost::ONE).expect("priced");
        assert_eq!((tariff.expected(Some(0.0), Cost::ONE), tiny.nanos()), (dollars(0.0), 1));
        tariff.learn(Some(0.0), Cost::ONE, Money::ZERO);
        assert_eq!(tariff.expected(Some(0.0), Cost::ONE), dollars(0.0));
        tariff.learn(Some(0.0), Cost::ONE, Money::from_dollars(0.2));
        assert_eq!(tariff.expected(Some(0.0), Cost::ONE), dollars(0.1), "its provider asks for money all the same");
    }
}
