//! A route remembers what it told.

use crate::core::broker::RouteView;
use crate::core::time::Time;

/// A hold that is more than a pause.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspension {
    pub(super) until: Time,
    pub(super) reason: &'static str,
}

/// Credits and state that the broker was told last.
#[derive(Debug)]
pub(super) struct Told {
    /// Jobs that the broker assigned in its present life.
    pub(super) assigned: u64,
    /// Jobs that it may assign, in all.
    pub(super) limit: u64,
    pub(super) view: RouteView,
}

impl Told {
    pub(super) const fn new() -> Self {
        Self { assigned: 0, limit: 0, view: RouteView::new() }
    }
}
