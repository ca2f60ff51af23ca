//! Bytes, counted by the allocator: what a queued job costs the queue, and what a queued call costs a service.
//!
//! The counting allocator is a crate's because one needs `unsafe`, which is forbidden here.

#![allow(clippy::unwrap_used, reason = "a test")]

mod embed;
mod fair_queue;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test, in this order: an engine's threads free memory for a while after it has ended, which a count would hear.
#[test]
fn bytes() {
    fair_queue::bytes_per_request_and_tenant();
    embed::a_hundred_thousand_queued_calls_cost_less_than_a_kilobyte_each();
}
