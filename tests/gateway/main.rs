//! The gateway from outside: a real process in front of a provider of the test's own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../providers/fake.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod fake;

#[path = "../providers/raw.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod raw;

mod admin;
mod bad_input;
mod bodies;
mod broken_streams;
mod catalogue;
mod client;
mod dialects;
mod door;
mod entitlements;
mod feed;
mod frames;
mod framing;
mod idempotency;
mod kept;
mod lab;
mod leaving;
mod logs;
mod memory;
mod metrics;
mod operate;
#[cfg(feature = "otlp")]
mod otlp;
mod parts;
mod reasons;
mod refusals;
mod reload;
mod socket;
mod spending;
mod streams;
mod tenants;
mod upstream;
mod webhooks;
mod whole_answers;
