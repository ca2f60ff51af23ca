//! All levels of a queue: those of the classes, and those inside of groups.

use std::ops::{Index, IndexMut};

use super::chunks::NONE;
use super::heap::Positions;
use super::level::Level;
use super::members::State;

/// The levels of the classes, in the order of [`Class::ALL`](super::Class::ALL), then those of groups.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    records: Vec<Level>,
    /// Records of groups that are no more.
    free: Vec<u32>,
    /// Position of each member in the heap that it is in.
    positions: Positions,
}

impl Levels {
    pub(super) fn new() -> Self {
        let classes = (0..3).map(|class| Level::new(class, NONE)).collect();
        Self { records: classes, free: Vec::new(), positions: Positions::new() }
    }

    /// Returns the number of the level that [`add`](Self::add) next fills.
    pub(super) fn vacant(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "fewer groups than tenants")]
        let next = self.records.len() as u32;
        self.free.last().copied().unwrap_or(next)
    }

    /// Adds the level inside of a group in a class.
    pub(super) fn add(&mut self, class: usize, group: u32) {
        let level = Level::new(class, group);
        match self.free.pop() {
            Some(at) => self[at] = level,
            None => self.records.push(level),
        }
    }

    /// Frees the level inside of a group that is no more.
    pub(super) fn remove(&mut self, level: u32) {
        self.free.push(level);
    }

    /// Returns the level of a class.
    pub(super) fn of_class(&self, class: usize) -> &Level {
        &self.records[class]
    }

    /// Says whether no job waits or is dispatched.
    pub(super) fn are_idle(&self) -> bool {
        self.records.iter().take(3).all(|level| level.live == 0)
    }

    /// Puts a member into its level's heap of members that may run, or re-keys it there.
    pub(super) fn set_ready(&mut self, level: u32, member: u32, start: u64) {
        self.records[level as usize].ready.set(&mut self.positions, member, start);
    }

    /// Puts a member into its level's heap of members without jobs, until that virtual time.
    pub(super) fn set_idle(&mut self, level: u32, member: u32, until: u64) {
        self.records[level as usize].idle.set(&mut self.positions, member, until);
    }

    /// Takes a member out of the heap that its state says it is in.
    pub(super) fn take_out(&mut self, level: u32, member: u32, state: State) {
        let at = &mut self.records[level as usize];
        match state {
            State::Ready => at.ready.remove(&mut self.positions, member),
            State::Resting => at.idle.remove(&mut self.positions, member),
            State::Out | State::Held => {}
        }
    }
}

impl Index<u32> for Levels {
    type Output = Level;

    fn index(&self, level: u32) -> &Level {
        &self.records[level as usize]
    }
}

impl IndexMut<u32> for Levels {
    fn index_mut(&mut self, level: u32) -> &mut Level {
        &mut self.records[level as usize]
    }
}
