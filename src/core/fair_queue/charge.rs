//! Charges, refunds and counts of the members of the hierarchy.

use super::chunks::NONE;
use super::flows::Flows;
use super::level::{Level, Root};
use super::members::{Member, State};
use super::share::Share;
use super::tenants::Tenant;
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
        let (number, after, weight) = (member.level(), member.share, member.weight);
        let level = &mut self.levels[number];
        level.top = level.top.max(after.rests_until());
        if level.backlog.update(weight, before, after, &mut member.beyond) {
            self.refit(number);
        }
    }

    /// Fits a level's window of backlogs to its members.
    fn refit(&mut self, level: u32) {
        let Level { backlog, time, .. } = &mut self.levels[level];
        backlog.refit(*time);
        for member in self.members.of_level(level).filter(|member| member.share.has_backlog()) {
            member.beyond = backlog.put(member.weight, member.share);
        }
        backlog.fitted();
    }

    /// Applies a change to the tags of a flow, of its group and of its class, each with its own weight and level time.
    fn change(&mut self, id: u32, change: impl Fn(&mut Share, &Step)) {
        let largest = self.largest.cost();
        for at in self.path(id) {
            let member = &self.members[at];
            let (weight, runs) = (member.weight, member.state == State::Ready);
            let step = Step { weight, time: self.levels[member.level()].time, runs, largest };
            self.update(at, |share| change(share, &step));
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
        self.tenants.count(self.members[id].tenant(), Tenant::joined);
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
        self.tenants.count(self.members[id].tenant(), Tenant::left);
    }

    /// Counts a job that begins to exist.
    pub(super) fn born(&mut self, id: u32) {
        for at in self.path(id) {
            self.levels[self.members[at].level()].live += 1;
        }
    }

    /// Counts a job that exists no longer.
    pub(super) fn gone(&mut self, id: u32) {
        for at in self.path(id) {
            self.levels[self.members[at].level()].live -= 1;
        }
    }

    /// Changes a flow and the group that it is in.
    fn each(&mut self, id: u32, change: impl Fn(&mut Member)) {
        for at in self.path(id) {
            change(&mut self.members[at]);
        }
    }

    /// Takes note of a dispatch from a flow, charging it unless it has paid before.
    pub(super) fn dispatched(&mut self, id: u32, cost: Cost, charged: bool, by_reservation: bool) {
        if !charged && self.largest.see(cost) {
            self.root.scale(self.largest.cost());
        }
        if by_reservation {
            self.reserves.served(self.tenants.get(self.members[id].tenant()).reserve);
        } else {
            // A level's time follows those served in turn; a reservation's tags may be far from it.
            for at in self.path(id) {
                let member = &self.members[at];
                let (work, charge) = if charged { (0, 0) } else { (cost.units(), member.weight.charge(cost)) };
                self.levels[member.level()].serve(member.share.start, work, charge);
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
        self.count_in_flight(self.members[id].tenant(), Tenant::dispatched);
        self.refresh(id);
        for at in self.path(id) {
            let level = self.members[at].level();
            self.forget_idle(level);
            self.rebase(level);
        }
        self.root.rebase();
    }

    /// Takes note that a dispatched job of a flow is with its dispatcher no longer.
    pub(super) fn landed(&mut self, id: u32) {
        self.each(id, |member| member.in_flight -= 1);
        self.count_in_flight(self.members[id].tenant(), Tenant::landed);
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
    fn correct_time(&mut self, id: u32, charged: Cost, actual: Cost) {
        for at in self.path(id) {
            self.levels[self.members[at].level()].correct(charged.units(), actual.units());
        }
    }

    /// Changes a tenant's jobs in flight, and what depends on them: its cap and its reservation.
    fn count_in_flight(&mut self, tenant: u32, change: impl FnOnce(&mut Tenant)) {
        let was = self.tenants.get(tenant).capped();
        let record = self.tenants.count(tenant, change);
        let (is, flows, reserve) = (record.capped(), record.flows, record.reserve);
        if reserve != NONE {
            self.reserves.count(reserve, record.in_flight());
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

    /// Lowers every tag of a level whose virtual time has run far.
    fn rebase(&mut self, level: u32) {
        let Some(base) = self.levels[level].rebase() else { return };
        for member in self.members.of_level(level) {
            member.share.advance(base);
        }
        self.refit(level);
    }
}

/// The surroundings of a share that changes.
#[derive(Debug)]
struct Step {
    weight: Weight,
    /// Virtual time of the level.
    time: u64,
    /// Whether the member is in the level's heap.
    runs: bool,
    largest: Cost,
}
