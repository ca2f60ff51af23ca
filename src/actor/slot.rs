//! The slot of an attempt that is under way, and the accounts that its end settles.

use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::lease::Lease;
use super::ledger::Bill;
use super::provider::Failure;
use super::quote::{Paid, Quote};
use super::registry::{Live, Model};
use super::run::Spec;
use super::witness::{Diary, End, Witness};
use crate::core::cost::Cost;
use crate::core::ledger::Money;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::task::Usage;

/// How often a stream shows that it goes on; less than the grace of a lease.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// A slot that is still held: of an answer that streams, or one not accounted for yet. Dropped unsettled it counts as
/// cancelled.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) lease: Option<Lease>,
    /// What its tenant is charged, and what was done so far.
    pub(super) charged: Cost,
    pub(super) spent: u64,
    /// What the provider has told so far of what it used.
    pub(super) told: Usage,
    pub(super) hints: RateHints,
    pub(super) tally: Tally,
    pub(super) admitted: Time,
    pub(super) sent: Time,
    /// When the dispatcher last heard of it.
    pub(super) heard: Time,
    pub(super) live: Live,
}

impl Slot {
    /// Takes note of a piece, and of the work done for it. Beyond what was predicted, and then for each eighth more, the
    /// charge is raised: so a stream ten times as long as predicted sends some twenty messages. One that goes on for
    /// long shows once in [`SIGN_OF_LIFE`] that it does, or its lease would end.
    pub(crate) fn spend(&mut self, units: u64) {
        self.spent = self.spent.saturating_add(units);
        let charged = u64::from(self.charged.units());
        let exceeds = self.spent > charged + charged / 8;
        let now = self.live.shared().clock.now();
        if (exceeds || now.since(self.heard) >= SIGN_OF_LIFE)
            && let Some(lease) = &self.lease
        {
            if exceeds {
                self.charged = Cost::new(self.spent);
            }
            self.heard = now;
            lease.raise(self.charged);
        }
    }

    /// Returns how long a stream may go without a piece: as long as an attempt may take to answer.
    pub(super) fn patience(&self) -> Duration {
        self.tally.model.settings().timeout
    }

    pub(crate) fn clock(&self) -> Clock {
        self.live.shared().clock
    }

    pub(super) fn now(&self) -> Time {
        self.clock().now()
    }

    /// Takes note of what the provider tells of what it used: of each figure the newest.
    pub(crate) fn tell(&mut self, usage: Usage) {
        let Usage { input_tokens, output_tokens, dollars } = self.told;
        self.told = Usage {
            input_tokens: usage.input_tokens.or(input_tokens),
            output_tokens: usage.output_tokens.or(output_tokens),
            dollars: usage.dollars.or(dollars),
        };
    }

    /// Returns what the provider has told of what it used.
    pub(crate) fn told(&self) -> Usage {
        self.told
    }

    /// Ends the attempt well, with what it cost and used.
    pub(crate) fn succeed(mut self, cost: Option<Cost>, usage: Usage) {
        let now = self.live.shared().clock.now();
        let stats = &self.tally.model.stats;
        stats.service.record(now.since(self.sent));
        stats.sojourn.record(now.since(self.admitted));
        stats.count_tokens(usage.input_tokens, usage.output_tokens);
        let paid = self.tally.quote.settle(&self.tally.model, usage, self.spent, cost);
        self.tally.pay(paid);
        self.tally.note(|diary| {
            diary.judge(Outcome::Success, None);
            diary.used(usage);
        });
        self.tally.end(End::Success);
        if let Some(lease) = self.lease.take() {
            // Where nobody tells, it was at least what passed.
            let cost = cost.or_else(|| (self.spent > u64::from(self.charged.units())).then(|| Cost::new(self.spent)));
            let tokens = usage.tokens();
            lease.settle(Report { cost, tokens, hints: self.hints, ..Report::new(Outcome::Success) }, None);
        }
    }

    /// Ends the attempt badly: a stream broke off after it had begun.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.tally.note(|diary| diary.judge(failure.outcome, Some(failure)));
        self.tally.end(End::Broken);
        if let Some(lease) = self.lease.take() {
            lease.settle(failure.report(), None);
        }
    }
}

impl Drop for Slot {
    /// What streamed until it broke off, or its caller left, is paid.
    fn drop(&mut self) {
        self.tally.abandon(self.told, self.spent);
    }
}

/// Counts each request once, as cancelled unless told otherwise, and tells its story where somebody asked for it.
#[derive(Debug)]
pub(super) struct Tally {
    model: Arc<Model>,
    /// Where its tenant's spending is counted.
    bill: Option<Box<Bill>>,
    quote: Quote,
    /// What was set aside for it.
    reserved: Option<Money>,
    /// Whether the provider works at the request, so that it is likely to charge for it.
    with_provider: bool,
    counted: bool,
    diary: Option<Box<Diary>>,
}

impl Tally {
    pub(super) fn new(model: &Arc<Model>, tenant: &Arc<str>, spec: &Spec, clock: Clock, admitted: Time) -> Self {
        let open =
            |witness: &Arc<dyn Witness>| Box::new(Diary::open(witness.clone(), clock, &model.name, tenant, admitted));
        let diary = spec.witness.as_ref().map(open);
        Self {
            model: model.clone(),
            bill: None,
            quote: spec.quote,
            reserved: None,
            with_provider: false,
            counted: false,
            diary,
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
    fn pay(&mut self, paid: Paid) {
        self.with_provider = false;
        let bill = self.bill.take();
        self.model.stats.count_cost(paid, bill.is_some());
        if let Some(bill) = bill {
            bill.book(paid.money());
        }
    }

    /// Books what an answer cost that is given up while the provider works at it.
    fn abandon(&mut self, told: Usage, written: u64) {
        if self.with_provider {
            self.pay(self.quote.abandon(&self.model, told, written, self.reserved));
        }
    }

    pub(super) fn end(&mut self, end: End<'_>) {
        if !std::mem::replace(&mut self.counted, true) {
            self.model.stats.request(end.outcome());
            if let Some(diary) = self.diary.take() {
                diary.close(end);
            }
        }
    }

    pub(super) fn note(&mut self, write: impl FnOnce(&mut Diary)) {
        if let Some(diary) = &mut self.diary {
            write(diary);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.abandon(Usage::default(), 0);
        self.end(End::Cancelled);
    }
}
