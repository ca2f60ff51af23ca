//! The actors alone: each owns machines of core, and carries messages to them and from them.

mod account;
mod cell;
mod dispatcher;
mod exit;
mod messages;
mod queue;
pub(crate) mod running;
pub(crate) mod supervisor;
