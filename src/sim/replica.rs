//! One dispatcher: the scheduler of a model before a controller's gates.

use std::time::Duration;

use super::controller::Controller;
use super::gates::{Gates, Oracle, Ours};
use super::rivals::{Aimd, Arc, Envoy, Fixed, Gradient2, Limited, Rule, Vegas};
use super::scenario::Scenario;
use super::scheduler::Scheduler;
use crate::core::broker::{BrokerConfig, Ride};
use crate::core::fair_queue::QueueLimits;
use crate::core::past::Past;
use crate::core::time::Time;
use crate::core::window::Window;

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
            scheduler: Scheduler::before(config, gates(controller, scenario, seed)),
            policy,
            stated: Time::ZERO,
            wake: Time::FAR,
            delivered: 0.0,
        }
    }
}

/// Builds the gates that a controller puts before a provider.
fn gates(controller: Controller, scenario: &Scenario, seed: u64) -> Box<dyn Gates> {
    fn limited<R: Rule + 'static>(rule: R) -> Box<dyn Gates> {
        Box::new(Limited::new(rule))
    }
    match controller {
        Controller::Fairflow => {
            let config = scenario.window.config();
            let window = match scenario.remembered {
                Some(limit) => Window::remembered(config, limit),
                None => Window::new(config),
            };
            Box::new(Ours::new(window))
        }
        Controller::VectorArc => limited(Arc::new()),
        Controller::NetflixAimd => limited(Aimd::published()),
        Controller::NetflixAimdFloor1 => limited(Aimd::floor_1()),
        Controller::NetflixVegas => limited(Vegas::new(seed)),
        Controller::Gradient2 => limited(Gradient2::new()),
        Controller::Envoy => limited(Envoy::new(seed)),
        Controller::Fixed(limit) | Controller::FixedBudget(limit) => limited(Fixed(limit)),
        Controller::Oracle => Box::new(Oracle::default()),
    }
}
