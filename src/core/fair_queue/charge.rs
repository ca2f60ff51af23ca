//! What each member of the hierarchy is charged, refunded and counted.

use super::chunks::NONE;
use super::flows::{Flows, Member, State};
use super::level::{Level, Root};
use super::share::Share;
use crate::core::cost::{Cost, Weight};

/// Largest costs by which service out of turn, on a reservation, may put a member behind. Without a bound a tenant
/// whose reservation exceeds its share would be shut out for as long when the reservation ends.
const RESERVED_DEBT: u64 = 2;

impl Flows {
    /// Changes a member's tags and keeps its level's sums.
    pub(super) fn update(&mut self, id: u32, change: impl FnOnce(&mut Share)) {
        let member = &mut self.members[id];
        let before = member.share;
        change(&mut member.share);
        let (after, weight) = (member.share, member.weight.milli());
        let level = &mut self.levels[member.level as usize];
        level.top = level.top.max(after.rests_until());
        match (before.end > before.start, after.end > after.start) {
            (false, false) => return,
            (false, true) => member.beyond = level.backlog.put(weight, after.start, after.end),
            (true, false) => level.backlog.take(weight, before.start, before.end, member.beyond),
            (true, true) => {
                if before.start != after.start {
                    member.beyond.0 = level.backlog.move_start(weight, before.start, after.start, member.beyond.0);
                }
                if before.end != after.end {
                    member.beyond.1 = level.backlog.move_end(weight, before.end, after.end, member.beyond.1);
                }
            }
        }
        if level.backlog.misfits() {
            let level = member.level;
            self.refit(level);
        }
    }

    pub(super) fn refit(&mut self, level: u32) {
        let Level { backlog, time, .. } = &mut self.levels[level as usize];
        backlog.refit(*time);
        for member in self.members.iter_mut() {
            if member.level == level && member.share.end > member.share.start {
                let Share { start, end, .. } = member.share;
                member.beyond = backlog.put(member.weight.milli(), start, end);
            }
        }
        backlog.fitted();
    }

    /// Applies a change to the tags of a flow, of its group and of its class, each with its own weight and level time.
    fn change(&mut self, id: u32, change: impl Fn(&mut Share, &Step)) {
        let largest = self.largest.cost();
        let mut next = Some(id);
        while let Some(at) = next {
            let Member { weight, level, state, .. } = self.members[at];
            let runs = state == State::Ready;
            let step = Step { weight, time: self.levels[level as usize].time, runs, largest };
            self.update(at, |share| change(share, &step));
            next = self.parent(at);
        }
        let class = self.class_of(id);
        let Root { time, classes, .. } = &mut self.root;
        let class = &mut classes[class];
        let step = Step { weight: class.weight, time: *time, runs: class.ready, largest };
        change(&mut class.share, &step);
    }

    /// Counts a job that joins a flow's queue; `billed` unless it has been paid for.
    pub(super) fn joined(&mut self, id: u32, cost: Cost, billed: bool) {
        if billed {
            self.change(id, |share, step| share.append(step.weight.charge(cost)));
        }
        self.root.classes[self.class_of(id)].queued += 1;
        self.each(id, |member| member.queued += 1);
        self.tenants.count(self.members[id].owner, |tenant| tenant.queued += 1);
        if self.members[id].state == State::Resting {
            self.leave_heaps(id, State::Resting);
        }
    }

    /// Takes note that a job which has not been paid for will not run.
    pub(super) fn withdraw(&mut self, id: u32, cost: Cost) {
        self.change(id, |share, step| share.withdraw(step.weight.charge(cost)));
    }

    /// Counts a job that leaves a flow's queue.
    pub(super) fn left(&mut self, id: u32) {
        self.root.classes[self.class_of(id)].queued -= 1;
        self.each(id, |member| member.queued -= 1);
        self.tenants.count(self.members[id].owner, |tenant| tenant.queued -= 1);
    }

    /// Counts a job that begins (or ends) to exist.
    pub(super) fn lives(&mut self, id: u32, born: bool) {
        let mut next = Some(id);
        while let Some(at) = next {
            let level = &mut self.levels[self.members[at].level as usize];
            if born {
                level.live += 1
            } else {
                level.live -= 1
            }
            next = self.parent(at);
        }
    }

    pub(super) fn each(&mut self, id: u32, change: impl Fn(&mut Member)) {
        change(&mut self.members[id]);
        if let Some(group) = self.parent(id) {
            change(&mut self.members[group]);
        }
    }

    /// Takes note of a dispatch from a flow, charging it unless it has paid before.
    pub(super) fn dispatched(&mut self, id: u32, cost: Cost, charged: bool, by_reservation: bool) {
        if !charged && self.largest.see(cost) {
            self.root.scale(self.largest.cost());
        }
        if by_reservation {
            self.reserves.served(self.tenants.get(self.members[id].owner).reserve);
        } else {
            // A level's time follows those served in turn; a reservation's tags may be far from it.
            let mut next = Some(id);
            while let Some(at) = next {
                let Member { share, weight, level, .. } = self.members[at];
                let (work, charge) = if charged { (0, 0) } else { (cost.units(), weight.charge(cost)) };
                self.levels[level as usize].serve(share.start, work, charge);
                next = self.parent(at);
            }
            self.root.follow(self.class_of(id));
        }
        if !charged {
            self.change(id, |share, step| {
                let before = share.start;
                share.charge(step.weight.charge(cost));
                if by_reservation {
                    let bound = RESERVED_DEBT * step.weight.charge(step.largest);
                    share.forgive(step.time.saturating_add(bound).max(before));
                }
            });
        }
        self.each(id, |member| member.in_flight += 1);
        self.count_in_flight(self.members[id].owner, 1);
        self.refresh(id);
        let mut next = Some(id);
        while let Some(at) = next {
            let level = self.members[at].level;
            next = self.parent(at);
            self.forget_idle(level);
            self.rebase(level);
        }
        self.root.rebase();
    }

    /// Takes note that a dispatched job of a flow is with its dispatcher no longer.
    pub(super) fn landed(&mut self, id: u32) {
        self.each(id, |member| member.in_flight -= 1);
        self.count_in_flight(self.members[id].owner, -1);
    }

    /// Corrects the charge of a dispatched job of a flow to what the work really was.
    pub(super) fn reconcile(&mut self, id: u32, charged: Cost, actual: Cost) {
        if charged == actual {
            return;
        }
        self.change(id, |share, step| {
            let (charged, due) = (step.weight.charge(charged), step.weight.charge(actual));
            if due >= charged {
                share.delay(due - charged);
            } else {
                share.refund(charged - due, step.runs, step.time, step.weight.charge(step.largest));
            }
        });
        self.correct_time(id, charged, actual);
        self.refresh(id);
    }

    /// Takes back the charge of a dispatched job of a flow that was not sent.
    pub(super) fn unpay(&mut self, id: u32, cost: Cost) {
        self.change(id, |share, step| share.advance(step.weight.charge(cost)));
        self.correct_time(id, cost, Cost::ONE);
    }

    /// Lets the levels' times follow a correction, as they followed the charge.
    pub(super) fn correct_time(&mut self, id: u32, charged: Cost, actual: Cost) {
        let mut next = Some(id);
        while let Some(at) = next {
            let level = self.members[at].level;
            self.levels[level as usize].correct(charged.units(), actual.units());
            next = self.parent(at);
        }
    }

    pub(super) fn count_in_flight(&mut self, tenant: u32, change: i32) {
        let was = self.tenants.get(tenant).capped();
        let record =
            self.tenants.count(tenant, |tenant| tenant.in_flight = tenant.in_flight.saturating_add_signed(change));
        let (is, flows, reserve) = (record.capped(), record.flows, record.reserve);
        if reserve != NONE {
            self.reserves.count(reserve, record.in_flight);
        }
        // Crossing the cap parks or unparks every flow of the tenant.
        if was != is {
            for flow in flows.into_iter().filter(|flow| *flow != NONE) {
                self.refresh(flow);
            }
        } else if reserve != NONE {
            self.refresh_reserve(tenant);
        }
    }

    pub(super) fn rebase(&mut self, level: u32) {
        let Some(base) = self.levels[level as usize].rebase() else { return };
        for member in self.members.iter_mut().filter(|member| member.level == level) {
            member.share.advance(base);
        }
        self.refit(level);
    }
}

/// What a change of one share needs to know of its surroundings.
#[derive(Debug)]
struct Step {
    weight: Weight,
    /// Virtual time of the level.
    time: u64,
    /// Whether the member is in the level's heap.
    runs: bool,
    largest: Cost,
}
