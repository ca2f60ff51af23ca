//! What the scheduler knows of a provider: one call, and how it ended.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::witness::TraceContext;
use super::words::Words;
use crate::core::cost::Cost;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::core::report::{Reached, Report};
use crate::core::verdict::{self, Verdict};
use crate::task::{Product, TextDelta, Usage};
use crate::wire::Request;

/// A way to have generations made: one account at one service.
///
/// The scheduler decides when; a provider only carries out one attempt and says honestly how it ended. It must not
/// retry by itself: a retry is scheduled work.
///
/// # Examples
///
/// ```
/// use fairflow::provider::{Answer, Attempt, BoxFuture, Failure, Provider};
/// use fairflow::task::{Product, TextResult};
/// use fairflow::wire::Request;
///
/// #[derive(Debug)]
/// struct Echo;
///
/// impl Provider for Echo {
///     fn call<'a>(&'a self, _: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>> {
///         Box::pin(async move {
///             let text = format!("attempt {} on {}", attempt.number(), attempt.upstream_model());
///             Ok(Answer::product(Product::Text(TextResult { text, ..TextResult::default() })))
///         })
///     }
/// }
/// ```
pub trait Provider: Send + Sync + fmt::Debug + 'static {
    /// Carries out one attempt. Dropping the future must abandon the call.
    ///
    /// # Errors
    ///
    /// A [`Failure`] whose outcome is what the controllers learn from.
    fn call<'a>(&'a self, request: &'a Request, attempt: &'a Attempt) -> BoxFuture<'a, Result<Answer, Failure>>;

    /// Forgets a response that the provider keeps under that id for later turns, at once and outside any schedule. One
    /// that it does not know is forgotten. Who keeps nothing has nothing to do, as here.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where it may be kept still.
    fn forget_response<'a>(&'a self, _id: &'a str, _upstream_model: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Asks how a response stands that the provider makes in the background, at once and outside any schedule; with
    /// `cancel`, after it has been told to stop. Who makes none refuses, as here.
    ///
    /// # Errors
    ///
    /// A [`Failure`] where that cannot be told.
    fn background_response<'a>(
        &'a self,
        _id: &'a str,
        _upstream_model: &'a str,
        _cancel: bool,
    ) -> BoxFuture<'a, Result<Upstream, Failure>> {
        let none = Failure::new(Outcome::Rejected, "this provider makes no responses in the background");
        Box::pin(std::future::ready(Err(none)))
    }
}

/// What all attempts of one request share.
#[derive(Debug, Default)]
pub(crate) struct Errand {
    /// The caller's own name for the request.
    job: OnceLock<Arc<str>>,
    /// Tells the provider that two attempts are one request; made on first use.
    key: OnceLock<Arc<str>>,
    spent: AtomicBool,
}

impl Errand {
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }
}

/// One dispatch of a request: the right to one call, until its deadline.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub(crate) errand: Arc<Errand>,
    pub(crate) number: u32,
    pub(crate) last: bool,
    pub(crate) lease: u64,
    pub(crate) deadline: Instant,
    pub(crate) tenant: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) upstream: Arc<str>,
    /// Carries it out, where the caller has no client of its own.
    pub(crate) client: Arc<dyn Provider>,
    pub(crate) trace: Option<Arc<TraceContext>>,
}

impl Attempt {
    /// Returns which attempt this is, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Says whether no other attempt follows, whatever becomes of this one.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Returns the number of the lease under which it runs, from 1: no two leases of an engine share one.
    #[must_use]
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// Returns who pays.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Returns when the attempt is abandoned: at its timeout, or at the caller's deadline where that is sooner.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the name of the provider account the attempt goes to.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the model's name at the provider.
    #[must_use]
    pub fn upstream_model(&self) -> &str {
        &self.upstream
    }

    /// Returns the W3C trace context to send with the call, where the request has one.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_deref()
    }

    /// Names the request as its caller does; the first name stays.
    pub(crate) fn name(&self, job: &Arc<str>) {
        self.errand.job.get_or_init(|| job.clone());
    }

    /// Returns the caller's own name for the request, under which it is resumed after a restart.
    #[must_use]
    pub fn job(&self) -> Option<&str> {
        self.errand.job.get().map(|job| &**job)
    }

    /// Returns a UUID that is the same in every attempt of the request: an idempotency key for providers that have one.
    /// With a [`job`](Self::job) it also outlives the process, since it is drawn from that.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        self.errand.key.get_or_init(|| match self.job() {
            Some(job) => uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, job.as_bytes()).to_string().into(),
            None => uuid::Uuid::new_v4().to_string().into(),
        })
    }

    /// Says whether, from here on, the provider may have taken work that it charges for. While it is so, a failure or
    /// timeout ends the request instead of sending it again, unless the model's `retry.resubmit` allows that.
    pub fn mark_spent(&self, spent: bool) {
        self.errand.spent.store(spent, Ordering::Relaxed);
    }
}

/// A stream of an answer's pieces; a failure ends it.
pub type Pieces<T> = BoxStream<'static, Result<T, Failure>>;

/// What came back.
pub enum Reply {
    /// A typed product.
    Product(Product),
    /// The provider's own answer to a request that arrived in its dialect, verbatim.
    Verbatim(Upstream),
    /// Bytes, chunk by chunk: an event stream as the provider sends it, or what else a task of one's own
    /// [`Streams`](crate::Streams).
    Stream(Pieces<Bytes>),
    /// A text, piece by piece.
    Deltas(Pieces<TextDelta>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Product(product) => f.debug_tuple("Product").field(product).finish(),
            Self::Verbatim(upstream) => f.debug_tuple("Verbatim").field(upstream).finish(),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Deltas(_) => f.write_str("Deltas"),
        }
    }
}

/// A successful attempt: the reply, and what it says about cost and rates.
#[derive(Debug)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// Tokens and price, where known already.
    pub usage: Usage,
    /// Actual cost in the task's units, where known; corrects what the tenant was charged.
    pub cost: Option<Cost>,
    /// What the response's headers say about rates.
    pub hints: RateHints,
    /// What the provider says beside its answer.
    pub told: Told,
}

/// What a provider says beside its answer, for people and for clients of its own API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Told {
    /// Its own name for the request, by which its support finds it.
    pub id: Option<Arc<str>>,
    /// Headers that go on to a caller that speaks the same API, in small letters.
    pub headers: Vec<(Box<str>, Box<str>)>,
}

impl Answer {
    /// Wraps a typed product, with its own usage.
    #[must_use]
    pub fn product(product: Product) -> Self {
        let usage = product.usage();
        Self { usage, ..Self::new(Reply::Product(product)) }
    }

    /// Wraps a reply of which nothing more is known.
    #[must_use]
    pub fn new(reply: Reply) -> Self {
        Self { reply, usage: Usage::default(), cost: None, hints: RateHints::default(), told: Told::default() }
    }
}

/// A provider's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// HTTP status.
    pub status: u16,
    /// Its `content-type`.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What the controllers learn.
    pub outcome: Outcome,
    /// For people; never holds a key.
    pub message: String,
    /// Whose matter it is, what it is about, and whether the request may be sent again.
    pub verdict: Verdict,
    /// How long the provider said to stay away.
    pub retry_after: Option<Duration>,
    /// Whether the request never reached the provider, so that the caller loses no attempt by it.
    pub unsent: bool,
    /// Whether the attempt ran into its own timeout.
    pub timed_out: bool,
    /// Whether the provider may have taken the work all the same, so that another attempt could be paid twice.
    pub spent: bool,
    /// What the response's headers say about rates.
    pub hints: Box<RateHints>,
    /// The provider's answer, to be passed through where it is the request's own matter.
    pub upstream: Option<Upstream>,
    /// What the provider said, as far as it was understood.
    pub words: Option<Box<Words>>,
    /// The provider's own name for the request, where it gave one.
    pub upstream_id: Option<Arc<str>>,
    /// What it was made from, where that was an error of the caller's own client.
    pub source: Option<Source>,
}

/// The error behind a [`Failure`], shared so that failures can be cloned. Two are equal when they are the same one.
#[derive(Debug, Clone)]
pub struct Source(Arc<dyn std::error::Error + Send + Sync>);

impl Source {
    /// Keeps an error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }

    /// Returns the error.
    #[must_use]
    pub fn get(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Failure {
    /// Builds a failure of an outcome.
    #[must_use]
    pub fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            outcome,
            message: message.into(),
            verdict: Verdict::of(outcome),
            retry_after: None,
            unsent: false,
            timed_out: false,
            spent: false,
            hints: Box::default(),
            upstream: None,
            words: None,
            upstream_id: None,
            source: None,
        }
    }

    /// Builds a failure of which a verdict says what it means.
    #[must_use]
    pub fn judged(verdict: Verdict, message: impl Into<String>) -> Self {
        let rest = verdict.suspends().then_some(verdict::REST);
        Self { verdict, retry_after: rest, ..Self::new(verdict.outcome(), message) }
    }

    /// Reads an HTTP status, as [`Verdict::of_status`] does: 408, 502, 503, 504 and 529 as overload; other 5xx, redirects
    /// and answers that are none as failures of the provider; a 429 as a limit of concurrency or of a rate, which its
    /// behaviour tells; 401, 402, 403 and 404 as what may concern more than this request, to be tried once on each other
    /// route; any other 4xx as the caller's fault. A 429 that says which limit it is about is better built with
    /// [`Outcome::Throttled`] or [`Outcome::RateLimited`].
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        let words = Some(Box::new(Words { status, ..Words::default() }));
        Self { words, ..Self::judged(Verdict::of_status(status), format!("the provider answered {status}")) }
    }

    /// Changes the verdict, and the outcome with it.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        (self.verdict, self.outcome) = (verdict, verdict.outcome());
        self
    }

    /// Adds the error that it was made from.
    #[must_use]
    pub fn caused_by(mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(Source::new(error));
        self
    }

    /// Returns what a route and its account learn from the failure.
    pub(crate) fn report(&self) -> Report {
        let reached = match self {
            Self { spent: true, .. } => Reached::Work,
            Self { timed_out: true, .. } => Reached::Timeout,
            Self { unsent: true, .. } => Reached::Nothing,
            _ => Reached::Provider,
        };
        Report {
            verdict: self.verdict,
            words: self.words.as_ref().map_or(0, |words| words.fingerprint()),
            retry_after: self.retry_after,
            hints: *self.hints,
            reached,
            ..Report::new(self.outcome)
        }
    }

    /// Adds how long to stay away.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn std::error::Error + 'static) { source.get() })
    }
}
