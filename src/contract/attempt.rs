//! A dispatch of a request, as its provider or closure sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

/// A W3C trace context: the headers that tell a provider which trace a call belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceContext {
    /// The header `traceparent`.
    pub parent: String,
    /// The header `tracestate`, where the caller sent one.
    pub state: Option<Arc<str>>,
}

impl TraceContext {
    /// Puts the two headers together.
    #[must_use]
    pub fn new(parent: impl Into<String>, state: Option<Arc<str>>) -> Self {
        Self { parent: parent.into(), state }
    }
}

/// The part of a request that all its attempts share.
#[derive(Debug, Default)]
pub(crate) struct RequestContext {
    /// The caller's own name for the request.
    job: OnceLock<Arc<str>>,
    /// Tells the provider that two attempts are one request; made on first use.
    key: OnceLock<Arc<str>>,
    spent: AtomicBool,
}

impl RequestContext {
    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }
}

/// A dispatch of a request: the right to one call, until its deadline.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub(crate) context: Arc<RequestContext>,
    pub(crate) number: u32,
    pub(crate) last: bool,
    pub(crate) lease: u64,
    pub(crate) deadline: Instant,
    pub(crate) tenant: Arc<str>,
    pub(crate) provider: Arc<str>,
    pub(crate) upstream: Arc<str>,
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
        self.context.job.get_or_init(|| job.clone());
    }

    /// Returns the caller's own name for the request, under which it is resumed after a restart.
    #[must_use]
    pub fn job(&self) -> Option<&str> {
        self.context.job.get().map(|job| &**job)
    }

    /// Returns a UUID that is the same in every attempt of the request: an idempotency key for providers that have one.
    /// With a [`job`](Self::job) it also outlives the process, since it is drawn from that.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        self.context.key.get_or_init(|| match self.job() {
            Some(job) => uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, job.as_bytes()).to_string().into(),
            None => uuid::Uuid::new_v4().to_string().into(),
        })
    }

    /// Says whether, from here on, the provider may have taken work that it charges for. While it is so, a failure or
    /// timeout ends the request instead of sending it again, unless the model's `retry.resubmit` allows that.
    pub fn mark_spent(&self, spent: bool) {
        self.context.spent.store(spent, Ordering::Relaxed);
    }
}
