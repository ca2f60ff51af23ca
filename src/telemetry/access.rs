//! Lines that tell of each generation and each request that reached no model: target `fairflow::access`, level debug.
//!
//! Under overload refusals come by the thousand, so the lines are off unless they are asked for.

use super::Origin;
use crate::Reason;
use crate::witness::Story;

/// The target of the lines, for filters.
pub(super) const TARGET: &str = "fairflow::access";

/// Says whether anybody wants the lines.
pub(super) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// Tells of a generation that has ended.
pub(super) fn ended(origin: &Origin, operation: &str, task: Option<&str>, story: &Story) {
    if !is_on() {
        return;
    }
    let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let last = story.last_attempt();
    let upstream = last.map(|(_, step)| story.answered.unwrap_or(step.to).saturating_duration_since(step.from));
    let (total, upstream) = (millis(story.ended - story.began()), upstream.map_or(0, millis));
    let queued = millis(story.steps.iter().filter(|step| !step.is_attempt()).map(|step| step.to - step.from).sum());
    let route = last.map(|(made, _)| format!("{}/{}", made.provider, made.upstream_model));
    // Whose it is stands in fields of its own: a stream ends outside of its request's span.
    tracing::debug!(
        target: TARGET,
        request_id = %origin.id,
        tenant = %story.tenant,
        model = %story.model,
        operation,
        task,
        outcome = story.outcome.as_str(),
        status = story.status,
        queue_ms = queued,
        upstream_ms = upstream,
        total_ms = total,
        attempts = last.map_or(0, |(made, _)| made.number),
        route,
        upstream_id = last.and_then(|(made, _)| made.upstream_id.as_deref()),
        input_tokens = story.usage.input_tokens,
        output_tokens = story.usage.output_tokens,
        "generation"
    );
}

/// Tells of a request that is refused before it reaches a model; the span it is in says whose it is.
pub(crate) fn refused(reason: Reason, status: u16, param: Option<&str>) {
    tracing::debug!(target: TARGET, outcome = reason.as_str(), status, param, "refused");
}
