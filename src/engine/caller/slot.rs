//! The slot of an attempt under way, until its end is settled.

use std::time::Duration;

use super::accounting::Accounting;
use crate::clock::Clock;
use crate::contract::failure::Failure;
use crate::core::cost::Cost;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::engine::caller::recorder::End;
use crate::engine::ticket::lease::Lease;
use crate::task::Usage;

/// How often a stream shows that it goes on; less than the grace of a lease.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// A slot that is still held: of an answer that streams, or one not accounted for yet. Dropped unsettled it counts as
/// cancelled.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(super) lease: Option<Lease>,
    /// Charge of its tenant, and the work done so far.
    pub(super) charged: Cost,
    pub(super) spent: u64,
    /// Usage that the provider has stated so far.
    pub(super) told: Usage,
    pub(super) hints: RateHints,
    pub(super) accounting: Accounting,
    pub(super) admitted: Time,
    pub(super) sent: Time,
    /// When the dispatcher last heard of it.
    pub(super) heard: Time,
}

impl Slot {
    /// Takes note of a piece, and of the work done for it. Beyond what was predicted, and then for each eighth more, the
    /// charge is raised: so a stream ten times as long as predicted sends some twenty messages. One that goes on for
    /// long shows once in [`SIGN_OF_LIFE`] that it does, or its lease would end.
    pub(crate) fn spend(&mut self, units: u64) {
        self.spent = self.spent.saturating_add(units);
        let charged = u64::from(self.charged.units());
        let exceeds = self.spent > charged + charged / 8;
        let now = self.now();
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
        self.accounting.model.settings().timeout
    }

    pub(crate) fn clock(&self) -> Clock {
        self.accounting.live.shared().clock
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
        let now = self.now();
        let stats = &self.accounting.model.stats;
        stats.service.record(now.since(self.sent));
        stats.sojourn.record(now.since(self.admitted));
        stats.count_tokens(usage.input_tokens, usage.output_tokens);
        let paid = self.accounting.quote.settle(&self.accounting.model, usage, self.spent, cost);
        self.accounting.pay(paid);
        self.accounting.note(|recorder| {
            recorder.judge(Outcome::Success, None);
            recorder.used(usage);
        });
        self.accounting.end(End::Success);
        if let Some(lease) = self.lease.take() {
            // Where nobody tells, it was at least what passed.
            let cost = cost.or_else(|| (self.spent > u64::from(self.charged.units())).then(|| Cost::new(self.spent)));
            let tokens = usage.tokens();
            lease.settle(Report { cost, tokens, hints: self.hints, ..Report::new(Outcome::Success) }, None);
        }
    }

    /// Ends the attempt badly: a stream broke off after it had begun.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.accounting.note(|recorder| recorder.judge(failure.outcome, Some(failure)));
        self.accounting.end(End::Broken);
        if let Some(lease) = self.lease.take() {
            lease.settle(failure.report(), None);
        }
    }
}

impl Drop for Slot {
    /// Books the work that streamed until the stream broke off or its caller left.
    fn drop(&mut self) {
        self.accounting.abandon(self.told, self.spent);
    }
}

/// A slot whose answer is there, and what to account for it.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) slot: Slot,
    pub(crate) cost: Option<Cost>,
    pub(crate) usage: Usage,
}

impl Settling {
    pub(crate) fn done(self) {
        self.slot.succeed(self.cost, self.usage);
    }
}
