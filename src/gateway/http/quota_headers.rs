//! `x-ratelimit-*`: how much of its own share of a model the caller has left.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderValue;

use super::names;
use crate::Fairflow;
use crate::capacity::Millis;

/// Adds the headers where both of the tenant's limits are set: without one of them any number is let in.
pub(in crate::gateway) async fn tell(fairflow: &Fairflow, model: &str, tenant: &str, response: &mut HttpResponse) {
    let policy = fairflow.policy(tenant);
    let limits = policy.limits;
    if limits.max_queued == u32::MAX || limits.max_in_flight == u32::MAX {
        return;
    }
    let Ok(you) = fairflow.inspect(model, tenant, &policy).await else { return };
    // A request is let in as long as it can be sent or wait.
    let limit = limits.max_in_flight.saturating_add(limits.max_queued);
    let used = u64::from(you.queued) + u64::from(you.in_flight);
    let remaining = u64::from(limit).saturating_sub(used);
    let reset = if remaining > 0 { 0 } else { Millis::from(you.wait).p50 };
    for (name, value) in [
        (names::LIMIT_REQUESTS, limit.to_string()),
        (names::REMAINING_REQUESTS, remaining.to_string()),
        (names::RESET_REQUESTS, format!("{reset}ms")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}
