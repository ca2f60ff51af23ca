//! A memory keeps what a route's next life begins with.

/// A route's memory keeps what is worth remembering from one life to the next.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Memory {
    /// Requests it may have in flight.
    pub window: Option<u32>,
    /// Requests per second at which it refused last, where refusals told a rate.
    pub rate: Option<f64>,
}
