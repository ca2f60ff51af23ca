//! How attempts end: what the route and its account learn from each, and what becomes of its job.

use std::time::Duration;

use super::gates::Settled;
use super::message::{Event, Output};
use super::{Ended, Held, Refused, Route};
use crate::core::account::{Limited, Signal, Used};
use crate::core::broker::Ride;
use crate::core::outcome::Outcome;
use crate::core::pacer::SUSPENSION;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::core::verdict::{Again, Matter, Suspicion};

/// Failures after which a request ends that fails where others are served.
const OWN_FAILURES: u32 = 2;

impl<J: Ride> Route<J> {
    /// Learns from one ended attempt and decides what becomes of its job.
    pub(super) fn land(
        &mut self,
        now: Time,
        held: Held,
        report: Report,
        retry: Option<J>,
        random: &mut dyn FnMut() -> f64,
    ) {
        let own = self.learn(now, &held, report, random);
        let service = now.since(held.ticket.sent());
        let Held { broker, job: key, charged, attempt, .. } = held;
        let known = broker == self.broker;
        if let Some(job) = retry {
            if job.past().allows_another(self.config.max_attempts) && !(own.is_own && attempt >= OWN_FAILURES) {
                if !known {
                    // The broker that knew this job is no more: dropping it has its caller submit it anew.
                    return;
                }
                let wait = match report.verdict.again {
                    // Nothing is waited for: it goes to a route that has not refused it.
                    Again::Elsewhere => Duration::ZERO,
                    _ => self.config.backoff.full(attempt, random()),
                };
                self.event(Event::Retried { attempt, outcome: report.outcome });
                self.ended.push(Ended::Retry { key, outcome: own.outcome, not_before: now + wait, service, job });
                return;
            }
            let refused = if own.is_own { Refused::Final } else { self.exhausted(attempt, &report) };
            self.outputs.push_back(Output::Refuse { job, refused });
        }
        if known {
            self.ended.push(Ended::Done { key, outcome: own.outcome, charged, cost: report.cost, service });
        }
    }

    /// Words the end of a request whose attempts are used up.
    pub(super) fn exhausted(&self, attempts: u32, report: &Report) -> Refused {
        Refused::Exhausted { attempts, retry_after: report.retry_after.unwrap_or(self.config.backoff.base) }
    }

    /// Has the gates, the account and those who watch learn from one ended attempt.
    fn learn(&mut self, now: Time, held: &Held, report: Report, random: &mut dyn FnMut() -> f64) -> Matters {
        let Report { verdict, words, .. } = report;
        let tenant = u64::from(held.ticket.payer());
        let matters = self.whose(tenant, &report);
        let outcome = matters.outcome;
        let service = now.since(held.ticket.sent());
        self.event(Event::Settled { attempt: held.attempt, outcome, verdict, service });
        let random = [random(), random()];
        let learned = Report { outcome, ..report };
        let Settled { change, hold, tokens, closed } =
            self.gates.settle(now, held.ticket, learned, self.around.demand, random);
        self.moved(change);
        if closed {
            self.event(Event::Closed);
        }
        let long = hold.is_some_and(|hold| hold >= SUSPENSION);
        let suspension = (verdict.suspends() || long).then_some(verdict.reason());
        self.suspend(now, suspension);
        if let Some(wait) = hold {
            self.event(Event::Held { wait });
        }
        let limited = (outcome == Outcome::RateLimited).then_some(Limited {
            sent: held.ticket.sent(),
            stated: hold,
            scope: verdict.scope,
            suspension,
        });
        let member = self.claims.member;
        let suspicion = verdict.suspects_account().then_some(Suspicion { tenant, model: member, words });
        if self.config.limited || limited.is_some() || suspicion.is_some() {
            let used = tokens.map(|actual| Used { predicted: held.ticket.tokens(), actual });
            let signal = Signal { used, limited, suspicion, ..Signal::slots(member, self.slots()) };
            self.outputs.push_back(Output::Signal(signal));
        }
        matters
    }

    /// Says whose matter the end of an attempt is, and so which machines it moves. A stated wait is always the route's.
    fn whose(&mut self, tenant: u64, report: &Report) -> Matters {
        let fails = matches!(report.outcome, Outcome::Failed | Outcome::Throttled | Outcome::Overloaded);
        let odd = fails && report.retry_after.is_none() && self.blame.is_odd(tenant);
        let is_own = report.outcome == Outcome::Failed && (odd || self.blame.is_own(tenant));
        if fails || report.outcome == Outcome::Success {
            self.blame.note(tenant, !fails);
        }
        let outcome = if is_own || odd { Outcome::Rejected } else { self.bearing(report) };
        Matters { is_own, outcome }
    }

    /// Returns which machines an outcome moves here. What another route may take although this one refuses it tells of
    /// this route only where there is another; what is too large for it, or too dear, never does.
    fn bearing(&self, report: &Report) -> Outcome {
        let others = self.config.routes > 1;
        match report.verdict.again {
            Again::Elsewhere if others && matches!(report.verdict.matter, Matter::Key | Matter::Unknown) => {
                Outcome::Failed
            }
            Again::Elsewhere if !others => Outcome::Rejected,
            _ => report.outcome,
        }
    }
}

/// Whose matter the end of an attempt is.
#[derive(Debug, Clone, Copy)]
struct Matters {
    /// Whether it is the request's own, so that others are not to be bothered with it for long.
    is_own: bool,
    /// The outcome for the gates. A tenant that fails so much more than others tells nothing of the route.
    outcome: Outcome,
}
