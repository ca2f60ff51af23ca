//! Settings of a route.

use std::time::Duration;

use crate::core::retry::Backoff;
use crate::core::window::WindowConfig;

/// Settings of one route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RouteConfig {
    /// The route's position among those of its model.
    pub index: usize,
    /// Routes of the model, this one included.
    pub routes: usize,
    /// Bounds of the window.
    pub window: WindowConfig,
    /// Longest one attempt may take.
    pub timeout: Duration,
    /// Attempts of a request in all, at least 1.
    pub max_attempts: u32,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Whether an operator has stopped it: nothing is sent.
    pub paused: bool,
    /// Whether each job needs the account's leave.
    pub limited: bool,
}
