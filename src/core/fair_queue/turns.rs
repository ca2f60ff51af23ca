//! Whose turn it is: who is in line, who stands outside, who may be forgotten.

use super::chunks::NONE;
use super::flows::{Flows, Member, State};
use super::jobs::Fifo;
use super::level::Level;
use super::share::Share;

/// Idle members looked at per step: forgetting keeps up with arrival, and no step pays for many.
const FORGET_PER_STEP: usize = 4;

impl Flows {
    pub(super) fn leave_heaps(&mut self, id: u32, state: State) {
        let level = &mut self.levels[self.members[id].level as usize];
        match state {
            State::Ready => level.ready.remove(&mut self.positions, id),
            State::Resting => level.idle.remove(&mut self.positions, id),
            State::Out | State::Held => {}
        }
        self.members[id].state = State::Out;
    }

    /// Takes the next job out of a flow's FIFO, to be followed by [`dispatched`](Self::dispatched).
    pub(super) fn pull(&mut self, id: u32, change: impl FnOnce(&mut Fifo)) {
        let member = &mut self.members[id];
        change(&mut member.fifo);
        if member.state == State::Held {
            member.state = State::Out;
        }
    }

    /// Changes the flow's FIFO.
    pub(super) fn with_fifo(&mut self, id: u32, change: impl FnOnce(&mut Fifo)) {
        let member = &mut self.members[id];
        let head = member.fifo.head;
        change(&mut member.fifo);
        match member.state {
            // It stays where it is, and its place in the heap need not be looked up.
            State::Ready if !member.fifo.is_empty() => return,
            // What it was held for is no longer its next.
            State::Held if head != member.fifo.head => member.state = State::Out,
            _ => {}
        }
        self.refresh(id);
    }

    /// Returns the flow that a reservation serves next.
    pub(super) fn next_due(&self) -> Option<u32> {
        let flows = self.tenants.get(self.reserves.next()?).flows;
        flows.into_iter().rev().find(|flow| *flow != NONE && !self.members[*flow].fifo.is_empty())
    }

    /// Returns the flow that the weights serve next.
    pub(super) fn next(&self) -> Option<u32> {
        let class = self.root.next()?;
        let (_, id) = self.levels[class].ready.first()?;
        if !self.members[id].is_group {
            return Some(id);
        }
        self.levels[self.members[id].owner as usize].ready.first().map(|(_, id)| id)
    }

    /// Puts a member where its state says: in its level's heap, or out (nothing to run, or its tenant at the cap).
    ///
    /// Entering is an activation, at the level's virtual time at least. So a tenant parked at its cap banks nothing
    /// meanwhile and delays nobody.
    pub(super) fn refresh(&mut self, id: u32) {
        let Member { owner, level, fifo, state, is_group, .. } = self.members[id];
        let runs = if is_group {
            !self.levels[owner as usize].ready.is_empty()
        } else {
            !fifo.is_empty() && state != State::Held && !self.tenants.get(owner).capped()
        };
        if runs {
            if state != State::Ready {
                self.leave_heaps(id, state);
                let time = self.levels[level as usize].time;
                self.update(id, |share| share.activate(time));
                self.members[id].state = State::Ready;
            }
            let start = self.members[id].share.start;
            self.levels[level as usize].ready.set(&mut self.positions, id, start);
        } else if state == State::Ready {
            self.leave_heaps(id, state);
        }
        if !is_group && self.tenants.get(owner).reserve != NONE {
            self.refresh_reserve(owner);
        }
        match self.parent(id) {
            Some(group) => self.refresh(group),
            None => self.show_class(self.levels[level as usize].class),
        }
    }

    pub(super) fn show_class(&mut self, class: usize) {
        let ready = !self.levels[class].ready.is_empty();
        self.root.show(class, ready);
    }

    pub(super) fn refresh_reserve(&mut self, tenant: u32) {
        let record = self.tenants.get(tenant);
        let has_work = |flow: &u32| *flow != NONE && !self.members[*flow].fifo.is_empty();
        let runs = !record.capped() && record.flows.iter().any(has_work);
        self.reserves.refresh(record.reserve, runs);
    }

    /// Looks at every reservation anew, after what is granted has changed.
    pub(super) fn refresh_due(&mut self) {
        let tenants: Vec<u32> = self.reserves.tenants().collect();
        for tenant in tenants {
            self.refresh_reserve(tenant);
        }
    }

    /// Sets a flow aside whose next job is long, while long jobs may have no further slot.
    pub(super) fn hold(&mut self, id: u32) {
        self.leave_heaps(id, self.members[id].state);
        self.members[id].state = State::Held;
        self.held.push_back(id);
        self.refresh(id);
    }

    /// Lets up to `most` flows that were set aside take part again.
    pub(super) fn release(&mut self, most: u64) {
        for _ in 0..most {
            let Some(id) = self.held.pop_front() else { return };
            // Whoever left that state since is skipped; its record may even be another's by now.
            if self.members[id].state == State::Held {
                self.members[id].state = State::Out;
                self.refresh(id);
            }
        }
    }

    /// Lets a flow without jobs go, now or as soon as the level's time has passed its debt.
    pub(super) fn rest(&mut self, id: u32) {
        let level = self.members[id].level;
        if let Some(group) = self.parent(id) {
            self.rest_level(level);
            let outer = self.members[group].level;
            self.rest_member(id);
            self.rest_level(outer);
        } else {
            self.rest_member(id);
            self.rest_level(level);
        }
        if self.levels.iter().take(3).all(|level| level.live == 0) {
            self.root.end_busy_period();
        }
    }

    pub(super) fn rest_member(&mut self, id: u32) {
        let Member { share, level, queued, in_flight, state, .. } = self.members[id];
        if queued == 0 && in_flight == 0 && state != State::Resting {
            self.leave_heaps(id, state);
            self.members[id].state = State::Resting;
            self.levels[level as usize].idle.set(&mut self.positions, id, share.rests_until());
        }
    }

    /// Ends a busy period of a level without jobs: there is nobody to be fair to, and every debt and credit is void
    /// (the rule of SFQ: virtual time becomes the largest tag given out). Then forgets a few of those who rest.
    pub(super) fn rest_level(&mut self, level: u32) {
        let at = &mut self.levels[level as usize];
        if at.live == 0 {
            at.pass(at.top);
        }
        self.forget_idle(level);
    }

    pub(super) fn forget_idle(&mut self, level: u32) {
        for _ in 0..FORGET_PER_STEP {
            let at = &self.levels[level as usize];
            let Some((_, id)) = at.idle.first().filter(|(until, _)| *until <= at.time) else { return };
            self.forget(id);
        }
    }

    pub(super) fn forget(&mut self, id: u32) {
        self.leave_heaps(id, State::Resting);
        let Member { owner, level, is_group, .. } = self.members[id];
        let class = self.levels[level as usize].class;
        self.members[id].share = Share::default();
        self.members[id].level = std::mem::replace(&mut self.free, id);
        self.levels[level as usize].members -= 1;
        if is_group {
            self.groups.retain(|_, member| *member != id);
            self.free_levels.push(owner);
            return;
        }
        let tenant = self.tenants.get_mut(owner);
        tenant.flows[class] = NONE;
        self.tenants.forget(owner);
        let Level { owner: group, members, .. } = self.levels[level as usize];
        if group != NONE && members == 0 {
            self.rest_member(group);
        }
    }
}
