//! The engine's face: errors, snapshots, counters, events, stories.

pub mod capacity;
pub(crate) mod error;
pub mod events;
pub mod learned;
pub mod overrides;
pub(crate) mod reason;
pub(crate) mod receipt;
pub(crate) mod restarts;
pub(crate) mod start;
pub mod stats;
pub mod story;
