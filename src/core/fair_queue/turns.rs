//! The order of service: members in line, members outside, members that may be forgotten.

use super::chunks::NONE;
use super::flows::Flows;
use super::jobs::Fifo;
use super::members::{Kind, State};

/// Idle members looked at per step: forgetting keeps up with arrival, and no step pays for many.
const FORGET_PER_STEP: usize = 4;

impl Flows {
    /// Takes a member out of the heap that its state says it is in.
    pub(super) fn leave_heaps(&mut self, id: u32, state: State) {
        let member = &mut self.members[id];
        self.levels.take_out(member.level(), id, state);
        member.state = State::Out;
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

    /// Returns the flow whose turn it is by reservation.
    pub(super) fn next_due(&self) -> Option<u32> {
        let flows = self.tenants.get(self.reserves.next()?).flows;
        flows.into_iter().rev().find(|flow| *flow != NONE && !self.members[*flow].fifo.is_empty())
    }

    /// Returns the flow whose turn it is by weight.
    pub(super) fn next(&self) -> Option<u32> {
        let class = self.root.next()?;
        let (_, id) = self.levels.of_class(class).ready.first()?;
        match self.members[id].kind() {
            Kind::Flow(_) => Some(id),
            Kind::Group(inside) => self.levels[inside].ready.first().map(|(_, id)| id),
        }
    }

    /// Puts a member where its state says: in its level's heap, or out (nothing to run, or its tenant at the cap).
    ///
    /// Entering is an activation, at the level's virtual time at least. So a tenant parked at its cap banks nothing
    /// meanwhile and delays nobody.
    pub(super) fn refresh(&mut self, id: u32) {
        let member = &self.members[id];
        let (kind, level, state) = (member.kind(), member.level(), member.state);
        let runs = match kind {
            Kind::Group(inside) => !self.levels[inside].ready.is_empty(),
            Kind::Flow(tenant) => !member.fifo.is_empty() && state != State::Held && !self.tenants.get(tenant).capped(),
        };
        if runs {
            if state != State::Ready {
                self.leave_heaps(id, state);
                let time = self.levels[level].time;
                self.update(id, |share| share.activate(time));
                self.members[id].state = State::Ready;
            }
            self.levels.set_ready(level, id, self.members[id].share.start);
        } else if state == State::Ready {
            self.leave_heaps(id, state);
        }
        if let Kind::Flow(tenant) = kind
            && self.tenants.get(tenant).reserve != NONE
        {
            self.refresh_reserve(tenant);
        }
        match self.levels[level].group() {
            Some(group) => self.refresh(group),
            None => self.show_class(self.levels[level].class),
        }
    }

    /// Lets the model see whether a class has a member that may run.
    pub(super) fn show_class(&mut self, class: usize) {
        let ready = !self.levels.of_class(class).ready.is_empty();
        self.root.show(class, ready);
    }

    /// Looks at a tenant's reservation anew, after its jobs or what is granted have changed.
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
        let mut released = 0;
        while released < most
            && let Some(id) = self.held.pop_front()
        {
            // A member that left that state since is skipped; its record may even be another's by now.
            if self.members[id].state == State::Held {
                self.members[id].state = State::Out;
                self.refresh(id);
                released += 1;
            }
        }
    }

    /// Says whether a flow that was set aside could run, had a long job room.
    pub(super) fn any_held(&self) -> bool {
        self.held.iter().any(|id| {
            let member = &self.members[*id];
            let runs = matches!(member.kind(), Kind::Flow(tenant) if !self.tenants.get(tenant).capped());
            member.state == State::Held && runs
        })
    }

    /// Lets a flow without jobs go, now or as soon as the level's time has passed its debt.
    pub(super) fn rest(&mut self, id: u32) {
        let level = self.members[id].level();
        if let Some(group) = self.parent(id) {
            self.rest_level(level);
            let outer = self.members[group].level();
            self.rest_member(id);
            self.rest_level(outer);
        } else {
            self.rest_member(id);
            self.rest_level(level);
        }
        if self.levels.are_idle() {
            self.root.end_busy_period();
        }
    }

    /// Lets a member without jobs rest until its debt is passed.
    pub(super) fn rest_member(&mut self, id: u32) {
        let member = &self.members[id];
        let state = member.state;
        if member.queued == 0 && member.in_flight == 0 && state != State::Resting {
            let (level, until) = (member.level(), member.share.rests_until());
            self.leave_heaps(id, state);
            self.members[id].state = State::Resting;
            self.levels.set_idle(level, id, until);
        }
    }

    /// Ends a busy period of a level without jobs: there is nobody to be fair to, and every debt and credit is void
    /// (the rule of SFQ: virtual time becomes the largest tag given out). Then forgets a few members that rest.
    pub(super) fn rest_level(&mut self, level: u32) {
        let at = &mut self.levels[level];
        if at.live == 0 {
            at.pass(at.top);
        }
        self.forget_idle(level);
    }

    /// Forgets members of a level that have rested for long enough.
    pub(super) fn forget_idle(&mut self, level: u32) {
        for _ in 0..FORGET_PER_STEP {
            let at = &self.levels[level];
            if at.idle.is_empty() {
                return;
            }
            let Some((_, id)) = at.idle.first().filter(|(until, _)| *until <= at.time) else { return };
            self.forget(id);
        }
    }

    fn forget(&mut self, id: u32) {
        self.leave_heaps(id, State::Resting);
        let member = &self.members[id];
        let (kind, number) = (member.kind(), member.level());
        self.members.remove(id);
        let level = &mut self.levels[number];
        level.members -= 1;
        match kind {
            Kind::Group(inside) => {
                self.groups.retain(|_, member| *member != id);
                self.levels.remove(inside);
            }
            Kind::Flow(tenant) => {
                let empty = level.group().filter(|_| level.members == 0);
                self.tenants.get_mut(tenant).flows[level.class] = NONE;
                self.tenants.forget(tenant);
                if let Some(group) = empty {
                    self.rest_member(group);
                }
            }
        }
    }
}
