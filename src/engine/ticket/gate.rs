//! Permits that are counted while they are out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the permits that are out: of requests that wait for one model, the bound that a mailbox does not have, and of the
/// slots of a route.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicUsize);

impl Gate {
    /// Lets one more in, unless `capacity` wait already.
    pub(crate) fn enter(self: &Arc<Self>, capacity: usize) -> Option<Permit> {
        let entered = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < capacity).then_some(n + 1));
        entered.is_ok().then(|| Permit(self.clone()))
    }

    /// Lets one more in, however many there are.
    pub(crate) fn pass(self: &Arc<Self>) -> Permit {
        self.0.fetch_add(1, Ordering::Relaxed);
        Permit(self.clone())
    }

    /// Returns how many permits are out.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A permit of a [`Gate`]; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Gate>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
