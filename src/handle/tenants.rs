//! How tenants stand on a model: what each has and would wait, and who has what beside a fair share.

use std::sync::Arc;

use crate::config::TenantPolicy;
#[cfg(feature = "gateway")]
use crate::core::fair_queue::Standing;
use crate::engine::shared::model::Model;
use crate::engine::shared::registry::Shared;
use crate::engine::ticket::messages::{Inspect, Question, QueueMessage};
use crate::engine::view::capacity::{Millis, ModelCapacity, ReserveCapacity, TenantCapacity, TenantView};
use crate::engine::view::error::Error;

/// Returns a snapshot of a model, with what `tenant` has and would wait.
pub(super) async fn capacity_of(shared: &Shared, model: &str, tenant: Option<&str>) -> Result<ModelCapacity, Error> {
    let policy = tenant.map(|tenant| shared.policy(tenant)).unwrap_or_default();
    let model = shared.model_for(model, &policy)?;
    let mut capacity = model.snapshot();
    if let Some(tenant) = tenant {
        let view = inspect(&model, tenant, &policy).await?;
        capacity.you = Some(TenantCapacity {
            tenant: tenant.into(),
            queued: view.queued,
            in_flight: view.in_flight,
            weight: policy.limits.weight.value(),
            max_in_flight: Some(policy.limits.max_in_flight).filter(|max| *max < u32::MAX),
            budget: shared.ledger.standing(tenant, &policy),
            tier: policy.tier.clone(),
            reserve: view.reserved.map(|reserved| ReserveCapacity::new(reserved, view.in_flight)),
            estimated_wait_ms: Millis::from(view.wait),
        });
    }
    Ok(capacity)
}

/// Returns what `tenant` has on a model, and would wait: the queue's answer alone, on this thread where the queue rests.
pub(super) async fn inspect(model: &Model, tenant: &str, policy: &TenantPolicy) -> Result<TenantView, Error> {
    let tenant: Arc<str> = tenant.into();
    let limits = model.settings().limits(&tenant, policy);
    let inspect = Inspect { tenant, limits, class: policy.class };
    let view = model.queue.ask(|reply| QueueMessage::Ask(Question::Inspect(inspect, reply))).await;
    view.ok_or(Error::Stopped)
}

/// Returns every tenant of a model with jobs, beside its fair share. The queue only copies; the sums are done here, where
/// they hold nobody up.
#[cfg(feature = "gateway")]
pub(super) async fn standings(shared: &Shared, model: &str) -> Result<Vec<Standing>, Error> {
    let found = shared.model(model).ok_or_else(|| shared.unknown(model))?;
    let claims = found.queue.ask(|reply| QueueMessage::Ask(Question::Claims(reply))).await.ok_or(Error::Stopped)?;
    Ok(claims.divide())
}
