//! The way of one request, from the caller's side: submit, wait for a slot, make the attempt, and again if it must be.
//!
//! The attempt runs in the caller's own task. The engine moves tickets, never payloads: a body is not sent between
//! threads, dropping the future abandons the call at once, and a panic stays with the caller that brought it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::error::Error;
use super::events::EventKind;
use super::handle::Engine;
use super::lease::{Grant, Lease, Waiting};
use super::messages::Submit;
use super::provider::{Attempt, Errand, Failure, Told};
use super::quote::Quote;
use super::registry::{Live, Model};
use super::slot::{Slot, Tally};
use super::witness::{End, Witness};
use crate::config::TenantPolicy;
use crate::core::broker::{Past, Refused};
use crate::core::cost::Cost;
use crate::core::fair_queue::{Class, Request};
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::report::Report;
use crate::core::time::Time;
use crate::core::verdict::Again;
use crate::task::{Task, Usage};

/// Times a request is submitted anew because the actor that held it died.
const RESUBMISSIONS: u32 = 5;
/// A pause before that, for the new actor to be in place.
const RESUBMIT_PAUSE: Duration = Duration::from_millis(20);
/// The tenant of callers that name none.
const ANONYMOUS: &str = "default";

/// What scheduling needs to know of a request.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) model: Arc<str>,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) class: Option<Class>,
    pub(crate) quote: Quote,
    pub(crate) max_wait: Option<Duration>,
    /// By when the answer must be there.
    pub(crate) deadline: Option<Instant>,
    /// Attempts in all; the model allows no more than its own number.
    pub(crate) max_attempts: u32,
    /// Is told how it went.
    pub(crate) witness: Option<Arc<dyn Witness>>,
}

impl Spec {
    /// Describes a task.
    pub(crate) fn of<T: Task>(task: &T) -> Self {
        let quote = Quote { units: task.cost(), tokens: task.tokens(), streams: false };
        Self { quote, ..Self::new(task.model().into()) }
    }

    pub(crate) fn new(model: Arc<str>) -> Self {
        let (tenant, class, max_wait, deadline, witness) = (None, None, None, None, None);
        let quote = Quote::default();
        Self { model, tenant, class, quote, max_wait, deadline, max_attempts: u32::MAX, witness }
    }
}

/// How a request went: the figures behind the `x-fairflow-*` headers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Receipt {
    /// Time spent waiting for a slot, over all attempts.
    pub queued: Duration,
    /// Time the last attempt took, until its answer began.
    pub upstream: Duration,
    /// Attempts made.
    pub attempts: u32,
    /// Provider account that answered.
    pub provider: Arc<str>,
    /// The model's name there.
    pub upstream_model: Arc<str>,
    /// What the provider said beside its answer.
    pub told: Told,
}

/// What an attempt yields beside its value.
#[derive(Debug)]
pub(crate) struct Yield<T> {
    pub(crate) value: T,
    pub(crate) hints: RateHints,
    /// The provider's own name for the request.
    pub(crate) id: Option<Arc<str>>,
}

/// Runs `call` once a slot is granted, and again while its failures are worth it, until the caller's deadline.
///
/// Requests wait in this future by the hundred thousand. So what an attempt needs is boxed.
#[allow(clippy::manual_async_fn, reason = "an async function keeps its arguments twice")]
pub(crate) fn run<T, F, Fut>(
    engine: &Engine,
    spec: Box<Spec>,
    mut call: F,
) -> impl Future<Output = Result<(T, Slot, Receipt), Error>>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<Yield<T>, Failure>>,
{
    async move {
        let tenant = spec.tenant.as_deref().unwrap_or(ANONYMOUS);
        let policy = engine.shared.policy(tenant);
        let model = match engine.shared.model(&spec.model).filter(|_| policy.allows(&spec.model)) {
            Some(model) => model,
            None => Box::pin(engine.model(&spec.model, tenant, &policy)).await?,
        };
        let mut journey = Journey::begin(engine, spec, model);
        let entered = journey.enter(&policy).inspect_err(|error| journey.refused(error));
        drop(policy);
        let mut waiting = entered?;
        loop {
            let grant = journey.grant(&mut waiting).await.inspect_err(|error| journey.refused(error))?;
            match Box::pin(journey.attempt(grant, &mut call)).await? {
                Made::Nothing(next) => waiting = next,
                Made::Answer { value, hints, lease, charged, sent, receipt } => {
                    return Ok((value, journey.keep(lease, charged, hints, sent), receipt));
                }
            }
        }
    }
}

/// What came of an attempt, unless the request ended with an error.
#[allow(clippy::large_enum_variant, reason = "it is handed on at once")]
enum Made<T> {
    /// An answer; its slot is still held.
    Answer { value: T, hints: RateHints, lease: Lease, charged: Cost, sent: Time, receipt: Receipt },
    /// Nothing, and it waits for another.
    Nothing(Waiting),
}

/// One request on its way, over any number of attempts.
struct Journey<'a> {
    engine: &'a Engine,
    spec: Box<Spec>,
    tenant: Arc<str>,
    model: Arc<Model>,
    admitted: Time,
    submissions: u32,
    failure: Option<Box<Failure>>,
    past: Past,
    tally: Tally,
    live: Live,
    /// Made for the first attempt.
    errand: Option<Arc<Errand>>,
    /// Time spent in attempts.
    served: Duration,
}

impl<'a> Journey<'a> {
    fn begin(engine: &'a Engine, mut spec: Box<Spec>, model: Arc<Model>) -> Self {
        let shared = &engine.shared;
        let tenant = spec.tenant.take().unwrap_or_else(|| ANONYMOUS.into());
        let admitted = shared.clock.now();
        let tally = Tally::new(&model, &tenant, &spec, shared.clock, admitted);
        Self {
            engine,
            tenant,
            spec,
            admitted,
            submissions: 0,
            failure: None,
            past: Past::default(),
            tally,
            live: shared.enter(),
            model,
            errand: None,
            served: Duration::ZERO,
        }
    }

    /// Makes one attempt under its lease.
    async fn attempt<T, F, Fut>(&mut self, grant: Grant, call: &mut F) -> Result<Made<T>, Error>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<Yield<T>, Failure>>,
    {
        let shared = &self.engine.shared;
        let Grant { lease, attempt: number, past, probe, charged, timeout, sent } = grant;
        let route = lease.route.clone();
        let timeout = shared.clock.instant(sent + timeout);
        let deadline = self.spec.deadline.map_or(timeout, |at| at.min(timeout));
        let queued = sent.since(self.admitted).saturating_sub(self.served);
        self.dispatched(&route.provider_name, number, queued);
        let attempt = Attempt {
            errand: self.errand.get_or_insert_default().clone(),
            number,
            last: number >= self.most_attempts(),
            lease: shared.next_lease(),
            deadline,
            tenant: self.tenant.clone(),
            provider: route.provider_name.clone(),
            upstream: route.upstream.clone(),
            client: route.provider.clone(),
            trace: self.spec.witness.as_ref().and_then(|witness| witness.trace(number)),
        };
        self.tally.note(|diary| diary.attempt(number, &route, sent));
        self.tally.with_provider(true);
        // The call is made inside what is caught: an adapter may panic before it returns its future.
        let attempted = AssertUnwindSafe(async { call(attempt).await }).catch_unwind();
        let failure = match tokio::time::timeout_at(deadline, attempted).await {
            Ok(Ok(Ok(Yield { value, hints, id }))) => {
                let now = shared.clock.now();
                self.tally.note(|diary| diary.answered(now, id.clone()));
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
                tracing::error!(model = %self.spec.model, "an attempt panicked: {what}");
                self.tally.note(|diary| diary.judge(Outcome::Rejected, None));
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
        self.tally.note(|diary| diary.judge(failure.outcome, Some(&failure)));
        self.past = past;
        self.failed(lease, (number, probe), failure).map(Made::Nothing)
    }

    /// Decides what becomes of a request whose attempt failed: it waits for another, or ends.
    fn failed(&mut self, lease: Lease, (number, probe): (u32, bool), mut failure: Failure) -> Result<Waiting, Error> {
        failure.spent |= self.errand.as_ref().is_some_and(|errand| errand.is_spent());
        self.tally.with_provider(failure.spent);
        let report = failure.report();
        let settings = self.model.settings();
        let ends = match failure.verdict.again {
            Again::Never => true,
            Again::Here => !failure.outcome.is_retryable(),
            Again::Elsewhere => settings.routes.len() < 2,
        };
        if ends {
            lease.settle(report, None);
            return Err(self.end(Error::Rejected(Box::new(failure))));
        }
        if failure.spent && !settings.resubmit {
            lease.settle(report, None);
            return Err(self.end(Error::Unconfirmed(Box::new(failure))));
        }
        // What never reached the provider costs no attempt, nor does a test that was made at its expense.
        let tested = probe && matches!(failure.outcome, Outcome::Overloaded | Outcome::Failed);
        let free = (failure.unsent || tested) && !failure.spent && !failure.timed_out;
        self.past.attempts = number - u32::from(free);
        self.past.elsewhere = failure.verdict.again == Again::Elsewhere;
        if self.past.attempts >= self.spec.max_attempts {
            lease.settle(report, None);
            self.failure = Some(Box::new(failure));
            let exhausted = self.exhausted(number, settings.backoff.base);
            return Err(self.end(exhausted));
        }
        if self.past.attempts < self.most_attempts() {
            self.model.tap.tell(|| {
                let (tenant, provider) = (self.tenant.clone(), lease.route.provider_name.clone());
                EventKind::Retried { tenant, provider, attempt: number, outcome: failure.outcome }
            });
        }
        self.failure = Some(Box::new(failure));
        let (waiter, next) = Waiting::new(self.model.clone(), None, self.past);
        self.tally.note(|diary| diary.again(next.seat(), self.engine.shared.clock.now()));
        lease.settle(report, Some(waiter));
        Ok(next)
    }

    /// Counts the end of the request.
    fn end(&mut self, error: Error) -> Error {
        self.engine.refused(&self.model, &error);
        self.tally.end(End::Error(&error));
        error
    }

    /// Ends the journey with an answer whose slot is still held.
    fn keep(self, lease: Lease, charged: Cost, hints: RateHints, sent: Time) -> Slot {
        let Self { tally, admitted, live, .. } = self;
        Slot {
            lease: Some(lease),
            charged,
            spent: 0,
            told: Usage::default(),
            hints,
            tally,
            admitted,
            sent,
            heard: sent,
            live,
        }
    }

    /// Opens the bill, where the tenant can pay for it, and enters the queue.
    fn enter(&mut self, policy: &TenantPolicy) -> Result<Waiting, Error> {
        let shared = &self.engine.shared;
        // A drain's refusal goes before all others.
        if !shared.draining.load(std::sync::atomic::Ordering::SeqCst) {
            let expected = self.spec.quote.expected(&self.model);
            self.tally.open(shared.ledger.admit(shared, &self.tenant, policy, expected)?, expected);
        }
        self.submit(policy)
    }

    fn submit(&mut self, policy: &TenantPolicy) -> Result<Waiting, Error> {
        let shared = &self.engine.shared;
        let settings = self.model.settings();
        if shared.draining.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(Error::NoCapacity { retry_after: Duration::from_secs(1) });
        }
        self.submissions += 1;
        let permit = self.model.gate.enter(settings.queue.capacity);
        let Some(permit) = permit else {
            let rate = self.model.capacity.borrow().throughput_per_second;
            let retry_after = Duration::from_secs_f64(if rate > 0.0 { (1.0 / rate).min(60.0) } else { 1.0 });
            return Err(Error::QueueFull { retry_after });
        };
        let (waiter, waiting) = Waiting::new(self.model.clone(), Some(permit), self.past);
        let tenant = self.tenant.clone();
        let max_wait = self.spec.max_wait.map_or(settings.max_wait, |wait| wait.min(settings.max_wait));
        let limits = settings.limits(&tenant, policy);
        let deadline = self.admitted + max_wait;
        self.model.send(Submit(Request {
            tenant,
            limits,
            class: policy.class_for(self.spec.class),
            cost: self.spec.quote.units,
            deadline: self.spec.deadline.map_or(deadline, |at| deadline.min(shared.clock.time(at))),
            payload: waiter,
        }));
        Ok(waiting)
    }

    fn most_attempts(&self) -> u32 {
        self.spec.max_attempts.min(self.model.settings().max_attempts)
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
    fn refused(&mut self, error: &Error) {
        self.engine.refused(&self.model, error);
        self.tally.end(End::Error(error));
        let tenant = || self.tenant.clone();
        let reason = error.reason();
        let shared = &self.engine.shared;
        let drained = shared.draining.load(std::sync::atomic::Ordering::SeqCst) && self.submissions > 0;
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
    async fn grant(&mut self, waiting: &mut Waiting) -> Result<Grant, Error> {
        loop {
            if let Some(answer) = self.answer(waiting).await {
                return answer;
            }
            if self.submissions > RESUBMISSIONS || self.engine.stopped() {
                return Err(Error::Stopped);
            }
            *waiting = Box::pin(self.resubmit()).await?;
        }
    }

    /// Waits for the queue's answer, until the caller's deadline; `None` where the actor that held the request died.
    async fn answer(&mut self, waiting: &mut Waiting) -> Option<Result<Grant, Error>> {
        let answer = match self.spec.deadline {
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
                let waited = self.engine.shared.clock.now().since(self.admitted);
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
        let clock = self.engine.shared.clock;
        clock.time(deadline) <= clock.now()
    }

    async fn resubmit(&mut self) -> Result<Waiting, Error> {
        tokio::time::sleep(RESUBMIT_PAUSE).await;
        let policy = self.engine.shared.policy(&self.tenant);
        self.model = self.engine.model(&self.spec.model, &self.tenant, &policy).await?;
        self.submit(&policy)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
