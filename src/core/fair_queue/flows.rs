//! The hierarchy model → class → (group) → tenant: who is in it, with what weight, in which group.

use std::collections::{BTreeMap, VecDeque};

use super::chunks::{Chunks, NONE};
use super::class::Class;
use super::heap::Positions;
use super::jobs::Fifo;
use super::level::{Level, Root};
use super::request::{Group, TenantLimits};
use super::reserve::Reserves;
use super::share::{Largest, Share};
use super::tenants::Tenants;
use crate::core::cost::Weight;

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
    pub(super) in_flight: u32,
    pub(super) state: State,
    pub(super) is_group: bool,
    /// Whether the start and end tags lie beyond the level's window.
    pub(super) beyond: (bool, bool),
}

#[derive(Debug, Clone)]
pub(super) struct Flows {
    pub(super) tenants: Tenants,
    pub(super) members: Chunks<Member>,
    pub(super) free: u32,
    pub(super) positions: Positions,
    /// The classes' levels, in the order of [`Class::ALL`], then those of groups.
    pub(super) levels: Vec<Level>,
    pub(super) free_levels: Vec<u32>,
    pub(super) groups: BTreeMap<(usize, u32), u32>,
    pub(super) root: Root,
    pub(super) reserves: Reserves,
    /// Members in state [`State::Held`], and some that no longer are.
    pub(super) held: VecDeque<u32>,
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
        if level == next {
            self.levels.push(inside)
        } else {
            self.levels[level as usize] = inside
        }
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
                (Some(is), Some(group)) if self.groups.get(&(class, group.id)) == Some(&is) => {
                    self.reweigh(is, group.weight)
                }
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
            self.tally(group, |member| {
                (member.queued, member.in_flight) = (member.queued - queued, member.in_flight - in_flight)
            });
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
            self.tally(group, |member| {
                (member.queued, member.in_flight) = (member.queued + queued, member.in_flight + in_flight)
            });
        }
        self.refresh(id);
        self.rest_member(id);
        if let Some(group) = outer.filter(|_| self.levels[old as usize].members == 0) {
            self.rest_member(group);
        }
        self.rest_level(old);
    }

    fn tally(&mut self, id: u32, change: impl FnOnce(&mut Member)) {
        change(&mut self.members[id]);
    }
}
