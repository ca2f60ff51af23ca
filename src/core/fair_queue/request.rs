//! What goes into the queue, what comes out, and why something does not get in.

use std::sync::Arc;
use std::time::Duration;

use super::class::Class;
use crate::core::cost::{Cost, Weight};
use crate::core::slab::Key;
use crate::core::time::Time;

/// A tenant's limits on one model. The default is weight 1 and no caps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TenantLimits {
    /// Share relative to the other tenants of the class; default 1.
    pub weight: Weight,
    /// Most requests dispatched at once; at least 1, default no limit.
    pub max_in_flight: u32,
    /// Most requests waiting at once; default no limit.
    pub max_queued: u32,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { weight: Weight::ONE, max_in_flight: u32::MAX, max_queued: u32::MAX }
    }
}

/// One request as the queue sees it; `P` is whatever the caller wants back at dispatch.
#[derive(Debug)]
pub struct Request<P> {
    /// Who pays.
    pub tenant: Arc<str>,
    /// The tenant's limits as they are now; a change takes effect with the next request.
    pub limits: TenantLimits,
    /// How urgent it is.
    pub class: Class,
    /// Predicted work.
    pub cost: Cost,
    /// When it expires if it has not been dispatched.
    pub deadline: Time,
    /// Handed back at dispatch, cancel or expiry.
    pub payload: P,
}

/// One job on its way to a dispatcher. `key` is its right to be settled, once.
#[derive(Debug)]
pub struct Dispatch<P> {
    /// Names the job until it is completed, requeued or returned.
    pub key: Key,
    /// Its predicted work.
    pub cost: Cost,
    /// When it expires, should it not be sent.
    pub deadline: Time,
    /// Queue wait of this stay.
    pub waited: Duration,
    /// What [`Request::payload`] was.
    pub payload: P,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// The model's queue is at capacity.
    QueueFull {
        /// When a place will likely be free.
        retry_after: Duration,
    },
    /// The tenant's share of the queue is used up.
    TenantQueueFull {
        /// When one of the tenant's places will likely be free.
        retry_after: Duration,
    },
    /// The estimated wait is longer than the request may wait.
    DeadlineUnreachable {
        /// The estimate (P90).
        estimate: Duration,
        /// By how much the estimate exceeds what was asked for.
        retry_after: Duration,
    },
}
