//! The way of one request, from the caller's side: submit, wait for a slot, make the attempt, and again if it must be.
//!
//! The attempt runs in the caller's own task. The engine moves tickets, never payloads: a body is not sent between
//! threads, dropping the future abandons the call at once, and a panic stays with the caller that brought it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::error::Error;
use super::handle::Engine;
use super::lease::{Grant, Lease, Report, Waiting};
use super::messages::Submit;
use super::provider::{Attempt, Errand, Failure};
use super::registry::{Live, Model, Shared};
use super::stats::Stats;
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
        self.tally.end("success");
        if let Some(lease) = self.lease.take() {
            lease.settle(Report { cost, hints: self.hints, ..Report::ended(Outcome::Success) }, None);
        }
    }

    /// Ends the attempt badly: a stream broke off after it had begun.
    pub(crate) fn fail(mut self, failure: &Failure) {
        self.tally.end("rejected");
        if let Some(lease) = self.lease.take() {
            lease.settle(Report::failed(failure), None);
        }
    }
}

/// Counts each request once, as cancelled unless told otherwise.
#[derive(Debug)]
struct Tally {
    stats: Arc<Stats>,
    counted: bool,
}

impl Tally {
    fn end(&mut self, outcome: &str) {
        if !std::mem::replace(&mut self.counted, true) {
            self.stats.request(outcome);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.end("cancelled");
    }
}

/// Runs `call` once a slot is granted, and again while its failures are worth it.
pub(crate) async fn run<T, F, Fut>(engine: &Engine, spec: Spec, mut call: F) -> Result<(T, Slot, Receipt), Error>
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<Yield<T>, Failure>>,
{
    let shared = engine.shared.clone();
    let model = engine.model(&spec.model).await?;
    let mut tally = Tally { stats: model.stats.clone(), counted: false };
    let live = shared.enter();
    let admitted = shared.clock.now();
    let mut journey = Journey { engine, spec: &spec, model, admitted, submissions: 0, failure: None };
    let mut waiting = journey.submit().inspect_err(|error| tally.end(error.reason()))?;
    let mut served = Duration::ZERO;
    let errand = Arc::new(Errand::default());
    loop {
        let granted = journey.grant(waiting).await.inspect_err(|error| tally.end(error.reason()))?;
        let Grant { lease, attempt: number, timeout, sent } = granted;
        let route = lease.route.clone();
        let attempt = Attempt {
            errand: errand.clone(),
            number,
            deadline: shared.clock.instant(sent + timeout),
            provider: route.provider_name.clone(),
            upstream: route.upstream.clone(),
            client: route.provider.clone(),
        };
        let deadline = attempt.deadline;
        // The call is made inside what is caught: an adapter may panic before it returns its future.
        let attempted = AssertUnwindSafe(async { call(attempt).await }).catch_unwind();
        let mut failure = match tokio::time::timeout_at(deadline, attempted).await {
            Ok(Ok(Ok(Yield { value, hints }))) => {
                let now = shared.clock.now();
                let receipt = Receipt {
                    queued: sent.since(admitted).saturating_sub(served),
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
                tally.end("internal");
                let what = panic_message(panic.as_ref());
                tracing::error!(model = %spec.model, "an attempt panicked: {what}");
                return Err(Error::Internal(format!("the attempt panicked: {what}")));
            }
            Err(_) => Failure {
                timed_out: true,
                ..Failure::new(Outcome::Overloaded, "no answer within the attempt's timeout")
            },
        };
        served += shared.clock.now().since(sent);
        let report = Report::failed(&failure);
        if !failure.outcome.is_retryable() {
            lease.settle(report, None);
            tally.end("rejected");
            return Err(Error::Rejected(Box::new(failure)));
        }
        failure.spent |= errand.is_spent();
        if failure.spent && !journey.model.settings().resubmit {
            lease.settle(report, None);
            tally.end("unconfirmed");
            return Err(Error::Unconfirmed(Box::new(failure)));
        }
        journey.failure = Some(failure);
        let (waiter, next) = Waiting::new(journey.model.clone(), None, number, admitted);
        lease.settle(report, Some(waiter));
        waiting = next;
    }
}

/// One request on its way, over any number of attempts.
struct Journey<'a> {
    engine: &'a Engine,
    spec: &'a Spec,
    model: Arc<Model>,
    admitted: Time,
    submissions: u32,
    failure: Option<Failure>,
}

impl Journey<'_> {
    fn submit(&mut self) -> Result<Waiting, Error> {
        let shared = &self.engine.shared;
        let settings = self.model.settings();
        self.submissions += 1;
        if shared.draining.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(Error::NoCapacity { retry_after: Duration::from_secs(1) });
        }
        let permit = self.model.gate.enter(settings.queue.capacity);
        let Some(permit) = permit else {
            let rate = self.model.capacity.borrow().throughput_per_second;
            let retry_after = Duration::from_secs_f64(if rate > 0.0 { (1.0 / rate).min(60.0) } else { 1.0 });
            return Err(Error::QueueFull { retry_after });
        };
        let attempts = self.failure.as_ref().map_or(0, |_| self.submissions - 1);
        let (waiter, waiting) = Waiting::new(self.model.clone(), Some(permit), attempts, self.admitted);
        let tenant = self.spec.tenant.clone().unwrap_or_else(|| ANONYMOUS.into());
        let policy = shared.settings().policy(&tenant);
        let max_wait = self.spec.max_wait.map_or(settings.max_wait, |wait| wait.min(settings.max_wait));
        self.model.send(Submit {
            tenant,
            limits: policy.limits,
            class: policy.class_for(self.spec.class),
            cost: self.spec.cost,
            deadline: self.admitted + max_wait,
            waiter,
        });
        Ok(waiting)
    }

    /// Waits for a slot; submits anew where the actor that held the request died.
    async fn grant(&mut self, mut waiting: Waiting) -> Result<Grant, Error> {
        loop {
            match waiting.granted().await {
                Some(Ok(grant)) => return Ok(grant),
                Some(Err(Error::RetriesExhausted { attempts, retry_after, .. })) => {
                    return Err(match self.failure.take() {
                        Some(failure) if failure.timed_out => Error::UpstreamTimeout { attempts },
                        failure => {
                            let unknown = || Failure::new(Outcome::Overloaded, "unknown");
                            let last = Box::new(failure.unwrap_or_else(unknown));
                            Error::RetriesExhausted { attempts, retry_after, last }
                        }
                    });
                }
                Some(Err(error)) => return Err(error),
                None if self.submissions > RESUBMISSIONS || self.engine.stopped() => return Err(Error::Stopped),
                None => {
                    tokio::time::sleep(RESUBMIT_PAUSE).await;
                    self.model = self.engine.model(&self.spec.model).await?;
                    waiting = self.submit()?;
                }
            }
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
