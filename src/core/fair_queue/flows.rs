//! The hierarchy model → class → (group) → tenant: who is charged, who is next, who waits outside.

use std::collections::{BTreeMap, VecDeque};

use super::chunks::{Chunks, NONE};
use super::class::Class;
use super::jobs::Fifo;
use super::level::{Level, Root};
use super::heap::Positions;
use super::request::{Group, TenantLimits};
use super::reserve::Reserves;
use super::share::{Largest, Share};
use super::tenants::Tenants;
use crate::core::cost::{Cost, Weight};

/// Idle members looked at per step: forgetting keeps up with arrival, and no step pays for many.
const FORGET_PER_STEP: usize = 4;
/// Largest costs by which service out of turn, on a reservation, may put a member behind. Without a bound a tenant
/// whose reservation exceeds its share would be shut out for as long when the reservation ends.
const RESERVED_DEBT: u64 = 2;

/// Where a member of a level is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Outside: nothing to run, or its tenant is at its cap.
    Out,
    /// In its level's heap.
    Ready,
    /// Outside until a slot may go to a long job again.
    Held,
    /// Without any job, until it may be forgotten.
    Resting,
}

/// A member of a level: one tenant within one class (a flow), or a group of them.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) share: Share,
    pub(super) weight: Weight,
    /// Its tenant; of a group, the level inside.
    pub(super) owner: u32,
    /// The level it is in; the next free record where this one is free.
    pub(super) level: u32,
    pub(super) fifo: Fifo,
    /// Jobs waiting, those before their not-before time included, and jobs dispatched.
    pub(super) queued: u32,
    in_flight: u32,
    pub(super) state: State,
    is_group: bool,
    /// Whether the start and end tags lie beyond the level's window.
    beyond: (bool, bool),
}

#[derive(Debug, Clone)]
pub(super) struct Flows {
    pub(super) tenants: Tenants,
    members: Chunks<Member>,
    free: u32,
    positions: Positions,
    /// The classes' levels, in the order of [`Class::ALL`], then those of groups.
    pub(super) levels: Vec<Level>,
    free_levels: Vec<u32>,
    groups: BTreeMap<(usize, u32), u32>,
    pub(super) root: Root,
    pub(super) reserves: Reserves,
    /// Members in state [`State::Held`], and some that no longer are.
    held: VecDeque<u32>,
    pub(super) largest: Largest,
}

impl Flows {
    pub(super) fn new() -> Self {
        Self {
            tenants: Tenants::new(),
            members: Chunks::new(),
            free: NONE,
            positions: Positions::new(),
            levels: (0..3).map(|class| Level::new(class, NONE)).collect(),
            free_levels: Vec::new(),
            groups: BTreeMap::new(),
            root: Root::default(),
            reserves: Reserves::default(),
            held: VecDeque::new(),
            largest: Largest::default(),
        }
    }

    pub(super) fn member(&self, id: u32) -> &Member {
        &self.members[id]
    }

    pub(super) fn class_of(&self, id: u32) -> usize {
        self.levels[self.members[id].level as usize].class
    }

    /// Returns the group that a member is in.
    pub(super) fn parent(&self, id: u32) -> Option<u32> {
        Some(self.levels[self.members[id].level as usize].owner).filter(|owner| *owner != NONE)
    }

    fn insert(&mut self, level: u32, owner: u32, weight: Weight, is_group: bool) -> u32 {
        let at = &mut self.levels[level as usize];
        at.members += 1;
        let member = Member {
            share: Share { start: at.time, end: at.time, credit: 0 },
            weight,
            owner,
            level,
            fifo: Fifo::EMPTY,
            queued: 0,
            in_flight: 0,
            state: State::Out,
            is_group,
            beyond: (false, false),
        };
        if self.free == NONE {
            return self.members.push(member);
        }
        let id = self.free;
        self.free = std::mem::replace(&mut self.members[id], member).level;
        id
    }

    pub(super) fn group(&self, class: usize, id: u32) -> Option<u32> {
        self.groups.get(&(class, id)).copied()
    }

    /// Finds or makes the level that tenants of a class and group share in.
    fn level_for(&mut self, class: usize, group: Option<Group>) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "three classes, and fewer groups than tenants")]
        let Some(group) = group else { return class as u32 };
        if let Some(&id) = self.groups.get(&(class, group.id)) {
            self.reweigh(id, group.weight);
            if self.members[id].state == State::Resting {
                self.leave_heaps(id, State::Resting);
            }
            return self.members[id].owner;
        }
        #[allow(clippy::cast_possible_truncation, reason = "three classes, and fewer groups than tenants")]
        let (class_level, next) = (class as u32, self.levels.len() as u32);
        let level = self.free_levels.pop().unwrap_or(next);
        let id = self.insert(class_level, level, group.weight, true);
        let inside = Level::new(class, id);
        if level == next { self.levels.push(inside) } else { self.levels[level as usize] = inside }
        self.groups.insert((class, group.id), id);
        level
    }

    /// Brings a tenant's limits up to date.
    pub(super) fn limit(&mut self, tenant: u32, limits: &TenantLimits) {
        let record = self.tenants.get_mut(tenant);
        let capped_anew = limits.max_in_flight != record.max_in_flight;
        record.max_in_flight = limits.max_in_flight;
        let (flows, reserve, in_flight) = (record.flows, record.reserve, record.in_flight);
        if reserve != NONE || limits.reserve > 0 {
            if reserve == NONE {
                let number = self.reserves.add(tenant, limits.weight, limits.reserve, in_flight);
                self.tenants.get_mut(tenant).reserve = number;
                self.refresh_due();
            } else if self.reserves.change(reserve, limits.weight, limits.reserve) {
                if limits.reserve == 0 {
                    self.tenants.get_mut(tenant).reserve = NONE;
                }
                self.refresh_due();
            }
        }
        for flow in flows.into_iter().filter(|flow| *flow != NONE) {
            let class = self.class_of(flow);
            match (self.parent(flow), limits.group) {
                (None, None) => {}
                (Some(is), Some(group)) if self.groups.get(&(class, group.id)) == Some(&is) => self.reweigh(is, group.weight),
                _ => self.regroup(flow, limits.group),
            }
            self.reweigh(flow, limits.weight);
            if capped_anew {
                self.refresh(flow);
            }
        }
    }

    /// Finds or makes the flow of a tenant in a class.
    pub(super) fn flow(&mut self, tenant: u32, class: Class, limits: &TenantLimits) -> u32 {
        let flow = self.tenants.get(tenant).flows[class.index()];
        if flow != NONE {
            return flow;
        }
        let level = self.level_for(class.index(), limits.group);
        let flow = self.insert(level, tenant, limits.weight, false);
        self.tenants.get_mut(tenant).flows[class.index()] = flow;
        flow
    }

    fn reweigh(&mut self, id: u32, weight: Weight) {
        let old = self.members[id].weight;
        if old == weight {
            return;
        }
        let share = self.members[id].share;
        let depth = u128::from(share.end - share.start) * u128::from(old.milli()) / u128::from(weight.milli());
        let depth = u64::try_from(depth).unwrap_or(u64::MAX);
        // Out of the sums with the old weight, in again with the new one.
        self.update(id, |share| share.end = share.start);
        self.members[id].weight = weight;
        self.update(id, |share| share.append(depth));
    }

    /// Moves a flow into another group, or out of any: its debt goes with it.
    fn regroup(&mut self, id: u32, group: Option<Group>) {
        let class = self.class_of(id);
        let old = self.members[id].level;
        let to = self.level_for(class, group);
        if to == old {
            return;
        }
        let Member { share, weight, queued, in_flight, state, .. } = self.members[id];
        let work = |to: Weight| (share.end - share.start).saturating_mul(weight.milli().into()) / u64::from(to.milli());
        let debt = share.start.saturating_sub(self.levels[old as usize].time);
        self.leave_heaps(id, state);
        self.update(id, |share| share.end = share.start);
        let live = queued + in_flight;
        if let Some(group) = self.parent(id) {
            let part = work(self.members[group].weight);
            self.update(group, |share| share.withdraw(part));
            self.tally(group, |member| (member.queued, member.in_flight) = (member.queued - queued, member.in_flight - in_flight));
            self.refresh(group);
        } else {
            self.show_class(class);
        }
        // The class counts the jobs of its groups as well, and keeps them.
        let outer = self.parent(id);
        if outer.is_some() {
            self.levels[old as usize].live -= live;
        }
        self.levels[old as usize].members -= 1;
        if self.levels[to as usize].owner != NONE {
            self.levels[to as usize].live += live;
        }
        self.levels[to as usize].members += 1;
        self.members[id].level = to;
        let time = self.levels[to as usize].time;
        self.update(id, |new| {
            let start = time.saturating_add(debt);
            *new = Share { start, end: start.saturating_add(share.end - share.start), credit: share.credit };
        });
        if let Some(group) = self.parent(id) {
            let part = work(self.members[group].weight);
            self.update(group, |share| share.append(part));
            self.tally(group, |member| (member.queued, member.in_flight) = (member.queued + queued, member.in_flight + in_flight));
        }
        self.refresh(id);
        if let Some(group) = outer.filter(|_| self.levels[old as usize].members == 0) {
            self.rest_member(group);
        }
        self.rest_level(old);
    }

    fn leave_heaps(&mut self, id: u32, state: State) {
        let level = &mut self.levels[self.members[id].level as usize];
        match state {
            State::Ready => level.ready.remove(&mut self.positions, id),
            State::Resting => level.idle.remove(&mut self.positions, id),
            State::Out | State::Held => {}
        }
        self.members[id].state = State::Out;
    }

    fn tally(&mut self, id: u32, change: impl FnOnce(&mut Member)) {
        change(&mut self.members[id]);
    }

    /// Changes a member's tags and keeps its level's sums.
    fn update(&mut self, id: u32, change: impl FnOnce(&mut Share)) {
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

    fn refit(&mut self, level: u32) {
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

    /// Takes the next job out of a flow's FIFO, to be followed by [`dispatched`](Self::dispatched).
    pub(super) fn pull(&mut self, id: u32, change: impl FnOnce(&mut Fifo)) {
        let member = &mut self.members[id];
        change(&mut member.fifo);
        if member.state == State::Held {
            member.state = State::Out;
        }
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
            if born { level.live += 1 } else { level.live -= 1 }
            next = self.parent(at);
        }
    }

    fn each(&mut self, id: u32, change: impl Fn(&mut Member)) {
        change(&mut self.members[id]);
        if let Some(group) = self.parent(id) {
            change(&mut self.members[group]);
        }
    }

    /// Changes the flow's FIFO.
    pub(super) fn with_fifo(&mut self, id: u32, change: impl FnOnce(&mut Fifo)) {
        let member = &mut self.members[id];
        let head = member.fifo.head;
        change(&mut member.fifo);
        if member.state == State::Held && head != member.fifo.head {
            // What it was held for is no longer its next.
            member.state = State::Out;
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
                let Member { share, level, .. } = self.members[at];
                let work = if charged { 0 } else { u64::from(cost.units()) };
                self.levels[level as usize].serve(share.start, work);
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
        let level = self.members[id].level;
        self.forget_idle(level);
        self.rebase(level);
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
        self.refresh(id);
    }

    /// Takes back the charge of a dispatched job of a flow that was not sent.
    pub(super) fn unpay(&mut self, id: u32, cost: Cost) {
        self.change(id, |share, step| share.advance(step.weight.charge(cost)));
    }

    fn count_in_flight(&mut self, tenant: u32, change: i32) {
        let was = self.tenants.get(tenant).capped();
        let record = self.tenants.count(tenant, |tenant| tenant.in_flight = tenant.in_flight.saturating_add_signed(change));
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

    /// Puts a member where its state says: in its level's heap, or out (nothing to run, or its tenant at the cap).
    ///
    /// Entering is an activation, at the level's virtual time at least. So a tenant parked at its cap banks nothing
    /// meanwhile and delays nobody.
    fn refresh(&mut self, id: u32) {
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

    fn show_class(&mut self, class: usize) {
        let ready = !self.levels[class].ready.is_empty();
        self.root.show(class, ready);
    }

    fn refresh_reserve(&mut self, tenant: u32) {
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

    fn rest_member(&mut self, id: u32) {
        let Member { share, level, queued, in_flight, state, .. } = self.members[id];
        if queued == 0 && in_flight == 0 && state != State::Resting {
            self.leave_heaps(id, state);
            self.members[id].state = State::Resting;
            self.levels[level as usize].idle.set(&mut self.positions, id, share.rests_until());
        }
    }

    /// Ends a busy period of a level without jobs: there is nobody to be fair to, and every debt and credit is void
    /// (the rule of SFQ: virtual time becomes the largest tag given out). Then forgets a few of those who rest.
    fn rest_level(&mut self, level: u32) {
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

    fn forget(&mut self, id: u32) {
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

    fn rebase(&mut self, level: u32) {
        self.root.rebase();
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
