//! The hierarchy model → class → (group) → tenant: members, their weights and their groups.

use std::collections::{BTreeMap, VecDeque};

use super::chunks::NONE;
use super::class::Class;
use super::level::Root;
use super::levels::Levels;
use super::members::{Kind, Member, Members, State};
use super::request::{Group, TenantLimits};
use super::reserve::Reserves;
use super::share::{Largest, Share};
use super::tenants::Tenants;
use crate::core::cost::Weight;

#[derive(Debug, Clone)]
pub(super) struct Flows {
    pub(super) tenants: Tenants,
    pub(super) members: Members,
    pub(super) levels: Levels,
    /// Groups as members of their class, by class and number.
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
            members: Members::new(),
            levels: Levels::new(),
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

    /// Returns the class that a member is in.
    pub(super) fn class_of(&self, id: u32) -> usize {
        self.levels[self.members[id].level()].class
    }

    /// Returns the group that a member is in.
    pub(super) fn parent(&self, id: u32) -> Option<u32> {
        self.levels[self.members[id].level()].group()
    }

    /// Returns a member and the group that it is in, from the inside out.
    pub(super) fn path(&self, id: u32) -> impl Iterator<Item = u32> + use<> {
        [Some(id), self.parent(id)].into_iter().flatten()
    }

    /// Adds a member to a level.
    fn insert(&mut self, level: u32, kind: Kind, weight: Weight) -> u32 {
        let at = &mut self.levels[level];
        at.members += 1;
        let member = Member::new(kind, level, weight, at.time);
        self.members.insert(member)
    }

    /// Returns the member that a group is in a class.
    pub(super) fn group(&self, class: usize, id: u32) -> Option<u32> {
        self.groups.get(&(class, id)).copied()
    }

    /// Finds or makes the level that tenants of a class and group share in.
    fn level_for(&mut self, class: usize, group: Option<Group>) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "three classes")]
        let class_level = class as u32;
        let Some(group) = group else { return class_level };
        if let Some(id) = self.group(class, group.id) {
            self.reweigh(id, group.weight);
            if self.members[id].state == State::Resting {
                self.leave_heaps(id, State::Resting);
            }
            return self.members[id].inside();
        }
        let level = self.levels.vacant();
        let id = self.insert(class_level, Kind::Group(level), group.weight);
        self.levels.add(class, id);
        self.groups.insert((class, group.id), id);
        level
    }

    /// Brings a tenant's limits up to date.
    pub(super) fn limit(&mut self, tenant: u32, limits: &TenantLimits) {
        let record = self.tenants.get_mut(tenant);
        let capped_anew = limits.max_in_flight != record.max_in_flight;
        record.max_in_flight = limits.max_in_flight;
        let (flows, reserve, in_flight) = (record.flows, record.reserve, record.in_flight());
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
                (Some(is), Some(group)) if self.group(class, group.id) == Some(is) => self.reweigh(is, group.weight),
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
        let flow = self.insert(level, Kind::Flow(tenant), limits.weight);
        self.tenants.get_mut(tenant).flows[class.index()] = flow;
        flow
    }

    /// Changes the weight of a member; the work of its backlog stays.
    fn reweigh(&mut self, id: u32, weight: Weight) {
        let Member { weight: old, share, .. } = self.members[id];
        if old == weight {
            return;
        }
        let depth = old.rescale(share.depth(), weight);
        // Out of the sums with the old weight, in again with the new one.
        self.update(id, |share| share.end = share.start);
        self.members[id].weight = weight;
        self.update(id, |share| share.append(depth));
    }

    /// Moves a flow into another group, or out of any: its debt goes with it.
    fn regroup(&mut self, id: u32, group: Option<Group>) {
        let class = self.class_of(id);
        let old = self.members[id].level();
        let to = self.level_for(class, group);
        if to == old {
            return;
        }
        let Member { share, weight, queued, in_flight, state, .. } = self.members[id];
        let debt = share.start.saturating_sub(self.levels[old].time);
        self.leave_heaps(id, state);
        self.update(id, |share| share.end = share.start);
        let live = queued + in_flight;
        // The class counts the jobs of its groups as well, and keeps them.
        let outer = self.parent(id);
        if let Some(group) = outer {
            let part = weight.rescale(share.depth(), self.members[group].weight);
            self.update(group, |share| share.withdraw(part));
            let member = &mut self.members[group];
            (member.queued, member.in_flight) = (member.queued - queued, member.in_flight - in_flight);
            self.refresh(group);
            self.levels[old].live -= live;
        } else {
            self.show_class(class);
        }
        self.levels[old].members -= 1;
        self.levels[to].members += 1;
        self.members[id].move_to(to);
        let time = self.levels[to].time;
        self.update(id, |new| {
            let start = time.saturating_add(debt);
            *new = Share { start, end: start.saturating_add(share.depth()), credit: share.credit };
        });
        if let Some(group) = self.parent(id) {
            self.levels[to].live += live;
            let part = weight.rescale(share.depth(), self.members[group].weight);
            self.update(group, |share| share.append(part));
            let member = &mut self.members[group];
            (member.queued, member.in_flight) = (member.queued + queued, member.in_flight + in_flight);
        }
        self.refresh(id);
        self.rest_member(id);
        if let Some(group) = outer.filter(|_| self.levels[old].members == 0) {
            self.rest_member(group);
        }
        self.rest_level(old);
    }
}
