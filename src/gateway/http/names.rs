//! Names of headers that the HTTP library has no constants for: one that is known need not be read anew for each request.

use actix_web::http::header::HeaderName;

macro_rules! names {
    ($($constant:ident = $name:literal;)+) => {
        $(pub(in crate::gateway) const $constant: HeaderName = HeaderName::from_static($name);)+
    };
}

names! {
    API_KEY = "api-key";
    X_API_KEY = "x-api-key";
    IDEMPOTENCY_KEY = "idempotency-key";
    REQUEST_ID = "x-request-id";
    SEC_FETCH_SITE = "sec-fetch-site";
    TRACEPARENT = "traceparent";
    TRACESTATE = "tracestate";
    TENANT = "x-fairflow-tenant";
    CLASS = "x-fairflow-class";
    MAX_WAIT = "x-fairflow-max-wait";
    REASON = "x-fairflow-reason";
    REPLAYED = "x-fairflow-replayed";
    QUEUE_MS = "x-fairflow-queue-ms";
    UPSTREAM_MS = "x-fairflow-upstream-ms";
    ATTEMPTS = "x-fairflow-attempts";
    ROUTE = "x-fairflow-route";
    UPSTREAM_ID = "x-fairflow-upstream-id";
    LIMIT_REQUESTS = "x-ratelimit-limit-requests";
    REMAINING_REQUESTS = "x-ratelimit-remaining-requests";
    RESET_REQUESTS = "x-ratelimit-reset-requests";
}
