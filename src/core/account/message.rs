//! Messages between routes and their account.

use std::time::Duration;

use crate::core::time::Time;
use crate::core::verdict::{Scope, Suspicion};

/// A route's name at its account; new in each life of the route.
pub type Member = u64;

/// A route asks the account's leave for jobs that it is about to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The route.
    pub member: Member,
    /// Slots in use before these jobs.
    pub slots: u32,
    /// Predicted tokens of each job, as limits on tokens count them.
    pub tokens: Vec<f64>,
}

/// A route tells that an attempt ended, or that a claim was not used.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The route.
    pub member: Member,
    /// Slots in use now: a state, not a difference, so that a lost message does no lasting harm.
    pub slots: u32,
    /// Tokens of the attempt as they were claimed and as they turned out.
    pub used: Option<Used>,
    /// Tokens of a job that was claimed and not sent.
    pub unused: Option<f64>,
    /// How the provider refused for a rate, where it did.
    pub limited: Option<Limited>,
    /// How it refused in a way that may concern the whole account, where it did.
    pub suspicion: Option<Suspicion>,
}

impl Signal {
    /// Builds a signal of the slots in use and nothing else.
    #[must_use]
    pub const fn slots(member: Member, slots: u32) -> Self {
        Self { member, slots, used: None, unused: None, limited: None, suspicion: None }
    }
}

/// Tokens of one attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Used {
    /// Tokens as they were claimed.
    pub predicted: f64,
    /// Tokens as they turned out.
    pub actual: f64,
}

/// A refusal for a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limited {
    /// When the attempt was dispatched.
    pub sent: Time,
    /// How long the provider said to stay away.
    pub stated: Option<Duration>,
    /// Part of the system that the refusal concerns.
    pub scope: Scope,
    /// Why the routes are suspended, if they are.
    pub suspension: Option<&'static str>,
}
