//! What rides along with a job, as far as the broker has to know it.

use super::{Key, Time};

/// A payload that rides along with a job, from the request to the grant and back.
pub trait Ride {
    /// Returns what the request brings along from its attempts.
    fn past(&self) -> Past;

    /// Changes what the request brings along.
    fn set_past(&mut self, past: Past);

    /// Takes note of the key by which the job can be cancelled while it waits, and until when it backs off
    /// ([`Time::ZERO`] where it does not). Called at each entry into the queue.
    fn placed(&self, key: Key, not_before: Time);

    /// Says whether nobody waits for the job any more: it is dropped rather than dispatched.
    fn is_gone(&self) -> bool;
}

/// A request's history: small, since requests wait by the hundred thousand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// Attempts made so far, without those that cost none.
    pub attempts: u32,
    /// Routes at which it has been, one bit each.
    tried: u16,
    /// Whether it may only go to a route that it has not tried.
    pub elsewhere: bool,
    /// How often it let a free slot of a tried route pass.
    pub passed: u8,
}

impl Past {
    /// Says whether the request has been at a route; one beyond the first 16 is never known.
    #[must_use]
    pub fn has_tried(self, route: usize) -> bool {
        u32::try_from(route).ok().and_then(|route| self.tried.checked_shr(route)).is_some_and(|bits| bits & 1 == 1)
    }

    /// Notes that the request goes to a route.
    #[must_use]
    pub fn with(self, route: usize) -> Self {
        let bit = u32::try_from(route).ok().and_then(|route| 1_u16.checked_shl(route)).unwrap_or(0);
        Self { tried: self.tried | bit, ..self }
    }

    /// Notes that the request lets a slot of a tried route pass.
    pub(super) fn passing(self) -> Self {
        Self { passed: self.passed.saturating_add(1), ..self }
    }
}
