//! The service.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::{BoxError, Policy, ResponseFuture};
use crate::contract::failure::Failure;
use crate::core::outcome::Outcome;
use crate::core::pacer::RateHints;
use crate::engine::caller::run::{Yield, run};
use crate::engine::view::error::Error;
use crate::handle::Fairflow;
use crate::task::Usage;

/// An inner service whose requests wait for their turn.
///
/// It is ready while the engine runs: a request waits in the scheduler's queue, in its tenant's order, and is refused
/// there if it must be. The inner service is asked for readiness once a request has its slot, on a clone per attempt.
/// Clones share the engine.
pub struct FairflowService<S, P> {
    inner: S,
    fairflow: Fairflow,
    policy: Arc<P>,
}

impl<S, P> FairflowService<S, P> {
    pub(super) fn new(inner: S, fairflow: Fairflow, policy: Arc<P>) -> Self {
        Self { inner, fairflow, policy }
    }
}

impl<S: Clone, P> Clone for FairflowService<S, P> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.fairflow.clone(), self.policy.clone())
    }
}

impl<S: fmt::Debug, P> fmt::Debug for FairflowService<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairflowService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, P, R> Service<R> for FairflowService<S, P>
where
    R: Send + 'static,
    S: Service<R> + Clone + Send + 'static,
    S::Response: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    S::Future: Send,
    P: Policy<R, S::Response, S::Error> + Send + Sync + 'static,
{
    type Response = S::Response;
    /// The scheduler's [`Error`], or the inner service's own.
    type Error = BoxError;
    type Future = ResponseFuture<S::Response>;

    /// Fails with [`Error::Stopped`] once the engine has stopped, which is for good.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(if self.fairflow.engine.shared.is_stopped() { Err(Error::Stopped.into()) } else { Ok(()) })
    }

    fn call(&mut self, request: R) -> Self::Future {
        let Self { inner, fairflow, policy } = self.clone();
        let mut copy = policy.clone_request(&request);
        let mut plan = Box::new(policy.plan(&request));
        if copy.is_none() {
            plan.max_attempts = 1;
        }
        let mut first = Some(request);
        ResponseFuture::new(async move {
            let policy = &policy;
            let ((result, failure), slot, _) = run(&fairflow.engine.shared, plan, move |attempt, _| {
                let request = first.take().or_else(|| copy.take());
                if copy.is_none() && !attempt.is_last() {
                    copy = request.as_ref().and_then(|request| policy.clone_request(request));
                }
                let again = copy.is_some() && !attempt.is_last();
                let mut inner = inner.clone();
                async move {
                    let Some(request) = request else {
                        return Err(Failure::new(Outcome::Rejected, "the request could not be copied a second time"));
                    };
                    let result = match poll_fn(|cx| inner.poll_ready(cx)).await {
                        Ok(()) => inner.call(request).await,
                        Err(error) => Err(error),
                    };
                    match policy.classify(result.as_ref()) {
                        Some(failure) if again && failure.outcome.is_retryable() => Err(failure),
                        failure => Ok(Yield { value: (result, failure), hints: RateHints::default(), id: None }),
                    }
                }
            })
            .await?;
            match failure {
                Some(failure) => slot.fail(&failure),
                None => slot.succeed(None, Usage::default()),
            }
            result.map_err(Into::into)
        })
    }
}
