//! The part that all doors share: callers, bodies, ids, refusals and their counters, and the headers of answers.
//!
//! No door is known here. Handlers return a [`Refusal`](refusal::Refusal) as their error; it is answered, counted and
//! logged in one place.

pub(super) mod body;
pub(super) mod caller;
pub(super) mod door;
pub(super) mod framing;
pub(super) mod idempotency;
pub(super) mod names;
pub(super) mod origin;
pub(super) mod query;
pub(super) mod quota_headers;
pub(super) mod refusal;
pub(super) mod reply;
pub(super) mod request_span;
pub(super) mod sse;
pub(super) mod words;
