//! The adapters against providers of the recorded shapes, well and unwell.
#![allow(clippy::unwrap_used, clippy::let_underscore_must_use, clippy::disallowed_methods, reason = "a test")]

mod cancel;
mod connections;
mod edits;
mod encodings;
mod failures;
mod fake;
mod noise;
mod openai;
#[allow(dead_code, reason = "the gateway's tests use the rest")]
mod raw;
mod resume;
mod runware;
mod shapes;
mod socket;
mod stale;
mod streams;
mod tls;
mod verdicts;
