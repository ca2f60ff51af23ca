//! The way of one request, from the caller's side: submit, wait for a slot, make the attempt, and again if it must be.
//!
//! The attempt runs in the caller's own task. The engine moves tickets, never payloads: a body is not sent between
//! threads, dropping the future abandons the call at once, and a panic stays with the caller that brought it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Either;
use tokio::time::Instant;

use super::clock::Clock;
use super::error::Error;
use super::events::EventKind;
use super::handle::Engine;
use super::lease::{Grant, Lease, Report, Waiting};
use super::messages::Submit;
use super::provider::{Attempt, Errand, Failure};
use super::registry::{Live, Model, Shared};
use super::stats::Stats;
use super::witness::{Diary, End, Witness};
use crate::core::cost::Cost;
use crate::core::fair_queue::Class;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::time::Time;
use crate::task::Usage;

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
    pub(crate) cost: Cost,
    pub(crate) max_wait: Option<Duration>,
    /// By when the answer must be there.
    pub(crate) deadline: Option<Instant>,
    /// Attempts in all; the model allows no more than its own number.
    pub(crate) max_attempts: u32,
    /// Is told how it went.
    pub(crate) witness: Option<Arc<dyn Witness>>,
}

impl Spec {
    pub(crate) fn new(model: Arc<str>, cost: Cost) -> Self {
        let (tenant, class, max_wait, deadline, witness) = (None, None, None, None, None);
        Self { model, tenant, class, cost, max_wait, deadline, max_attempts: u32::MAX, witness }
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
}

/// What an attempt yields beside its value.
#[derive(Debug)]
pub(crate) struct Yield<T> {
    pub(crate) value: T,
    pub(crate) hints: RateHints,
}

/// A slot that is still held: of an answer that streams, or one not accounted for yet. Dropped unsettled it counts as
/// cancelled.
#[derive(Debug)]
pub(crate) struct Slot {
    lease: Option<Lease>,
    hints: RateHints,
    tally: Tally,
    shared: Arc<Shared>,
    admitted: Time,
    sent: Time,
    _live: Live,
}

impl Slot {
    /// Ends the attempt well, with what it cost and used.
    pub(crate) fn succeed(mut self, cost: Option<Cost>, usage: Usage) {
        let now = self.shared.clock.now();
        self.tally.stats.service.record(now.since(self.sent));
        self.tally.stats.sojourn.record(now.since(self.admitted));
        self.tally.stats.count_tokens(usage.input_tokens, usage.output_tokens);
        self.tally.note(|diary| {
            diary.judge(Outcome::Success, None);
            diary.used(usage);
        });
        self.tally.end(End::Success);
        if let Some(lease) = self.lease.take() {
            lease.settle(Report { cost, hints: self.hints, ..Report::ended(Outcome::Success) }, None);
        }
    }

    /// Ends the attempt badly: a stream broke off after it had begun.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.tally.note(|diary| diary.judge(failure.outcome, Some(failure)));
        self.tally.end(End::Broken);
        if let Some(lease) = self.lease.take() {
            lease.settle(Report::failed(failure), None);
        }
    }
}

/// Counts each request once, as cancelled unless told otherwise, and tells its story where somebody asked for it.
#[derive(Debug)]
struct Tally {
    stats: Arc<Stats>,
    counted: bool,
    diary: Option<Box<Diary>>,
}

impl Tally {
    fn new(model: &Model, tenant: &Arc<str>, spec: &Spec, clock: Clock, admitted: Time) -> Self {
        let open =
            |witness: &Arc<dyn Witness>| Box::new(Diary::open(witness.clone(), clock, &model.name, tenant, admitted));
        Self { stats: model.stats.clone(), counted: false, diary: spec.witness.as_ref().map(open) }
    }

    fn end(&mut self, end: End<'_>) {
        if !std::mem::replace(&mut self.counted, true) {
            self.stats.request(end.outcome());
            if let Some(diary) = self.diary.take() {
                diary.close(end);
            }
        }
    }

    /// Ends a request with an error, which it hands back.
    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        self.end(End::Error(&error));
        Err(error)
    }

    fn note(&mut self, write: impl FnOnce(&mut Diary)) {
        if let Some(diary) = &mut self.diary {
            write(diary);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end(End::Cancelled);
    }
}

/// Runs `call` once a slot is granted, and again while its failures are worth it, until the caller's deadline.
///
/// Requests wait in their futures by the hundred thousand: so what only some of them need is boxed.
pub(crate) fn run<T, F, Fut>(
    engine: &Engine,
    spec: Box<Spec>,
    call: F,
) -> impl Future<Output = Result<(T, Slot, Receipt), Error>>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<Yield<T>, Failure>>,
{
    match spec.deadline {
        None => Either::Left(attempts(engine, spec, call)),
        // What the caller's own impatience ends is cancelled: no fault of the provider.
        Some(deadline) => Either::Right(Box::pin(
            tokio::time::timeout_at(deadline, attempts(engine, spec, call))
                .map(|made| made.unwrap_or(Err(Error::DeadlineExceeded))),
        )),
    }
}

async fn attempts<T, F, Fut>(engine: &Engine, spec: Box<Spec>, mut call: F) -> Result<(T, Slot, Receipt), Error>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<Yield<T>, Failure>>,
{
    let shared = engine.shared.clone();
    let found = engine.shared.model(&spec.model);
    let model = match found {
        Some(model) => model,
        None => Box::pin(engine.model(&spec.model)).await?,
    };
    let live = shared.enter();
    let admitted = shared.clock.now();
    let tenant = spec.tenant.clone().unwrap_or_else(|| ANONYMOUS.into());
    let mut tally = Tally::new(&model, &tenant, &spec, shared.clock, admitted);
    let mut journey = Journey { engine, spec: &spec, tenant, model, admitted, submissions: 0, failure: None };
    let mut waiting = journey.submit().inspect_err(|error| journey.refused(&mut tally, error))?;
    let mut served = Duration::ZERO;
    // Made with the first attempt: what waits is many.
    let mut errand = None;
    loop {
        let granted = journey.grant(&mut waiting).await.inspect_err(|error| journey.refused(&mut tally, error))?;
        let Grant { lease, attempt: number, timeout, sent } = granted;
        let route = lease.route.clone();
        let deadline = shared.clock.instant(sent + timeout);
        let queued = sent.since(admitted).saturating_sub(served);
        journey.dispatched(&route.provider_name, number, queued);
        tally.note(|diary| diary.attempt(number, &route, sent));
        let errand: &Arc<Errand> = errand.get_or_insert_with(Arc::default);
        let attempt = Attempt {
            errand: errand.clone(),
            number,
            last: number >= journey.most_attempts(),
            lease: shared.next_lease(),
            deadline: spec.deadline.map_or(deadline, |at| at.min(deadline)),
            tenant: journey.tenant.clone(),
            provider: route.provider_name.clone(),
            upstream: route.upstream.clone(),
            client: route.provider.clone(),
            trace: spec.witness.as_ref().and_then(|witness| witness.trace(number)),
        };
        // The call is made inside what is caught: an adapter may panic before it returns its future.
        let attempted = AssertUnwindSafe(async { call(attempt).await }).catch_unwind();
        let mut failure = match Box::pin(tokio::time::timeout_at(deadline, attempted)).await {
            Ok(Ok(Ok(Yield { value, hints }))) => {
                let now = shared.clock.now();
                tally.note(|diary| diary.answered(now));
                let receipt = Receipt {
                    queued,
                    upstream: now.since(sent),
                    attempts: number,
                    provider: route.provider_name.clone(),
                    upstream_model: route.upstream.clone(),
                };
                let slot = Slot { lease: Some(lease), hints, tally, shared, admitted, sent, _live: live };
                return Ok((value, slot, receipt));
            }
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(panic)) => {
                // A fault of the adapter or the closure, not of the provider: no signal, and no second try.
                lease.settle(Report::ended(Outcome::Rejected), None);
                let what = panic_message(panic.as_ref());
                tracing::error!(model = %spec.model, "an attempt panicked: {what}");
                tally.note(|diary| diary.judge(Outcome::Rejected, None));
                return tally.fail(Error::Internal(format!("the attempt panicked: {what}")));
            }
            Err(_) => Failure {
                timed_out: true,
                ..Failure::new(Outcome::Overloaded, "no answer within the attempt's timeout")
            },
        };
        served += shared.clock.now().since(sent);
        tally.note(|diary| diary.judge(failure.outcome, Some(&failure)));
        let report = Report::failed(&failure);
        if !failure.outcome.is_retryable() {
            lease.settle(report, None);
            return tally.fail(Error::Rejected(Box::new(failure)));
        }
        failure.spent |= errand.is_spent();
        if failure.spent && !journey.model.settings().resubmit {
            lease.settle(report, None);
            return tally.fail(Error::Unconfirmed(Box::new(failure)));
        }
        if number >= spec.max_attempts {
            lease.settle(report, None);
            journey.failure = Some(Box::new(failure));
            let retry_after = journey.model.settings().backoff.base;
            return tally.fail(journey.exhausted(number, retry_after));
        }
        journey.failed(&route.provider_name, number, failure);
        let (waiter, next) = Waiting::new(journey.model.clone(), None, number, admitted);
        tally.note(|diary| diary.again(next.seat(), shared.clock.now()));
        lease.settle(report, Some(waiter));
        waiting = next;
    }
}

/// One request on its way, over any number of attempts.
struct Journey<'a> {
    engine: &'a Engine,
    spec: &'a Spec,
    tenant: Arc<str>,
    model: Arc<Model>,
    admitted: Time,
    submissions: u32,
    failure: Option<Box<Failure>>,
}

impl Journey<'_> {
    fn submit(&mut self) -> Result<Waiting, Error> {
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
        let attempts = self.failure.as_ref().map_or(0, |_| self.submissions - 1);
        let (waiter, waiting) = Waiting::new(self.model.clone(), Some(permit), attempts, self.admitted);
        let tenant = self.tenant.clone();
        let policy = shared.settings().policy(&tenant);
        let max_wait = self.spec.max_wait.map_or(settings.max_wait, |wait| wait.min(settings.max_wait));
        let limits = settings.limits(&tenant, &policy);
        let deadline = self.admitted + max_wait;
        self.model.send(Submit {
            tenant,
            limits,
            class: policy.class_for(self.spec.class),
            cost: self.spec.cost,
            deadline: self.spec.deadline.map_or(deadline, |at| deadline.min(shared.clock.time(at))),
            waiter,
        });
        Ok(waiting)
    }

    fn most_attempts(&self) -> u32 {
        self.spec.max_attempts.min(self.model.settings().max_attempts)
    }

    /// Words the end of a request whose last attempt failed.
    fn exhausted(&mut self, attempts: u32, retry_after: Duration) -> Error {
        match self.failure.take() {
            Some(failure) if failure.timed_out => Error::UpstreamTimeout { attempts },
            failure => {
                let unknown = || Box::new(Failure::new(Outcome::Overloaded, "unknown"));
                let last = failure.unwrap_or_else(unknown);
                Error::RetriesExhausted { attempts, retry_after, last }
            }
        }
    }

    fn dispatched(&self, provider: &Arc<str>, attempt: u32, waited: Duration) {
        self.model.tap.tell(|| {
            let (tenant, provider) = (self.tenant.clone(), provider.clone());
            EventKind::Dispatched { tenant, provider, attempt, waited }
        });
    }

    /// Remembers a failure that is worth another attempt.
    fn failed(&mut self, provider: &Arc<str>, attempt: u32, failure: Failure) {
        if attempt < self.most_attempts() {
            self.model.tap.tell(|| {
                let (tenant, provider) = (self.tenant.clone(), provider.clone());
                EventKind::Retried { tenant, provider, attempt, outcome: failure.outcome }
            });
        }
        self.failure = Some(Box::new(failure));
    }

    /// Counts a request that ends without an attempt under way, and tells of it.
    fn refused(&self, tally: &mut Tally, error: &Error) {
        tally.end(End::Error(error));
        let tenant = || self.tenant.clone();
        let reason = error.reason();
        let shared = &self.engine.shared;
        let drained = shared.draining.load(std::sync::atomic::Ordering::SeqCst) && self.submissions > 0;
        match error {
            // Its attempts have been told of.
            Error::RetriesExhausted { .. } | Error::UpstreamTimeout { .. } => {}
            Error::NoCapacity { .. } if !drained => {
                self.model.tap.tell(|| EventKind::Rejected { tenant: tenant(), reason });
            }
            Error::QueueTimeout { .. } | Error::NoCapacity { .. } | Error::Stopped => self.model.tap.tell(|| {
                let waited = shared.clock.now().since(self.admitted);
                EventKind::Shed { tenant: tenant(), reason, waited }
            }),
            _ => self.model.tap.tell(|| EventKind::Rejected { tenant: tenant(), reason }),
        }
    }

    /// Waits for a slot; submits anew where the actor that held the request died.
    async fn grant(&mut self, waiting: &mut Waiting) -> Result<Grant, Error> {
        loop {
            match (&mut *waiting).await {
                Some(Ok(grant)) => return Ok(grant),
                Some(Err(Error::RetriesExhausted { attempts, retry_after, .. })) => {
                    return Err(self.exhausted(attempts, retry_after));
                }
                Some(Err(error)) => return Err(error),
                None if self.submissions > RESUBMISSIONS || self.engine.stopped() => return Err(Error::Stopped),
                None => *waiting = Box::pin(self.resubmit()).await?,
            }
        }
    }

    async fn resubmit(&mut self) -> Result<Waiting, Error> {
        tokio::time::sleep(RESUBMIT_PAUSE).await;
        self.model = self.engine.model(&self.spec.model).await?;
        self.submit()
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
