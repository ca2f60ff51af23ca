//! The simulator and the actors are two shells over the same machines: here the same story goes through both.
//!
//! `fairness.rs` compares the order of dispatch, `window.rs` the trajectory of the window. Both run in virtual time,
//! the actors on tokio's paused clock, so nothing depends on the machine.

#![allow(clippy::unwrap_used, reason = "a test")]

mod actors;
mod engine;
mod fairness;
#[path = "../support/random.rs"]
mod random;
mod simulated;
mod story;
mod window;
