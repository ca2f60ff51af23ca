//! Requests on their way into the queue, jobs on their way out, and refusals.

use std::sync::Arc;
use std::time::Duration;

use super::class::Class;
use crate::core::cost::{Cost, Weight};
use crate::core::key::Key;
use crate::core::time::Time;

/// Several tenants that share by weight as if they were one; within the group they share by their own weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Number of the group, given by the caller.
    pub id: u32,
    /// Share of the group relative to the other members of the class.
    pub weight: Weight,
}

/// Bounds and shares of one model's queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueLimits {
    /// Most jobs waiting at once; at least 1, default 10,000.
    pub capacity: usize,
    /// Weight of each class, in the order of [`Class::ALL`]; default 4 : 16 : 64.
    pub class_weights: [Weight; 3],
    /// Most jobs of each class waiting at once, in the order of [`Class::ALL`]; default no limit but `capacity`.
    pub class_caps: [usize; 3],
    /// Head start of the interactive class over its share, in largest costs; the standard class by half as
    /// much. Range 0 to 2, default 2. It shortens what a person waits for and is paid back: shares are unchanged.
    pub head_start: f64,
    /// Part of the reserved but unclaimed slots that long jobs may not take, 0 to 1; default 0.25. A slot that is lent
    /// to a long job comes back late.
    pub unlendable: f64,
    /// Expected service time above which a job is long; default 10 s.
    pub long: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            class_weights: std::array::from_fn(|class| Class::ALL[class].default_weight()),
            class_caps: [usize::MAX; 3],
            head_start: 2.0,
            unlendable: 0.25,
            long: Duration::from_secs(10),
        }
    }
}

/// A tenant's limits on one model. The default is weight 1, no caps, no reservation, no group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TenantLimits {
    /// Share relative to the other tenants of the class; default 1.
    pub weight: Weight,
    /// Most requests dispatched at once; at least 1, default no limit.
    pub max_in_flight: u32,
    /// Most requests waiting at once; default no limit.
    pub max_queued: u32,
    /// Slots that the tenant gets before all others while it has work; default 0. See
    /// [`register`](super::FairQueue::register) for tenants that have sent nothing yet.
    pub reserve: u32,
    /// The group it shares with; default none.
    pub group: Option<Group>,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { weight: Weight::ONE, max_in_flight: u32::MAX, max_queued: u32::MAX, reserve: 0, group: None }
    }
}

/// A request as the queue sees it; `P` is the payload that the caller gets back at dispatch.
#[derive(Debug)]
pub struct Request<P> {
    /// The tenant, which pays.
    pub tenant: Arc<str>,
    /// The tenant's limits as they are now; a change takes effect with the next request.
    pub limits: TenantLimits,
    /// Priority class.
    pub class: Class,
    /// Predicted work.
    pub cost: Cost,
    /// Time at which the request expires if it has not been dispatched.
    pub deadline: Time,
    /// Payload, handed back at dispatch, cancel or expiry.
    pub payload: P,
}

/// A job on its way to a dispatcher. `key` is its right to be settled, once.
#[derive(Debug)]
pub struct Dispatch<P> {
    /// Names the job until it is completed, requeued or returned.
    pub key: Key,
    /// Predicted work of the job.
    pub cost: Cost,
    /// Time at which the job expires, should it not be sent.
    pub deadline: Time,
    /// Queue wait of this stay.
    pub waited: Duration,
    /// Payload of the request.
    pub payload: P,
}

/// The reason why a request was not admitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Refusal {
    /// The model's queue is at capacity, or the request's class has used up its part of it.
    QueueFull {
        /// Time until a place will likely be free.
        retry_after: Duration,
    },
    /// The tenant's share of the queue is used up.
    TenantQueueFull {
        /// Time until a place of the tenant will likely be free.
        retry_after: Duration,
    },
    /// The estimated wait is longer than the request may wait.
    DeadlineUnreachable {
        /// The estimate (P90).
        estimate: Duration,
        /// Time by which the estimate exceeds what was asked for.
        retry_after: Duration,
    },
}
