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
        let number = member.level();
        let before = member.share;
        change(&mut member.share);
        if self.levels[number].follow(member, before) {
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

    /// Changes a flow and the group that it is in, each with its level, and keeps the levels' sums; returns the class.
    ///
    /// All that an event changes is best changed in one walk: to find a record costs more than to change it.
    fn each(&mut self, id: u32, mut change: impl FnMut(&mut Member, &mut Level)) -> usize {
        let mut next = id;
        loop {
            let member = &mut self.members[next];
            let number = member.level();
            let level = &mut self.levels[number];
            let before = member.share;
            change(member, level);
            let (group, class) = (level.group(), level.class);
            if member.share != before && level.follow(member, before) {
                self.refit(number);
            }
            match group {
                Some(group) => next = group,
                None => return class,
            }
        }
    }

    /// Applies a change to the tags of a flow, of its group and of its class, each with its own weight and level time.
    fn change(&mut self, id: u32, change: impl Fn(&mut Share, &Step)) {
        let largest = self.largest.cost();
        let class = self.each(id, |member, level| {
            let step = Step { weight: member.weight, time: level.time, runs: member.state == State::Ready, largest };
            change(&mut member.share, &step);
        });
        let Root { time, classes, .. } = &mut self.root;
        let class = &mut classes[class];
        let step = Step { weight: class.weight, time: *time, runs: class.ready, largest };
        change(&mut class.share, &step);
    }

    /// Counts a job that joins a flow's queue; `billed` unless it has been paid for.
    pub(super) fn joined(&mut self, id: u32, cost: Cost, billed: bool) {
        let append = |share: &mut Share, weight: Weight| {
            if billed {
                share.append(weight.charge(cost));
            }
        };
        let class = self.each(id, |member, _| {
            member.queued += 1;
            append(&mut member.share, member.weight);
        });
        let band = &mut self.root.classes[class];
        band.queued += 1;
        append(&mut band.share, band.weight);
        let member = &self.members[id];
        let resting = member.state == State::Resting;
        self.tenants.count(member.tenant(), Tenant::joined);
        if resting {
            self.leave_heaps(id, State::Resting);
        }
    }

    /// Takes note that a job which has not been paid for will not run.
    pub(super) fn withdraw(&mut self, id: u32, cost: Cost) {
        self.change(id, |share, step| share.withdraw(step.weight.charge(cost)));
    }

    /// Counts a job that leaves a flow's queue without a dispatch.
    pub(super) fn left(&mut self, id: u32) {
        let class = self.each(id, |member, _| member.queued -= 1);
        self.root.classes[class].queued -= 1;
        self.tenants.count(self.members[id].tenant(), Tenant::left);
    }

    /// Counts a job that begins to exist.
    pub(super) fn born(&mut self, id: u32) {
        self.each(id, |_, level| level.live += 1);
    }

    /// Counts a job that exists no longer.
    pub(super) fn gone(&mut self, id: u32) {
        self.each(id, |_, level| level.live -= 1);
    }

    /// Takes note of a dispatch out of a flow's queue, charging it unless it has paid before.
    pub(super) fn dispatched(&mut self, id: u32, cost: Cost, charged: bool, by_reservation: bool) {
        if !charged && self.largest.see(cost) {
            self.root.scale(self.largest.cost());
        }
        let largest = self.largest.cost();
        let pay = |share: &mut Share, weight: Weight, time: u64| {
            if charged {
                return;
            }
            let before = share.start;
            share.charge(weight.charge(cost));
            if by_reservation {
                let bound = RESERVED_DEBT * weight.charge(largest);
                share.forgive(time.saturating_add(bound).max(before));
            }
        };
        let class = self.each(id, |member, level| {
            if !by_reservation {
                // A level's time follows those served in turn; a reservation's tags may be far from it.
                let (work, charge) = if charged { (0, 0) } else { (cost.units(), member.weight.charge(cost)) };
                level.serve(member.share.start, work, charge);
            }
            pay(&mut member.share, member.weight, level.time);
            member.queued -= 1;
            member.in_flight += 1;
        });
        let tenant = self.members[id].tenant();
        if by_reservation {
            self.reserves.served(self.tenants.get(tenant).reserve);
        } else {
            self.root.follow(class);
        }
        let Root { time, classes, .. } = &mut self.root;
        let band = &mut classes[class];
        pay(&mut band.share, band.weight, *time);
        band.queued -= 1;
        self.count_in_flight(tenant, |tenant| {
            tenant.left();
            tenant.dispatched();
        });
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
        self.each(id, |member, _| member.in_flight -= 1);
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
