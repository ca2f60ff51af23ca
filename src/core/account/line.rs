//! The slots that the routes of an account share, and the line of routes that wait for one.

use std::collections::{BTreeMap, VecDeque};

use super::message::Member;

/// The slots of one route.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    slots: u32,
    /// Whether the route was refused for want of room and has not been told since that there is some.
    waiting: bool,
}

/// A concurrency limit over the routes of an account, with a first-in, first-out line of those that wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// The limit; `None` is no limit.
    most: Option<u32>,
    members: BTreeMap<Member, Share>,
    waiting: VecDeque<Member>,
}

impl Line {
    pub(super) fn new(most: Option<u32>) -> Self {
        Self { most, ..Self::default() }
    }

    pub(super) fn join(&mut self, member: Member) {
        self.members.insert(member, Share::default());
    }

    pub(super) fn leave(&mut self, member: Member) {
        self.members.remove(&member);
        self.waiting.retain(|waiting| *waiting != member);
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Member> {
        self.members.keys().copied()
    }

    /// Notes the slots that a member uses; false where there is no such member.
    pub(super) fn set(&mut self, member: Member, slots: u32) -> bool {
        let share = self.members.get_mut(&member);
        share.map(|share| share.slots = slots).is_some()
    }

    /// Gives a member one more slot.
    pub(super) fn take(&mut self, member: Member) {
        if let Some(share) = self.members.get_mut(&member) {
            share.slots = share.slots.saturating_add(1);
        }
    }

    /// Returns how many slots are free.
    pub(super) fn free(&self) -> u32 {
        let used = || self.members.values().fold(0_u32, |sum, share| sum.saturating_add(share.slots));
        self.most.map_or(u32::MAX, |most| most.saturating_sub(used()))
    }

    /// Puts a member at the end of the line, unless it waits already.
    pub(super) fn wait(&mut self, member: Member) {
        if let Some(share) = self.members.get_mut(&member).filter(|share| !share.waiting) {
            share.waiting = true;
            self.waiting.push_back(member);
        }
    }

    /// Takes the member out that waits longest.
    pub(super) fn next(&mut self) -> Option<Member> {
        let first = self.waiting.pop_front()?;
        if let Some(share) = self.members.get_mut(&first) {
            share.waiting = false;
        }
        Some(first)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_is_next_and_waits_once() {
        let mut line = Line::new(Some(3));
        (1..=3).for_each(|member| line.join(member));
        [2, 1, 2, 3].into_iter().for_each(|member| line.wait(member));
        line.wait(9);
        line.leave(1);
        assert_eq!((line.next(), line.next(), line.next()), (Some(2), Some(3), None));
        line.wait(2);
        assert!(line.is_waited_for(), "it may wait again");
    }

    #[test]
    fn slots_are_what_each_member_says_last() {
        let mut line = Line::new(Some(3));
        line.join(1);
        line.join(2);
        assert!(line.set(1, 2) && !line.set(7, 2));
        line.take(2);
        assert_eq!(line.free(), 0);
        line.set(1, 9);
        assert_eq!(line.free(), 0, "more than there are is no less than none");
        line.leave(1);
        assert_eq!((line.free(), Line::new(None).free()), (2, u32::MAX));
    }
}
