//! The plots of a replay.

mod latency;
mod load;
mod tenants;
mod windows;

pub(super) use self::{latency::latency, load::load, tenants::tenants, windows::windows};

#[cfg(test)]
mod tests;
