//! A request over any number of attempts.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::accounting::Accounting;
use super::plan::Plan;
use crate::config::TenantPolicy;
use crate::contract::attempt::{Attempt, RequestContext};
use crate::contract::failure::Failure;
use crate::contract::provider::{Provider, Told};
use crate::core::broker::Refused;
use crate::core::cost::Cost;
use crate::core::fair_queue::Request;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::past::Past;
use crate::core::report::{Final, Report};
use crate::core::time::Time;
use crate::core::verdict::Again;
use crate::engine::caller::recorder::End;
use crate::engine::caller::slot::Slot;
use crate::engine::shared::model::Model;
use crate::engine::shared::registry::Shared;
use crate::engine::ticket::lease::{Grant, Lease, Retry};
use crate::engine::ticket::messages::QueueMessage;
use crate::engine::ticket::waiting::Waiting;
use crate::engine::view::error::Error;
use crate::engine::view::events::EventKind;
use crate::engine::view::receipt::Receipt;
use crate::task::Usage;

/// Yield of an attempt: its value, and the figures beside it.
#[derive(Debug)]
pub(crate) struct Yield<T> {
    pub(crate) value: T,
    pub(crate) hints: RateHints,
    /// The provider's own name for the request.
    pub(crate) id: Option<Arc<str>>,
}

/// Times a request is submitted anew because the actor that held it died.
const RESUBMISSIONS: u32 = 5;
/// A pause before that, for the new actor to be in place.
const RESUBMIT_PAUSE: Duration = Duration::from_millis(20);
/// The tenant of callers that name none.
pub(super) const ANONYMOUS: &str = "default";

/// End of an attempt, unless the request ended with an error.
#[allow(clippy::large_enum_variant, reason = "it is handed on at once")]
pub(super) enum Made<T> {
    /// An answer; its slot is still held.
    Answer { value: T, hints: RateHints, lease: Lease, charged: Cost, sent: Time, receipt: Receipt },
    /// Nothing, and it waits for another.
    Nothing(Waiting),
}

/// A request on its way, over any number of attempts.
pub(super) struct Journey<'a> {
    shared: &'a Arc<Shared>,
    plan: Box<Plan>,
    tenant: Arc<str>,
    model: Arc<Model>,
    admitted: Time,
    submissions: u32,
    failure: Option<Box<Failure>>,
    past: Past,
    accounting: Accounting,
    /// Made for the first attempt.
    context: Option<Arc<RequestContext>>,
    /// Time spent in attempts.
    served: Duration,
}

impl<'a> Journey<'a> {
    pub(super) fn begin(shared: &'a Arc<Shared>, mut plan: Box<Plan>, model: Arc<Model>) -> Self {
        let tenant = plan.tenant.take().unwrap_or_else(|| ANONYMOUS.into());
        let admitted = shared.clock.now();
        let accounting = Accounting::new(shared, &model, &tenant, &plan, admitted);
        let past = Past::none(plan.max_attempts);
        Self {
            shared,
            tenant,
            plan,
            admitted,
            submissions: 0,
            failure: None,
            past,
            accounting,
            model,
            context: None,
            served: Duration::ZERO,
        }
    }

    /// Makes one attempt under its lease.
    pub(super) async fn attempt<T, F, Fut>(&mut self, grant: Grant, call: &mut F) -> Result<Made<T>, Error>
    where
        F: FnMut(Attempt, Arc<dyn Provider>) -> Fut,
        Fut: Future<Output = Result<Yield<T>, Failure>>,
    {
        let shared = self.shared;
        let Grant { lease, attempt: number, last, past, probe, charged, timeout, sent } = grant;
        let route = lease.route.clone();
        let timeout = shared.clock.instant(sent + timeout);
        let deadline = self.plan.deadline.map_or(timeout, |at| at.min(timeout));
        let queued = sent.since(self.admitted).saturating_sub(self.served);
        self.dispatched(&route.provider_name, number, queued);
        let attempt = Attempt {
            context: self.context.get_or_insert_default().clone(),
            number,
            last,
            lease: shared.next_lease(),
            deadline,
            tenant: self.tenant.clone(),
            provider: route.provider_name.clone(),
            upstream: route.upstream.clone(),
            trace: self.plan.witness.as_ref().and_then(|witness| witness.trace(number)),
        };
        self.accounting.note(|recorder| recorder.attempt(number, &route, sent));
        self.accounting.with_provider(true);
        // The call is made inside what is caught: an adapter may panic before it returns its future.
        let attempted = AssertUnwindSafe(async { call(attempt, route.provider.clone()).await }).catch_unwind();
        let failure = match tokio::time::timeout_at(deadline, attempted).await {
            Ok(Ok(Ok(Yield { value, hints, id }))) => {
                let now = shared.clock.now();
                self.accounting.note(|recorder| recorder.answered(now, id.clone()));
                let receipt = Receipt {
                    queued,
                    upstream: now.since(sent),
                    attempts: number,
                    provider: route.provider_name.clone(),
                    upstream_model: route.upstream.clone(),
                    told: Told { id, ..Told::default() },
                };
                return Ok(Made::Answer { value, hints, lease, charged, sent, receipt });
            }
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(panic)) => {
                // A fault of the adapter or the closure, not of the provider: no signal, and no second try.
                lease.settle(Report::new(Outcome::Rejected), None);
                let what = panic_message(panic.as_ref());
                tracing::error!(model = %self.plan.model, "an attempt panicked: {what}");
                self.accounting.note(|recorder| recorder.judge(Outcome::Rejected, None));
                return Err(self.end(Error::Internal(format!("the attempt panicked: {what}"))));
            }
            Err(_) if deadline < timeout => {
                // What the caller's own impatience ends is no fault of the provider.
                lease.settle(Report::new(Outcome::Cancelled), None);
                self.refused(&Error::DeadlineExceeded);
                return Err(Error::DeadlineExceeded);
            }
            Err(_) => Failure {
                timed_out: true,
                ..Failure::new(Outcome::Overloaded, "no answer within the attempt's timeout")
            },
        };
        self.served += shared.clock.now().since(sent);
        self.accounting.note(|recorder| recorder.judge(failure.outcome, Some(&failure)));
        self.past = past;
        self.failed(lease, probe, failure).map(Made::Nothing)
    }

    /// Ends a request whose attempt failed, or has it wait for the word of its route: another attempt, or none.
    fn failed(&mut self, lease: Lease, probe: bool, mut failure: Failure) -> Result<Waiting, Error> {
        failure.spent |= self.context.as_ref().is_some_and(|context| context.is_spent());
        self.accounting.with_provider(failure.spent);
        let report = failure.report();
        let settings = self.model.settings();
        let failure = Box::new(failure);
        if let Some(end) = report.ends(settings.routes.len(), settings.resubmit) {
            lease.settle(report, None);
            return Err(self.end(match end {
                Final::Rejected => Error::Rejected(failure),
                Final::Unconfirmed => Error::Unconfirmed(failure),
            }));
        }
        self.past = self.past.after(&report, probe);
        self.failure = Some(failure);
        let (waiter, next) = Waiting::new(self.model.queue.clone(), None, self.past);
        self.accounting.note(|recorder| recorder.again(next.seat(), self.shared.clock.now()));
        lease.settle(report, Some(Retry { tenant: self.tenant.clone(), waiter }));
        Ok(next)
    }

    /// Counts the end of the request.
    fn count_end(&mut self, error: &Error) {
        self.shared.refused(&self.model, error);
        self.accounting.end(End::Error(error));
    }

    /// Ends the request with what its attempt came to, which has been told of.
    fn end(&mut self, error: Error) -> Error {
        self.count_end(&error);
        error
    }

    /// Ends the journey with an answer whose slot is still held.
    pub(super) fn keep(self, lease: Lease, charged: Cost, hints: RateHints, sent: Time) -> Slot {
        let Self { accounting, admitted, .. } = self;
        Slot {
            lease: Some(lease),
            charged,
            spent: 0,
            told: Usage::default(),
            hints,
            accounting,
            admitted,
            sent,
            heard: sent,
        }
    }

    /// Opens the bill, where the tenant can pay for it, and enters the queue.
    pub(super) fn enter(&mut self, policy: &TenantPolicy) -> Result<Waiting, Error> {
        let shared = self.shared;
        // A drain's refusal goes before all others.
        if !shared.is_draining() {
            let expected = self.plan.quote.expected(&self.model);
            self.accounting.open(shared.ledger.admit(&shared.settings(), &self.tenant, policy, expected)?, expected);
        }
        self.submit(policy)
    }

    fn submit(&mut self, policy: &TenantPolicy) -> Result<Waiting, Error> {
        let shared = self.shared;
        let settings = self.model.settings();
        if shared.is_draining() {
            return Err(Error::NoCapacity { retry_after: Duration::from_secs(1) });
        }
        self.submissions += 1;
        let permit = self.model.gate.enter(settings.queue.capacity);
        let Some(permit) = permit else {
            let rate = self.model.capacity.borrow().throughput_per_second;
            let retry_after = Duration::from_secs_f64(if rate > 0.0 { (1.0 / rate).min(60.0) } else { 1.0 });
            return Err(Error::QueueFull { retry_after });
        };
        let (waiter, waiting) = Waiting::new(self.model.queue.clone(), Some(permit), self.past);
        let tenant = self.tenant.clone();
        let max_wait = self.plan.max_wait.map_or(settings.max_wait, |wait| wait.min(settings.max_wait));
        let limits = settings.limits(&tenant, policy);
        let deadline = self.admitted + max_wait;
        let request = Request {
            tenant,
            limits,
            class: policy.class_for(self.plan.class),
            cost: self.plan.quote.units,
            deadline: self.plan.deadline.map_or(deadline, |at| deadline.min(shared.clock.time(at))),
            payload: waiter,
        };
        self.model.queue.send(QueueMessage::Submit(request));
        Ok(waiting)
    }

    /// Words the end of a request whose last attempt failed.
    fn exhausted(&mut self, attempts: u32, retry_after: Duration) -> Error {
        match self.failure.take() {
            Some(failure) if failure.timed_out => Error::UpstreamTimeout { attempts },
            // No route would have it: that is the provider's answer.
            Some(failure) if failure.verdict.again == Again::Elsewhere => Error::Rejected(failure),
            Some(last) => Error::RetriesExhausted { attempts, retry_after, last },
            None => Error::Internal("attempts are used up, and none has failed".to_owned()),
        }
    }

    fn dispatched(&self, provider: &Arc<str>, attempt: u32, waited: Duration) {
        self.model.tap.tell(|| {
            let (tenant, provider) = (self.tenant.clone(), provider.clone());
            EventKind::Dispatched { tenant, provider, attempt, waited }
        });
    }

    /// Counts a request that ends without an attempt under way, and tells of it.
    pub(super) fn refused(&mut self, error: &Error) {
        self.count_end(error);
        let tenant = || self.tenant.clone();
        let reason = error.reason();
        let shared = self.shared;
        let drained = shared.is_draining() && self.submissions > 0;
        match error {
            // Its attempts have been told of.
            Error::RetriesExhausted { .. } | Error::UpstreamTimeout { .. } | Error::Rejected(_) => {}
            Error::NoCapacity { .. } if !drained => {
                self.model.tap.tell(|| EventKind::Rejected { tenant: tenant(), reason });
            }
            Error::QueueTimeout { .. } | Error::DeadlineExceeded | Error::NoCapacity { .. } | Error::Stopped => {
                self.model.tap.tell(|| {
                    let waited = shared.clock.now().since(self.admitted);
                    EventKind::Shed { tenant: tenant(), reason, waited }
                })
            }
            _ => self.model.tap.tell(|| EventKind::Rejected { tenant: tenant(), reason }),
        }
    }

    /// Waits for a slot; submits anew where the actor that held the request died.
    pub(super) async fn grant(&mut self, waiting: &mut Waiting) -> Result<Grant, Error> {
        loop {
            if let Some(answer) = self.answer(waiting).await {
                return answer;
            }
            if self.submissions > RESUBMISSIONS || self.shared.is_stopped() {
                return Err(Error::Stopped);
            }
            *waiting = Box::pin(self.resubmit()).await?;
        }
    }

    /// Waits for the queue's answer, until the caller's deadline; `None` where the actor that held the request died.
    async fn answer(&mut self, waiting: &mut Waiting) -> Option<Result<Grant, Error>> {
        let answer = match self.plan.deadline {
            None => waiting.await,
            Some(deadline) => match Box::pin(tokio::time::timeout_at(deadline, waiting)).await {
                // The queue's clock may strike first.
                Ok(Some(Err(Refused::Expired { .. }))) if self.is_past(deadline) => {
                    return Some(Err(Error::DeadlineExceeded));
                }
                Ok(answer) => answer,
                Err(_) => return Some(Err(Error::DeadlineExceeded)),
            },
        };
        answer.map(|granted| granted.map_err(|refused| self.word(refused)))
    }

    /// Words a refusal: the scheduler knows that a request ends, and its caller with which failure.
    fn word(&mut self, refused: Refused) -> Error {
        match refused {
            Refused::Admission(refusal) => refusal.into(),
            Refused::NoCapacity { retry_after } => Error::NoCapacity { retry_after },
            Refused::Expired { retry_after } => {
                let waited = self.shared.clock.now().since(self.admitted);
                Error::QueueTimeout { waited, retry_after }
            }
            Refused::Exhausted { attempts, retry_after } => self.exhausted(attempts, retry_after),
            Refused::Final => {
                let unknown = || Error::Internal("the last failure is the answer, and none is known".to_owned());
                self.failure.take().map_or_else(unknown, Error::Rejected)
            }
            Refused::Unknown => Error::Stopped,
        }
    }

    fn is_past(&self, deadline: Instant) -> bool {
        let clock = self.shared.clock;
        clock.time(deadline) <= clock.now()
    }

    async fn resubmit(&mut self) -> Result<Waiting, Error> {
        tokio::time::sleep(RESUBMIT_PAUSE).await;
        let policy = self.shared.policy(&self.tenant);
        self.model = self.shared.find_model(&self.plan.model, &self.tenant, &policy).await?;
        self.submit(&policy)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
