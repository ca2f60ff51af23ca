//! Server-sent events: how a stream of them begins, and what keeps it alive.

use actix_web::HttpResponseBuilder;
use bytes::Bytes;

/// A comment, which clients pass over.
pub(in crate::gateway) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Marks an answer as an event stream that nobody on the way may keep or hold back.
pub(in crate::gateway) fn begin(response: &mut HttpResponseBuilder) {
    response
        .insert_header(("cache-control", "no-cache"))
        .insert_header(("x-accel-buffering", "no"))
        .content_type("text/event-stream");
}
