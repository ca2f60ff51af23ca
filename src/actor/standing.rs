//! How a tenant stands: its policy by now, and what it has and would wait on a model.

use std::sync::Arc;

#[cfg(feature = "gateway")]
use tokio::sync::watch;

use super::capacity::{Millis, ModelCapacity, ReserveCapacity, TenantCapacity};
use super::error::Error;
use super::handle::Fairflow;
use super::messages::Inspect;
use crate::config::TenantPolicy;

impl Fairflow {
    /// Returns the latest snapshot of a model, with what `tenant` has and would wait.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], [`Error::ModelForbidden`] where the tenant may not use it, or [`Error::Stopped`].
    pub async fn capacity_of(&self, model: &str, tenant: Option<&str>) -> Result<ModelCapacity, Error> {
        let shared = &self.engine.shared;
        let policy = tenant.map(|tenant| shared.policy(tenant)).unwrap_or_default();
        let model = shared.model_for(model, &policy)?;
        let mut capacity = model.capacity.borrow().clone();
        if let Some(tenant) = tenant {
            let budget = shared.ledger.standing(tenant, &policy);
            let tenant: Arc<str> = tenant.into();
            let limits = model.settings().limits(&tenant, &policy);
            let inspect = Inspect { tenant: tenant.clone(), limits, class: policy.class };
            let queue = model.queue().ok_or(Error::Stopped)?;
            let view = queue.send(inspect).await.map_err(|_| Error::Stopped)?;
            capacity.you = Some(TenantCapacity {
                tenant,
                queued: view.queued,
                in_flight: view.in_flight,
                weight: policy.limits.weight.value(),
                max_in_flight: Some(policy.limits.max_in_flight).filter(|max| *max < u32::MAX),
                budget,
                tier: policy.tier.clone(),
                reserve: view.reserved.map(|reserved| ReserveCapacity::new(reserved, view.in_flight)),
                estimated_wait_ms: Millis::from(view.wait),
            });
        }
        Ok(capacity)
    }

    /// Follows the snapshots of a model that runs now and may be used.
    #[cfg(feature = "gateway")]
    pub(crate) fn snapshots(
        &self,
        model: &str,
        policy: &TenantPolicy,
    ) -> Result<watch::Receiver<ModelCapacity>, Error> {
        Ok(self.engine.shared.model_for(model, policy)?.capacity.subscribe())
    }

    /// Returns the policy that a tenant has by now: that of its configuration, or the higher one that it has reached.
    #[must_use]
    pub fn policy(&self, tenant: &str) -> Arc<TenantPolicy> {
        self.engine.shared.policy(tenant)
    }
}
