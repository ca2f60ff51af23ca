//! Tickets that a caller holds while its request is scheduled: a place in the queue, then a lease, and doors to both.

pub(crate) mod door;
pub(crate) mod gate;
pub(crate) mod lease;
pub(crate) mod messages;
pub(crate) mod seat;
pub(crate) mod waiting;
