//! Each tenant's slots beside its fair share: a view for people, never an input of a decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::FairQueue;
use super::chunks::NONE;
use super::class::Class;
use crate::core::cost::Weight;

/// The standing of a tenant of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// The class in which the tenant has most jobs.
    pub class: Class,
    /// The tenant's weight in that class.
    pub weight: f64,
    /// Jobs waiting, over all classes.
    pub queued: u32,
    /// Jobs dispatched, over all classes.
    pub in_flight: u32,
    /// Slots that the tenant would have if all slots in use were divided by weight, nobody having more than it asks for.
    pub fair: f64,
}

/// A claim to slots: a flow's, a group's or a class's demand.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// The claimant: the tenant's place, or the level inside.
    owner: usize,
    demand: f64,
    weight: f64,
}

/// The claims of all tenants, copied out of a queue; [`divide`](Self::divide) says what would be fair, at leisure.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    tenants: Vec<Standing>,
    /// Claims of flows, by their level.
    flows: BTreeMap<u32, Vec<Claim>>,
    /// Levels that are the inside of a group: the level it is in, and its weight.
    groups: BTreeMap<u32, (u32, Weight)>,
    classes: [Weight; 3],
    slots: f64,
}

impl<P> FairQueue<P> {
    /// Copies out the slots that every tenant with jobs has and asks for.
    #[must_use]
    pub fn claims(&self) -> Claims {
        let mut claims = Claims { classes: self.flows.root.classes.map(|band| band.weight), ..Claims::default() };
        for (name, tenant) in self.flows.tenants.iter() {
            let total = tenant.queued().saturating_add(tenant.in_flight());
            if total == 0 {
                continue;
            }
            claims.slots += f64::from(tenant.in_flight());
            // What its cap leaves of its demand, over its classes alike.
            let capped = f64::from(total.min(tenant.max_in_flight)) / f64::from(total);
            let mut most = (0, Class::Standard, Weight::default());
            for (class, flow) in Class::ALL.iter().copied().zip(tenant.flows).filter(|(_, flow)| *flow != NONE) {
                let member = self.flows.member(flow);
                let has = member.queued.saturating_add(member.in_flight);
                if has > most.0 {
                    most = (has, class, member.weight);
                }
                let owner = claims.tenants.len();
                let claim = Claim { owner, demand: f64::from(has) * capped, weight: member.weight.value() };
                claims.flows.entry(member.level()).or_default().push(claim);
                if let Some(group) = self.flows.parent(flow) {
                    let group = self.flows.member(group);
                    claims.groups.insert(member.level(), (group.level(), group.weight));
                }
            }
            let (_, class, weight) = most;
            let (tenant, queued, in_flight) = (name.clone(), tenant.queued(), tenant.in_flight());
            claims.tenants.push(Standing { tenant, class, weight: weight.value(), queued, in_flight, fair: 0.0 });
        }
        claims
    }
}

impl Claims {
    /// Divides the slots in use by weight, level by level: classes, then groups and tenants. Reservations and the
    /// past, which fairness evens out, are left aside.
    #[must_use]
    pub fn divide(mut self) -> Vec<Standing> {
        let mut flows = std::mem::take(&mut self.flows);
        // Groups ask for what is asked for inside.
        let mut insides: BTreeMap<u32, Vec<Claim>> = BTreeMap::new();
        for (&level, &(outer, weight)) in &self.groups {
            let demand = flows.get(&level).map_or(0.0, |inside| total(inside));
            let claim = Claim { owner: level as usize, demand, weight: weight.value() };
            insides.entry(outer).or_default().push(claim);
        }
        let asked = |level: u32| {
            flows.get(&level).map_or(0.0, |claims| total(claims))
                + insides.get(&level).map_or(0.0, |claims| total(claims))
        };
        let mut classes: Vec<Claim> = (0..3_u32)
            .zip(self.classes)
            .map(|(level, weight)| Claim { owner: level as usize, demand: asked(level), weight: weight.value() })
            .collect();
        for (class, slots) in fill(&mut classes, self.slots) {
            #[allow(clippy::cast_possible_truncation, reason = "one of three")]
            let level = class as u32;
            // Flows and groups of a class compete alike; a group's owner is marked by an offset beyond all tenants.
            let beyond = self.tenants.len();
            let mut members = flows.remove(&level).unwrap_or_default();
            let groups = insides.remove(&level).unwrap_or_default();
            members.extend(groups.into_iter().map(|group| Claim { owner: beyond + group.owner, ..group }));
            for (owner, slots) in fill(&mut members, slots) {
                match self.tenants.get_mut(owner) {
                    Some(tenant) => tenant.fair += slots,
                    None => {
                        let inside = u32::try_from(owner - beyond).ok().and_then(|level| flows.remove(&level));
                        for (owner, slots) in fill(&mut inside.unwrap_or_default(), slots) {
                            self.tenants[owner].fair += slots;
                        }
                    }
                }
            }
        }
        self.tenants
    }
}

fn total(claims: &[Claim]) -> f64 {
    claims.iter().map(|claim| claim.demand).sum()
}

/// Divides `slots` by weight, nobody getting more than it asks for (max-min): who asks for least for its weight first.
fn fill(claims: &mut [Claim], mut slots: f64) -> Vec<(usize, f64)> {
    claims.sort_by(|a, b| (a.demand * b.weight).total_cmp(&(b.demand * a.weight)));
    let mut weight: f64 = claims.iter().map(|claim| claim.weight).sum();
    claims
        .iter()
        .map(|claim| {
            let even = if weight > 0.0 { slots * claim.weight / weight } else { 0.0 };
            let got = even.min(claim.demand).max(0.0);
            slots -= got;
            weight -= claim.weight;
            (claim.owner, got)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cost::Cost;
    use crate::core::fair_queue::{QueueLimits, Request, TenantLimits};
    use crate::core::time::Time;

    fn queue(jobs: &[(&str, u32, u16)], slots: usize) -> FairQueue<()> {
        let mut queue = FairQueue::new(QueueLimits::default());
        for (tenant, count, weight) in jobs {
            let limits =
                TenantLimits { weight: Weight::new(f64::from(*weight)).expect("a weight"), ..TenantLimits::default() };
            for _ in 0..*count {
                let (class, deadline) = (Class::Standard, Time::from_millis(60_000));
                let request =
                    Request { tenant: (*tenant).into(), limits, class, cost: Cost::ONE, deadline, payload: () };
                assert!(queue.push(Time::ZERO, request).is_ok());
            }
        }
        for _ in 0..slots {
            queue.pop(Time::ZERO, 0);
        }
        queue
    }

    #[test]
    fn what_is_in_use_is_divided_by_weight_and_demand() {
        let standings = queue(&[("noisy", 100, 1), ("heavy", 100, 2), ("little", 2, 1)], 20).claims().divide();
        let fair: Vec<_> = standings.iter().map(|standing| (&*standing.tenant, standing.fair)).collect();
        assert_eq!(fair, [("noisy", 6.0), ("heavy", 12.0), ("little", 2.0)]);
        let flying: u32 = standings.iter().map(|standing| standing.in_flight).sum();
        assert_eq!(flying, 20);
        assert!(queue(&[], 0).claims().divide().is_empty());
    }
}
