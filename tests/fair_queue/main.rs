//! The fair queue: beside a small reference machine, against fluid sharing, in scenarios, and in figures of whole runs.

#![allow(clippy::unwrap_used, reason = "a test")]

mod figures;
mod model;
mod oracle;
#[path = "../support/random.rs"]
mod random;
mod scenarios;
