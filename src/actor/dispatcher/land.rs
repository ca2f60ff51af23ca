//! How attempts end: what the route and its account learn from each, and what becomes of its job.

use std::time::Duration;

use rand::RngExt;

use super::{Dispatcher, Held};
use crate::actor::messages::Ended;
use crate::core::account::{Limited, Signal, Used};
use crate::core::broker::Refused;
use crate::core::outcome::Outcome;
use crate::core::pacer::SUSPENSION;
use crate::core::report::Report;
use crate::core::route::Settled;
use crate::core::time::Time;
use crate::core::verdict::{Again, Basis, Matter, Suspicion, Verdict};
use crate::engine::ticket::lease::Waiter;
use crate::engine::view::events::EventKind;

/// Failures after which a request ends that fails where others are served.
const OWN_FAILURES: u32 = 2;

impl Dispatcher {
    /// Learns from one ended attempt and decides what becomes of its job.
    pub(super) fn land(&mut self, now: Time, held: Held, report: Report, retry: Option<Waiter>) {
        let Report { verdict, words, retry_after, cost, .. } = report;
        let tenant = u64::from(held.payer);
        let (own, odd) = self.whose(tenant, report.outcome, retry_after.is_some());
        let outcome = if own || odd { Outcome::Rejected } else { self.bearing(report.outcome, verdict) };
        if outcome == Outcome::Success {
            self.account_success.set(now);
        }
        let service = now.since(held.sent);
        self.count(&held, outcome, verdict, service);
        let random = [self.random.random(), self.random.random()];
        let Settled { change, hold, tokens, closed } =
            self.gates.settle(now, held.ticket, Report { outcome, ..report }, self.backlog(), random);
        if let Some(change) = change {
            self.window_changed(change);
        }
        if closed {
            let provider = &self.route.provider_name;
            tracing::warn!(model = %self.tap.model, %provider, "the route keeps failing and is closed");
        }
        let long = hold.is_some_and(|hold| hold >= SUSPENSION);
        let suspension = (verdict.suspends() || long).then_some(verdict.reason());
        self.suspend(now, suspension);
        if let Some(wait) = hold {
            self.held(wait);
        }
        let limited = (outcome == Outcome::RateLimited).then_some(Limited {
            sent: held.sent,
            stated: hold,
            scope: verdict.scope,
            suspension,
        });
        let suspicion = verdict.suspects_account().then_some(Suspicion { tenant, model: self.member, words });
        if self.account_limited || limited.is_some() || suspicion.is_some() {
            self.account.do_send(Signal {
                member: self.member,
                slots: self.slots_used(),
                used: tokens.map(|actual| Used { predicted: held.ticket.tokens(), actual }),
                unused: None,
                limited,
                suspicion,
            });
        }
        if held.queue != self.queue_life {
            // The queue that knew this job is no more; its caller submits it anew.
            drop(retry);
            return;
        }
        let Held { job: key, attempt, charged, .. } = held;
        let Some(waiter) = retry else {
            self.ended.push(Ended::Done { key, outcome, charged, cost, service });
            return;
        };
        let ends = waiter.past.attempts >= self.settings.max_attempts;
        if !ends && (!own || attempt < OWN_FAILURES) {
            let wait = match verdict.again {
                // Nothing is waited for: it goes to a route that has not refused it.
                Again::Elsewhere => Duration::ZERO,
                _ => self.settings.backoff.full(attempt, self.random.random::<f64>()),
            };
            self.ended.push(Ended::Retry { key, outcome, not_before: now + wait, service, job: waiter });
            return;
        }
        let retry_after = retry_after.unwrap_or(self.settings.backoff.base);
        waiter.refuse(match own {
            true => Refused::Final,
            false => Refused::Exhausted { attempts: attempt, retry_after },
        });
        self.ended.push(Ended::Done { key, outcome, charged, cost, service });
    }

    /// Says whether a failure is the request's own matter, so that others are not to be bothered with it for long, and
    /// whether its tenant fails so much more than others that it tells nothing of the route. A stated wait always does.
    fn whose(&mut self, tenant: u64, outcome: Outcome, stated: bool) -> (bool, bool) {
        let fails = matches!(outcome, Outcome::Failed | Outcome::Throttled | Outcome::Overloaded);
        let odd = fails && !stated && self.blame.is_odd(tenant);
        let own = outcome == Outcome::Failed && (odd || self.blame.is_own(tenant));
        if fails || outcome == Outcome::Success {
            self.blame.note(tenant, !fails);
        }
        (own, odd)
    }

    /// Returns which machines an outcome moves here. What another route may take although this one refuses it tells of
    /// this route only where there is another; what is too large for it, or too dear, never does.
    fn bearing(&self, outcome: Outcome, verdict: Verdict) -> Outcome {
        let others = self.settings.routes.len() > 1;
        match verdict.again {
            Again::Elsewhere if others && matches!(verdict.matter, Matter::Key | Matter::Unknown) => Outcome::Failed,
            Again::Elsewhere if !others => Outcome::Rejected,
            _ => outcome,
        }
    }

    /// Counts an ended attempt and tells of it.
    fn count(&self, held: &Held, outcome: Outcome, verdict: Verdict, service: Duration) {
        self.stats.attempt(outcome);
        self.tap.tell(|| {
            let (provider, attempt) = (self.route.provider_name.clone(), held.attempt);
            EventKind::Settled { provider, attempt, outcome, service }
        });
        if matches!(outcome, Outcome::Success | Outcome::Cancelled) {
            return;
        }
        self.stats.verdict(verdict);
        let stated = verdict.basis == Basis::Configured || verdict.suspends();
        if stated || verdict.suspects_account() {
            self.tap.decide(|| EventKind::Judged { provider: self.route.provider_name.clone(), verdict });
            let (provider, upstream) = (&self.route.provider_name, &self.route.upstream);
            tracing::info!(model = %self.tap.model, %provider, %upstream, scope = verdict.scope.as_str(),
                matter = verdict.matter.as_str(), again = verdict.again.as_str(), "the provider's answer was judged");
        }
    }
}
