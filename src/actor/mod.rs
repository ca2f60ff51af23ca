//! Thin shells over core: actors that own its machines, and the handle that speaks to them.
//!
//! Each actor changes its state synchronously, in a handler, under the one clock. The queue orders and answers credits,
//! a dispatcher paces one route, an account guards what routes share, the supervisor starts and restarts them all.
//! `docs/ARCHITECTURE.md` draws the flow.

mod account;
pub mod capacity;
#[cfg(feature = "gateway")]
mod claims;
pub(crate) mod clock;
#[cfg(feature = "actix-messages")]
pub mod desk;
mod dispatcher;
pub(crate) mod error;
pub mod events;
mod generate;
pub(crate) mod handle;
pub mod learned;
mod lease;
mod ledger;
mod messages;
pub mod operator;
pub(crate) mod provider;
mod queue;
pub(crate) mod quote;
pub(crate) mod reason;
mod registry;
pub(crate) mod run;
mod slot;
mod standing;
pub mod stats;
pub(crate) mod stream;
pub(crate) mod streams;
pub(crate) mod supervisor;
#[cfg(test)]
mod tests;
mod timer;
mod watch;
pub mod witness;
pub(crate) mod words;

pub use self::generate::{Call, Generate, HeldLease};
pub use self::watch::Watch;
