//! Requests that a provider of the engine carries out: typed tasks, and wire forms of the gateway.

use std::sync::Arc;

use super::plan::Plan;
use super::run::{Yield, run};
use super::slot::Settling;
use crate::contract::provider::{Answer, Reply};
use crate::engine::shared::registry::Shared;
use crate::engine::view::error::Error;
use crate::engine::view::receipt::Receipt;
use crate::wire::Request;

/// Schedules a request, under the caller's own name for it where it has one, and returns the reply with the slot still
/// held.
pub(crate) async fn dispatch(
    shared: &Arc<Shared>,
    plan: Box<Plan>,
    request: &Request,
    job: Option<Arc<str>>,
) -> Result<(Reply, Settling, Receipt), Error> {
    let (answer, slot, mut receipt) = run(shared, plan, |attempt, client| {
        if let Some(job) = &job {
            attempt.name(job);
        }
        async move {
            let answer = client.call(request, &attempt).await?;
            let (hints, id) = (answer.hints, answer.told.id.clone());
            Ok(Yield { value: answer, hints, id })
        }
    })
    .await?;
    let Answer { reply, cost, usage, told, .. } = answer;
    receipt.told = told;
    Ok((reply, Settling { slot, cost, usage }, receipt))
}
