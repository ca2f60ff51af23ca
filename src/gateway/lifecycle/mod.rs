//! The gateway over time: a new configuration while it runs, and what it keeps over a restart.

pub(super) mod reload;
pub(super) mod state_file;
