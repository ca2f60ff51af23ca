//! One dispatcher: the scheduler of a model before a controller's gates.

use std::time::Duration;

use super::controller::Controller;
use super::scenario::Scenario;
use super::scheduler::Scheduler;
use crate::core::broker::{BrokerConfig, Ride};
use crate::core::fair_queue::QueueLimits;
use crate::core::key::Key;
use crate::core::past::Past;
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

/// A job by its number; nobody leaves who waits for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rider {
    pub(super) job: u32,
    past: Past,
}

impl Rider {
    pub(super) fn new(job: u32) -> Self {
        Self { job, past: Past::default() }
    }
}

impl Ride for Rider {
    fn past(&self) -> Past {
        self.past
    }

    fn set_past(&mut self, past: Past) {
        self.past = past;
    }

    fn placed(&self, _: Key, _: Time) {}

    fn is_gone(&self) -> bool {
        false
    }
}

pub(super) struct Replica {
    pub(super) scheduler: Scheduler<Rider>,
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
        let policy = match controller {
            Controller::Fairflow => Policy::Wait,
            Controller::FixedBudget(_) => Policy::Fail,
            _ => Policy::Unlimited,
        };
        let config = BrokerConfig {
            queue: QueueLimits { capacity: usize::MAX, ..QueueLimits::default() },
            retry_budget: if policy == Policy::Unlimited { f64::MAX } else { scenario.retry.budget },
            max_wait: scenario.max_wait.map_or(Duration::MAX, Duration::from_secs_f64),
            ..BrokerConfig::default()
        };
        Self {
            scheduler: Scheduler::before(config, controller.gates(scenario, seed)),
            policy,
            stated: Time::ZERO,
            wake: Time::FAR,
            delivered: 0.0,
        }
    }
}
