//! A replica runs the scheduler of a model, with fairflow's routes or a rival's gates.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::controller::Controller;
use super::gates::{Gates, Oracle};
use super::rivals::{Aimd, Arc, Envoy, Fixed, Gradient2, Limited, Rule, Vegas};
use super::rng::Rng;
use super::routes::AccountSpec;
use super::scenario::Scenario;
use super::scheduler::{RouteStart, Scheduler};
use crate::core::broker::{BrokerConfig, Ride};
use crate::core::fair_queue::QueueLimits;
use crate::core::past::Past;
use crate::core::route::{Memory, RouteConfig};
use crate::core::time::Time;

/// A policy says what becomes of a controller's retry when it meets the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// There is no budget.
    Unlimited,
    /// The retry fails.
    Fail,
    /// The route decides, and it waits until there is room.
    Route,
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
    /// `pauses`: the stream from which all routes draw the spread of their pauses.
    pub(super) fn new(scenario: &Scenario, controller: Controller, seed: u64, pauses: Rc<RefCell<Rng>>) -> Self {
        let policy = match controller {
            Controller::Fairflow => Policy::Route,
            Controller::FixedBudget(_) => Policy::Fail,
            _ => Policy::Unlimited,
        };
        let config = BrokerConfig {
            queue: QueueLimits { capacity: usize::MAX, ..QueueLimits::default() },
            retry_budget: if policy == Policy::Unlimited { f64::MAX } else { scenario.retry.budget },
            max_wait: scenario.max_wait.map_or(Duration::MAX, Duration::from_secs_f64),
            ..BrokerConfig::default()
        };
        let gates: Option<Vec<_>> = scenario.providers().map(|_| gates(controller, seed)).collect();
        let scheduler = match gates {
            Some(gates) => Scheduler::before(config, gates),
            None => {
                let accounts = scenario.accounts.values().map(AccountSpec::config).collect();
                Scheduler::new(config, routes(scenario), accounts, move || pauses.borrow_mut().unit())
            }
        };
        Self { scheduler, policy, stated: Time::ZERO, wake: Time::FAR, delivered: 0.0 }
    }
}

/// Returns the routes as they begin.
fn routes(scenario: &Scenario) -> Vec<RouteStart> {
    let config = RouteConfig {
        index: 0,
        routes: 1,
        window: scenario.window.config(),
        timeout: scenario.timeout.map_or(Duration::MAX, Duration::from_secs_f64),
        max_attempts: scenario.retry.attempts,
        backoff: scenario.retry.backoff(),
        paused: false,
        limited: false,
    };
    let memory = Memory { window: scenario.remembered, rate: None };
    scenario.account_of_each().map(|account| RouteStart { config, memory, account }).collect()
}

/// Builds the gates of a rival or of the oracle; `None` for fairflow, which has a route.
fn gates(controller: Controller, seed: u64) -> Option<Box<dyn Gates>> {
    fn limited<R: Rule + 'static>(rule: R) -> Box<dyn Gates> {
        Box::new(Limited::new(rule))
    }
    Some(match controller {
        Controller::Fairflow => return None,
        Controller::VectorArc => limited(Arc::new()),
        Controller::NetflixAimd => limited(Aimd::published()),
        Controller::NetflixAimdFloor1 => limited(Aimd::floor_1()),
        Controller::NetflixVegas => limited(Vegas::new(seed)),
        Controller::Gradient2 => limited(Gradient2::new()),
        Controller::Envoy => limited(Envoy::new(seed)),
        Controller::Fixed(limit) | Controller::FixedBudget(limit) => limited(Fixed(limit)),
        Controller::Oracle => Box::new(Oracle::default()),
    })
}
