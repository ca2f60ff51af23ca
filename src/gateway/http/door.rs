//! Counts and logs the refusals that no model counts.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::refusal::Refusal;
use crate::{Reason, telemetry};

/// The counters of refusals before any model.
#[derive(Debug)]
pub(in crate::gateway) struct Door([AtomicU64; Reason::ALL.len()]);

impl Default for Door {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Door {
    /// Counts a refusal that no model counts, and logs it: no story is told of it.
    pub(in crate::gateway) fn count(&self, refusal: &Refusal) {
        if !refusal.is_counted() {
            telemetry::refused(refusal.reason, refusal.status, refusal.param.as_deref());
            self.0[refusal.reason.index()].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how many refusals no model counts, by reason.
    pub(in crate::gateway) fn refused(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().copied().zip(&self.0).map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }
}

/// The refusals that an answer tells of, among its extensions.
#[derive(Debug)]
pub(in crate::gateway) struct Told(pub(in crate::gateway) Vec<Refusal>);

/// Counts the refusals of every answer.
pub(in crate::gateway) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let door = request.app_data::<Data<Door>>().cloned();
    let answer = next.call(request).await?;
    if let (Some(door), Some(Told(refusals))) = (door, answer.response().extensions().get()) {
        refusals.iter().for_each(|refusal| door.count(refusal));
    }
    Ok(answer)
}
