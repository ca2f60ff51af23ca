//! Bytes, counted by the allocator: what a queued job costs the queue, and what a queued call costs a service.
//!
//! The counting allocator is a crate's because one needs `unsafe`, which is forbidden here.

#![allow(clippy::unwrap_used, reason = "a test")]

mod embed;
mod fair_queue;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::Mutex;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Held by the test that counts, so that no other allocates meanwhile.
static ALONE: Mutex<()> = Mutex::const_new(());
