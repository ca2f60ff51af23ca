//! Settings of a broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::fair_queue::{QueueLimits, TenantLimits};

/// Settings of one model's broker.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// Bounds and shares of the queue.
    pub queue: QueueLimits,
    /// Limits of the tenants that have slots reserved; default none.
    pub reserve: BTreeMap<Arc<str>, TenantLimits>,
    /// Retries per request, at least 0; default 0.2. `f64::MAX` sets no bound.
    pub retry_budget: f64,
    /// Longest wait before dispatch: a model whose requests would wait longer is saturated. Default 60 s.
    pub max_wait: Duration,
    /// Service time (P90) up to which the model is healthy; default 30 s.
    pub healthy_latency: Duration,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            queue: QueueLimits::default(),
            reserve: BTreeMap::new(),
            retry_budget: 0.2,
            max_wait: Duration::from_secs(60),
            healthy_latency: Duration::from_secs(30),
        }
    }
}
