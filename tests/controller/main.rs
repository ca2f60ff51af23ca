//! The controller against simulated providers in virtual time: its targets, the window alone, and the pacer alone.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::let_underscore_must_use, reason = "a test")]

mod pacer;
mod pacer_bench;
mod properties;
#[path = "../support/random.rs"]
mod random;
mod targets;
mod window;
