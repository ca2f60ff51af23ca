//! The members of levels: flows (a tenant within a class) and groups of them.

use std::ops::{Index, IndexMut};

use super::backlog::Beyond;
use super::chunks::{Chunks, NONE};
use super::jobs::Fifo;
use super::share::Share;
use crate::core::cost::Weight;

/// The state of a member: where it is in its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Out of the heaps: nothing to run, or its tenant is at its cap.
    Out,
    /// In its level's heap.
    Ready,
    /// Out of the heaps until a slot may go to a long job again.
    Held,
    /// Without any job, until it may be forgotten.
    Resting,
}

/// The kind of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A flow of that tenant.
    Flow(u32),
    /// A group; its members are in that level.
    Group(u32),
}

/// A member of a level: one tenant within one class (a flow), or a group of them.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) share: Share,
    pub(super) weight: Weight,
    /// The tenant of a flow; the level inside of a group.
    owner: u32,
    /// The level of a member; the next free record of a free one.
    level: u32,
    pub(super) fifo: Fifo,
    /// Jobs waiting, those before their not-before time included.
    pub(super) queued: u32,
    /// Jobs dispatched.
    pub(super) in_flight: u32,
    pub(super) state: State,
    is_group: bool,
    /// Tags that lie beyond the level's window of backlogs.
    pub(super) beyond: Beyond,
}

impl Member {
    /// Builds a member without jobs that joins a level at its virtual time.
    pub(super) fn new(kind: Kind, level: u32, weight: Weight, time: u64) -> Self {
        let (owner, is_group) = match kind {
            Kind::Flow(tenant) => (tenant, false),
            Kind::Group(inside) => (inside, true),
        };
        Self {
            share: Share { start: time, end: time, credit: 0 },
            weight,
            owner,
            level,
            fifo: Fifo::EMPTY,
            queued: 0,
            in_flight: 0,
            state: State::Out,
            is_group,
            beyond: Beyond::default(),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        if self.is_group { Kind::Group(self.owner) } else { Kind::Flow(self.owner) }
    }

    /// Returns the tenant of a flow.
    pub(super) const fn tenant(&self) -> u32 {
        self.owner
    }

    /// Returns the level inside of a group.
    pub(super) const fn inside(&self) -> u32 {
        self.owner
    }

    /// Returns the level that the member is in.
    pub(super) const fn level(&self) -> u32 {
        self.level
    }

    /// Moves the member to another level.
    pub(super) const fn move_to(&mut self, level: u32) {
        self.level = level;
    }

    /// Returns the free record after this one, which is free.
    const fn next_free(&self) -> u32 {
        self.level
    }

    /// Frees the record, before the free record `next`.
    fn free(&mut self, next: u32) {
        (self.share, self.level) = (Share::default(), next);
    }
}

/// The records of all members of a queue.
#[derive(Debug, Clone)]
pub(super) struct Members {
    records: Chunks<Member>,
    /// The first free record.
    free: u32,
}

impl Members {
    pub(super) const fn new() -> Self {
        Self { records: Chunks::new(), free: NONE }
    }

    pub(super) fn insert(&mut self, member: Member) -> u32 {
        if self.free == NONE {
            return self.records.push(member);
        }
        let id = self.free;
        self.free = std::mem::replace(&mut self.records[id], member).next_free();
        id
    }

    /// Frees the record of a member that is in no heap.
    pub(super) fn remove(&mut self, id: u32) {
        let next = std::mem::replace(&mut self.free, id);
        self.records[id].free(next);
    }

    /// Iterates over the members of a level for change. Free records may be among them, with an empty share.
    pub(super) fn of_level(&mut self, level: u32) -> impl Iterator<Item = &mut Member> {
        self.records.iter_mut().filter(move |member| member.level == level)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.records.iter()
    }
}

impl Index<u32> for Members {
    type Output = Member;

    fn index(&self, id: u32) -> &Member {
        &self.records[id]
    }
}

impl IndexMut<u32> for Members {
    fn index_mut(&mut self, id: u32) -> &mut Member {
        &mut self.records[id]
    }
}
