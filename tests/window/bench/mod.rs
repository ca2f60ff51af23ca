//! A virtual-time test bench: one window against one provider.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod provider;
pub mod rng;
pub mod world;
