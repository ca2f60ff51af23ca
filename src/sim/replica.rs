//! One dispatcher: a fair queue before a controller's gates.

use super::controller::{Controller, Gates};
use super::scenario::Scenario;
use crate::core::fair_queue::{FairQueue, QueueLimits};
use crate::core::retry::RetryBudget;
use crate::core::time::Time;

/// What becomes of a retry when it meets the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// There is no budget.
    Unlimited,
    /// It waits until there is room.
    Wait,
    /// It fails.
    Fail,
}

pub(super) struct Replica {
    pub(super) queue: FairQueue<u32>,
    pub(super) gates: Box<dyn Gates>,
    pub(super) budget: RetryBudget,
    pub(super) policy: Policy,
    /// The latest retry-after that was stated to it.
    pub(super) stated: Time,
    /// The earliest wake that is scheduled.
    pub(super) wake: Time,
    /// Work delivered to its jobs.
    pub(super) delivered: f64,
}

impl Replica {
    pub(super) fn new(scenario: &Scenario, controller: Controller, seed: u64) -> Self {
        Self {
            queue: FairQueue::new(QueueLimits { capacity: usize::MAX, ..QueueLimits::default() }),
            gates: controller.gates(scenario, seed),
            budget: RetryBudget::new(scenario.retry.budget),
            policy: match controller {
                Controller::Fairflow => Policy::Wait,
                Controller::FixedBudget(_) => Policy::Fail,
                _ => Policy::Unlimited,
            },
            stated: Time::ZERO,
            wake: Time::FAR,
            delivered: 0.0,
        }
    }
}
