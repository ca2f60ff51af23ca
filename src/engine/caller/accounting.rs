//! The accounts that a request's end settles: counters, its tenant's bill, its story. Each request is counted once.

use std::sync::Arc;

use crate::core::ledger::Money;
use crate::core::tariff::Paid;
use crate::core::time::Time;
use crate::engine::caller::plan::Plan;
use crate::engine::caller::quote::Quote;
use crate::engine::caller::recorder::{End, StoryRecorder};
use crate::engine::shared::ledger::Bill;
use crate::engine::shared::model::Model;
use crate::engine::shared::registry::{Live, Shared};
use crate::engine::view::story::Witness;
use crate::task::Usage;

/// Counts each request once, as cancelled unless told otherwise, and tells its story where somebody asked for it.
#[derive(Debug)]
pub(super) struct Accounting {
    pub(super) model: Arc<Model>,
    /// Where its tenant's spending is counted.
    bill: Option<Box<Bill>>,
    pub(super) quote: Quote,
    /// Money that is reserved for it.
    reserved: Option<Money>,
    /// Whether the provider works at the request, so that it is likely to charge for it.
    with_provider: bool,
    counted: bool,
    recorder: Option<Box<StoryRecorder>>,
    /// Holds up a drain until all of this is done.
    pub(super) live: Live,
}

impl Accounting {
    pub(super) fn new(
        shared: &Arc<Shared>,
        model: &Arc<Model>,
        tenant: &Arc<str>,
        plan: &Plan,
        admitted: Time,
    ) -> Self {
        let open = |witness: &Arc<dyn Witness>| {
            Box::new(StoryRecorder::open(witness.clone(), shared.clock, &model.name, tenant, admitted))
        };
        let recorder = plan.witness.as_ref().map(open);
        Self {
            model: model.clone(),
            bill: None,
            quote: plan.quote,
            reserved: None,
            with_provider: false,
            counted: false,
            recorder,
            live: shared.enter(),
        }
    }

    /// Opens the bill, once the tenant is known to be able to pay what the request is expected to cost.
    pub(super) fn open(&mut self, bill: Option<Box<Bill>>, reserved: Option<Money>) {
        (self.bill, self.reserved) = (bill, reserved);
    }

    /// Says whether the provider works at the request now.
    pub(super) fn with_provider(&mut self, with_provider: bool) {
        self.with_provider = with_provider;
    }

    /// Books what the answer cost.
    pub(super) fn pay(&mut self, paid: Paid) {
        self.with_provider = false;
        let bill = self.bill.take();
        self.model.stats.count_cost(paid, bill.is_some());
        if let Some(bill) = bill {
            let shared = self.live.shared();
            if let Some(risen) = bill.book(&shared.settings(), paid.money()) {
                shared.relimit(&risen);
            }
        }
    }

    /// Books what an answer cost that is given up while the provider works at it.
    pub(super) fn abandon(&mut self, told: Usage, written: u64) {
        if self.with_provider {
            self.pay(self.quote.abandon(&self.model, told, written, self.reserved));
        }
    }

    pub(super) fn end(&mut self, end: End<'_>) {
        if !std::mem::replace(&mut self.counted, true) {
            self.model.stats.request(end.outcome());
            self.model.touch();
            if let Some(recorder) = self.recorder.take() {
                recorder.close(end);
            }
        }
    }

    pub(super) fn note(&mut self, write: impl FnOnce(&mut StoryRecorder)) {
        if let Some(recorder) = &mut self.recorder {
            write(recorder);
        }
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        self.abandon(Usage::default(), 0);
        self.end(End::Cancelled);
    }
}
