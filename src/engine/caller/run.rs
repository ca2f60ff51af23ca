//! A request's way through the scheduler, as its caller goes it: submit, wait for a slot, make the attempt, and again.
//!
//! The attempt runs in the caller's own task. The engine moves tickets, never payloads: a body is not sent between
//! threads, dropping the future abandons the call at once, and a panic stays with the caller that brought it.

use std::future::Future;
use std::sync::Arc;

pub(crate) use super::journey::Yield;
use super::journey::{ANONYMOUS, Journey, Made};
use super::plan::Plan;
use crate::contract::attempt::Attempt;
use crate::contract::failure::Failure;
use crate::contract::provider::Provider;
use crate::engine::caller::slot::Slot;
use crate::engine::shared::registry::Shared;
use crate::engine::view::error::Error;
use crate::engine::view::receipt::Receipt;

/// Runs `call` once a slot is granted, and again while its failures are worth it, until the caller's deadline.
///
/// Requests wait in this future by the hundred thousand. So what an attempt needs is boxed.
#[allow(clippy::manual_async_fn, reason = "an async function keeps its arguments twice")]
pub(crate) fn run<T, F, Fut>(
    shared: &Arc<Shared>,
    plan: Box<Plan>,
    mut call: F,
) -> impl Future<Output = Result<(T, Slot, Receipt), Error>>
where
    F: FnMut(Attempt, Arc<dyn Provider>) -> Fut,
    Fut: Future<Output = Result<Yield<T>, Failure>>,
{
    async move {
        let tenant = plan.tenant.as_deref().unwrap_or(ANONYMOUS);
        let policy = shared.policy(tenant);
        let model = match shared.model(&plan.model).filter(|_| policy.allows(&plan.model)) {
            Some(model) => model,
            None => Box::pin(shared.find_model(&plan.model, tenant, &policy)).await?,
        };
        let mut journey = Journey::begin(shared, plan, model);
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
