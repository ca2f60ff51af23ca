//! Payloads of jobs, as far as the broker has to know them.

use super::{Key, Past, Time};

/// A payload that rides along with a job, from the request to the grant and back.
pub trait Ride {
    /// Returns what the request brings along from its attempts.
    fn past(&self) -> Past;

    /// Changes what the request brings along.
    fn set_past(&mut self, past: Past);

    /// Takes note of the key by which the job can be cancelled while it waits, and until when it backs off
    /// ([`Time::ZERO`] where it does not). Called at each entry into the queue. The default is for drivers that cancel
    /// nothing.
    fn placed(&self, key: Key, not_before: Time) {
        let _ = (key, not_before);
    }

    /// Says whether nobody waits for the job any more: it is dropped rather than dispatched. The default is for drivers
    /// whose callers never leave.
    fn is_gone(&self) -> bool {
        false
    }
}
