//! The layer.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::FairflowService;
use crate::handle::Fairflow;

/// Wraps services in a [`FairflowService`], all of them on one engine.
pub struct FairflowLayer<P> {
    fairflow: Fairflow,
    policy: Arc<P>,
}

impl<P> FairflowLayer<P> {
    /// Schedules requests on `fairflow` as `policy` says: a [`Policy`](super::Policy), or a closure from request to
    /// [`Plan`](super::Plan).
    pub fn new(fairflow: Fairflow, policy: P) -> Self {
        Self { fairflow, policy: Arc::new(policy) }
    }
}

impl<P> Clone for FairflowLayer<P> {
    fn clone(&self) -> Self {
        Self { fairflow: self.fairflow.clone(), policy: self.policy.clone() }
    }
}

impl<P> fmt::Debug for FairflowLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairflowLayer").finish_non_exhaustive()
    }
}

impl<S, P> Layer<S> for FairflowLayer<P> {
    type Service = FairflowService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        FairflowService::new(inner, self.fairflow.clone(), self.policy.clone())
    }
}
