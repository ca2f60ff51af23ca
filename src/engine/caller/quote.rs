//! Expected price of a request, and its price where the provider states none.

use crate::core::cost::Cost;
use crate::core::ledger::Money;
use crate::core::tariff::Paid;
use crate::engine::shared::model::Model;
use crate::task::{Tokens, Usage, output_tokens};

/// Size of a request, as far as it is known before the answer.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quote {
    /// As its fair share is charged.
    pub(crate) units: Cost,
    /// Where a price by the token applies.
    pub(crate) tokens: Option<Tokens>,
    /// Whether its answer comes in pieces, which are paid for as far as they have come.
    pub(crate) streams: bool,
}

impl Quote {
    /// Returns what the request is expected to cost; `None` where neither a price nor an answer has told.
    pub(crate) fn expected(&self, model: &Model) -> Option<Money> {
        model.tariff().expected(self.priced(model), self.units)
    }

    /// Returns what a complete answer cost, by which so many units were `written` in pieces, and learns from it.
    pub(crate) fn settle(&self, model: &Model, usage: Usage, written: u64, cost: Option<Cost>) -> Paid {
        let told = usage.dollars.map(Money::from_dollars);
        let priced = || model.settings().price?.of(usage.input_tokens, usage.output_tokens);
        if let Some(paid) = told.or_else(priced) {
            model.learn_tariff(self.priced(model), self.units, paid);
            return Paid::Told(paid);
        }
        let counted = written > 0 || usage.output_tokens.is_some();
        let estimate = if counted { self.so_far(model, usage, written) } else { None };
        let by_work = || model.tariff().by_work(cost?);
        let by_price = || model.tariff().expected(self.priced(model), self.units);
        match estimate.or_else(by_work).or_else(by_price) {
            Some(paid) => Paid::Estimated(paid),
            None => Paid::Unknown,
        }
    }

    /// Returns what an answer costs that broke off, or whose caller left: what was read and what was written by then. One
    /// that does not come in pieces is made to its end, as far as anybody knows.
    /// `reserved` was set aside for it.
    pub(crate) fn abandon(&self, model: &Model, usage: Usage, written: u64, reserved: Option<Money>) -> Paid {
        if let Some(told) = usage.dollars.map(Money::from_dollars) {
            return Paid::Told(told);
        }
        let so_far = if self.streams { self.so_far(model, usage, written) } else { None };
        match so_far.or(reserved).or_else(|| self.expected(model)) {
            Some(paid) => Paid::Estimated(paid),
            None => Paid::Unknown,
        }
    }

    /// Returns what was read and written so far costs: as told, else as estimated.
    fn so_far(&self, model: &Model, usage: Usage, written: u64) -> Option<Money> {
        let tokens = self.tokens?;
        let input = usage.input_tokens.unwrap_or(tokens.input);
        let output = usage.output_tokens.unwrap_or(0).max(output_tokens(written));
        match model.settings().price {
            Some(price) => price.estimate(Some(input), Some(output)).map(Money::from_dollars),
            None => {
                let used = Usage { input_tokens: Some(input), output_tokens: Some(output), dollars: None };
                model.tariff().by_work(used.text_cost()?)
            }
        }
    }

    /// Returns what the model's price has the request cost, in dollars.
    fn priced(&self, model: &Model) -> Option<f64> {
        let input = self.tokens.map(|tokens| tokens.input);
        let output = self.tokens.map(Tokens::reserved_output);
        model.settings().price?.estimate(input, output)
    }
}
