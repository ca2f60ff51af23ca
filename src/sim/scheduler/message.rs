//! Messages go between the machines of one scheduler, and steps say what it wants of its driver.

use crate::core::account::{self, Member};
use crate::core::broker::{Input, Refused};
use crate::core::cost::Cost;
use crate::core::key::Key;
use crate::core::route;
use crate::core::time::Time;
use crate::core::window::Change;
use crate::sim::gates::Sent;

/// The one life of the broker; those of the routes begin with the same number.
pub(super) const LIFE: u32 = 1;

/// A step that a scheduler wants of its driver.
#[derive(Debug)]
pub enum Step<J> {
    /// An attempt is made.
    Send(Flight<J>),
    /// A job ends without an attempt under way.
    Refuse {
        /// The job.
        job: J,
        /// Why.
        refused: Refused,
    },
    /// The window of a route moved.
    Moved(Change),
}

/// An attempt under way; [`settle`](super::Scheduler::settle) ends it.
#[derive(Debug)]
pub struct Flight<J> {
    /// The job.
    pub job: J,
    /// When it was dispatched.
    pub at: Time,
    /// The position of the route that it goes by.
    pub route: usize,
    pub(super) right: Right,
}

/// The right by which an attempt is under way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Right {
    /// A lease of the route.
    Lease { lease: Key, probe: bool },
    /// A dispatch, as far as a rival has to know it again.
    Plain { key: Key, charged: Cost, sent: Sent },
}

/// A message on its way to a machine; routes and accounts are named by their positions.
#[allow(clippy::large_enum_variant, reason = "a message is handed on at once")]
pub(super) enum Message<J> {
    Broker(Input<J>),
    Route(usize, route::Input<J>),
    Account(usize, account::Input),
}

/// Returns the one life of the route at a position.
#[allow(clippy::cast_possible_truncation, reason = "a handful of routes")]
pub(super) const fn life(position: usize) -> u32 {
    LIFE + position as u32
}

/// Returns the name at its account of the route at a position, which is its life.
pub(super) const fn member(position: usize) -> Member {
    life(position) as Member
}

/// Returns the position of the route of that name.
pub(super) fn position(member: Member) -> usize {
    usize::try_from(member).unwrap_or_default().saturating_sub(LIFE as usize)
}
