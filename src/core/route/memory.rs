//! What a route's next life begins with.

/// What is worth remembering of a route from one life to the next.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Memory {
    /// Requests it may have in flight.
    pub window: Option<u32>,
    /// Requests per second at which it refused last, where refusals told a rate.
    pub rate: Option<f64>,
}
