//! A route's state as its broker sees it.

use crate::core::health::RouteState;
use crate::core::time::Time;
use crate::core::window::Phase;

/// A route's state, as it tells its broker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RouteView {
    /// Requests it may have in flight.
    pub window: u32,
    /// Requests it has in flight.
    pub in_flight: u32,
    /// The breaker's state.
    pub state: RouteState,
    /// End of the hold; in the past where there is none.
    pub hold_until: Time,
    /// The reason for which the route is suspended, where it is.
    pub suspension: Option<&'static str>,
    /// Whether a probe of the closed route has failed too.
    pub confirmed_down: bool,
    /// Whether an operator has stopped it.
    pub paused: bool,
    /// Requests per second at which the provider refused last, where refusals told a rate.
    pub rate: Option<f64>,
    /// Whether service takes longer than the latency target although the window is at its minimum.
    pub misses_target: bool,
    /// The window's phase.
    pub phase: Phase,
}

impl RouteView {
    /// Returns the view of a route that has told nothing yet: open, with no slot.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 0,
            in_flight: 0,
            state: RouteState::Open,
            hold_until: Time::ZERO,
            suspension: None,
            confirmed_down: false,
            paused: false,
            rate: None,
            misses_target: false,
            phase: Phase::SlowStart,
        }
    }

    /// Returns until when nothing can be sent; not after `now` where the route is usable.
    #[must_use]
    pub fn closed_until(&self) -> Time {
        match self.state {
            RouteState::Closed { until } => until.max(self.hold_until),
            _ => self.hold_until,
        }
    }
}

impl Default for RouteView {
    fn default() -> Self {
        Self::new()
    }
}
