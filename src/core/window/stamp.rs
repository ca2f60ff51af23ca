//! A dispatch, as a window remembers it.
//!
//! A sample is one attempt. Measuring around retries would turn the waiting
//! between them into service time.

use crate::core::time::Time;

/// The record of one dispatch; hand it back to
/// [`Window::on_settle`](super::Window::on_settle).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stamp {
    pub(super) at: Time,
    pub(super) size: f32,
    pub(super) epoch: u32,
    pub(super) in_flight: u32,
    /// Requests dispatched until then, with itself; wraps.
    pub(super) serial: u32,
}

impl Stamp {
    /// Returns when the request was dispatched.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Returns how many requests were in flight then, with itself.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }
}
