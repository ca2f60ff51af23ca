//! The hierarchy model → class → tenant: who is backlogged, who is parked, who may be forgotten.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::class::Class;
use super::jobs::Fifo;
use super::request::TenantLimits;
use super::share::{Level, Share};
use crate::core::cost::{Cost, Weight};
use crate::core::slab::Slab;

/// Idle flows looked at per dispatch: forgetting keeps up with arrival, and no dispatch pays for many.
const FORGET_PER_STEP: usize = 4;

/// A tenant of this model. Its caps count over all its classes.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) name: Arc<str>,
    pub(super) limits: TenantLimits,
    pub(super) in_flight: u32,
    pub(super) queued: u32,
    flows: [Option<u32>; 3],
}

/// One tenant within one class: what fairness is between.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) tenant: u32,
    pub(super) class: Class,
    pub(super) share: Share,
    pub(super) fifo: Fifo,
    /// Jobs in the FIFO.
    pub(super) ready: u32,
    /// Jobs in the FIFO or waiting for their not-before time, and their cost.
    pub(super) queued: u32,
    pub(super) queued_cost: u64,
    pub(super) in_flight: u32,
    /// Virtual time at which an idle flow holds neither debt nor credit any more.
    idle_until: Option<u64>,
}

/// One class: its share of the model, and the flows in it.
#[derive(Debug, Clone, Default)]
struct Band {
    share: Share,
    level: Level,
    idle: BTreeSet<(u64, u32)>,
}

#[derive(Debug, Clone)]
pub(super) struct Flows {
    tenants: Slab<Tenant>,
    by_name: HashMap<Arc<str>, u32>,
    flows: Slab<Flow>,
    bands: [Band; 3],
    root: Level,
    active_tenants: usize,
}

impl Flows {
    pub(super) fn new(weights: [Weight; 3]) -> Self {
        Self {
            tenants: Slab::new(),
            by_name: HashMap::new(),
            flows: Slab::new(),
            bands: weights.map(|weight| Band { share: Share::new(weight), ..Band::default() }),
            root: Level::default(),
            active_tenants: 0,
        }
    }

    pub(super) fn active_tenants(&self) -> usize {
        self.active_tenants
    }

    /// Changes a tenant's counts and keeps the number of active ones.
    fn count(&mut self, id: u32, change: impl FnOnce(&mut Tenant)) {
        let Some(tenant) = self.tenants.at_mut(id) else { return };
        let before = tenant.queued > 0 || tenant.in_flight > 0;
        change(tenant);
        let after = tenant.queued > 0 || tenant.in_flight > 0;
        match (before, after) {
            (false, true) => self.active_tenants += 1,
            (true, false) => self.active_tenants -= 1,
            _ => {}
        }
    }

    pub(super) fn set_class_weights(&mut self, weights: [Weight; 3]) {
        for (band, weight) in self.bands.iter_mut().zip(weights) {
            band.share.weight = weight;
        }
    }

    pub(super) fn tenant_by_name(&self, name: &str) -> Option<&Tenant> {
        self.by_name.get(name).and_then(|&id| self.tenants.at(id))
    }

    pub(super) fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.iter().map(|(_, tenant)| tenant)
    }

    pub(super) fn flow(&self, id: u32) -> Option<&Flow> {
        self.flows.at(id)
    }

    /// Finds or makes the flow of a tenant in a class, and brings the tenant's limits up to date.
    pub(super) fn admit(&mut self, name: &Arc<str>, class: Class, limits: TenantLimits) -> u32 {
        let tenants = &mut self.tenants;
        let id = *self.by_name.entry(name.clone()).or_insert_with(|| {
            let tenant = Tenant { name: name.clone(), limits, in_flight: 0, queued: 0, flows: [None; 3] };
            tenants.insert(tenant).index()
        });
        let Some(tenant) = self.tenants.at_mut(id) else { return u32::MAX };
        let cap_raised = limits.max_in_flight > tenant.limits.max_in_flight;
        let reweighted = limits.weight != tenant.limits.weight;
        tenant.limits = limits;
        let flow = *tenant.flows[class.index()].get_or_insert_with(|| {
            let flow = Flow {
                tenant: id,
                class,
                share: Share::new(limits.weight),
                fifo: Fifo::default(),
                ready: 0,
                queued: 0,
                queued_cost: 0,
                in_flight: 0,
                idle_until: None,
            };
            self.flows.insert(flow).index()
        });
        let flows = tenant.flows;
        if reweighted || cap_raised {
            for flow in flows.into_iter().flatten() {
                self.reweigh(flow, limits.weight);
                self.refresh(flow);
            }
        }
        flow
    }

    fn reweigh(&mut self, id: u32, weight: Weight) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        if flow.queued > 0 {
            let sum = &mut self.bands[flow.class.index()].level.backlogged_weight;
            *sum = *sum + u64::from(weight.milli()) - u64::from(flow.share.weight.milli());
        }
        flow.share.weight = weight;
    }

    /// Counts a job that joins the flow's queue.
    pub(super) fn joined(&mut self, id: u32, cost: Cost) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        let band = &mut self.bands[flow.class.index()];
        if let Some(key) = flow.idle_until.take() {
            band.idle.remove(&(key, id));
        }
        if flow.queued == 0 {
            band.level.backlogged_weight += u64::from(flow.share.weight.milli());
        }
        flow.queued += 1;
        flow.queued_cost += u64::from(cost.units());
        let tenant = flow.tenant;
        self.count(tenant, |tenant| tenant.queued += 1);
    }

    /// Counts a job that leaves the flow's queue.
    pub(super) fn left(&mut self, id: u32, cost: Cost) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        flow.queued = flow.queued.saturating_sub(1);
        flow.queued_cost = flow.queued_cost.saturating_sub(u64::from(cost.units()));
        if flow.queued == 0 {
            let sum = &mut self.bands[flow.class.index()].level.backlogged_weight;
            *sum = sum.saturating_sub(u64::from(flow.share.weight.milli()));
        }
        let tenant = flow.tenant;
        self.count(tenant, |tenant| tenant.queued = tenant.queued.saturating_sub(1));
    }

    /// Changes the flow's FIFO through `change`, which returns by how much its length moved.
    pub(super) fn with_fifo(&mut self, id: u32, change: impl FnOnce(&mut Fifo) -> i32) {
        if let Some(flow) = self.flows.at_mut(id) {
            flow.ready = flow.ready.saturating_add_signed(change(&mut flow.fifo));
        }
        self.refresh(id);
    }

    /// Returns the flow that fairness serves next.
    pub(super) fn next(&self) -> Option<u32> {
        let (_, class) = self.root.ready.first()?;
        self.bands.get(class as usize)?.level.ready.first().map(|(_, flow)| flow)
    }

    /// Takes note of a dispatch from `id`, charging it unless it has paid before.
    pub(super) fn dispatched(&mut self, id: u32, cost: Cost, charged: bool) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        let band = &mut self.bands[flow.class.index()];
        self.root.follow(band.share.virtual_time);
        band.level.follow(flow.share.virtual_time);
        if !charged {
            band.share.charge(cost);
            flow.share.charge(cost);
        }
        flow.in_flight += 1;
        let (tenant, class) = (flow.tenant, flow.class);
        self.count_in_flight(tenant, 1);
        self.refresh(id);
        self.forget_idle(class);
        self.rebase();
    }

    /// Takes note that a dispatched job of `id` is with its dispatcher no longer.
    pub(super) fn landed(&mut self, id: u32) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        flow.in_flight = flow.in_flight.saturating_sub(1);
        let tenant = flow.tenant;
        self.count_in_flight(tenant, -1);
    }

    /// Corrects the charge of a job of `id` by what it turned out to cost.
    pub(super) fn reconcile(&mut self, id: u32, predicted: Cost, actual: Cost) {
        self.correct(id, |share, idle| share.reconcile(predicted, actual, idle));
    }

    /// Takes back the charge of a job of `id` that was not sent.
    pub(super) fn refund(&mut self, id: u32, cost: Cost) {
        self.correct(id, |share, _| share.refund(cost));
    }

    fn correct(&mut self, id: u32, change: impl Fn(&mut Share, bool)) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        let class = flow.class.index();
        let band = &mut self.bands[class];
        change(&mut flow.share, !band.level.ready.contains(id));
        change(&mut band.share, band.level.ready.is_empty());
        self.refresh(id);
    }

    /// Says which share of the model's work a tenant of `weight` in `class` gets once it is backlogged, 0 to 1.
    pub(super) fn share_of(&self, class: Class, weight: Weight, backlogged: bool) -> f64 {
        let mut class_sum = 0.0;
        for (index, band) in self.bands.iter().enumerate() {
            if band.level.backlogged_weight > 0 || index == class.index() {
                class_sum += band.share.weight.value();
            }
        }
        let band = &self.bands[class.index()];
        let own = f64::from(weight.milli());
        let sum = band.level.backlogged_weight as f64 + if backlogged { 0.0 } else { own };
        (band.share.weight.value() / class_sum) * (own / sum.max(own))
    }

    fn count_in_flight(&mut self, id: u32, change: i32) {
        let before = self.tenants.at(id).map_or(0, |tenant| tenant.in_flight);
        self.count(id, |tenant| tenant.in_flight = before.saturating_add_signed(change));
        let Some(tenant) = self.tenants.at(id) else { return };
        let cap = tenant.limits.max_in_flight;
        // Crossing the cap parks or unparks every flow of the tenant.
        if (before >= cap) != (tenant.in_flight >= cap) {
            for flow in tenant.flows.into_iter().flatten() {
                self.refresh(flow);
            }
        }
    }

    /// Puts a flow where its state says: among the ready, or out (empty, or its tenant at the cap).
    ///
    /// Entering is an activation, at the level's virtual time at least. So a tenant parked at its cap banks nothing
    /// meanwhile and delays nobody.
    fn refresh(&mut self, id: u32) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        let capped = self.tenants.at(flow.tenant).is_none_or(|t| t.in_flight >= t.limits.max_in_flight);
        let class = flow.class.index();
        let band = &mut self.bands[class];
        if flow.ready > 0 && !capped {
            if !band.level.ready.contains(id) {
                flow.share.activate(band.level.virtual_time);
            }
            band.level.ready.set(id, flow.share.virtual_time);
        } else {
            band.level.ready.remove(id);
        }
        #[allow(clippy::cast_possible_truncation, reason = "three classes")]
        let class = class as u32;
        if band.level.ready.is_empty() {
            self.root.ready.remove(class);
        } else {
            if !self.root.ready.contains(class) {
                band.share.activate(self.root.virtual_time);
            }
            self.root.ready.set(class, band.share.virtual_time);
        }
    }

    /// Lets a flow without work go, now or as soon as the level's time has passed its debt.
    pub(super) fn rest(&mut self, id: u32) {
        let Some(flow) = self.flows.at_mut(id) else { return };
        if flow.queued > 0 || flow.in_flight > 0 || flow.idle_until.is_some() {
            return;
        }
        let class = flow.class;
        let key = flow.share.virtual_time.saturating_add(flow.share.credit);
        flow.idle_until = Some(key);
        self.bands[class.index()].idle.insert((key, id));
        self.forget_idle(class);
    }

    fn forget_idle(&mut self, class: Class) {
        for _ in 0..FORGET_PER_STEP {
            let band = &mut self.bands[class.index()];
            let Some(&(key, id)) = band.idle.first().filter(|(key, _)| *key <= band.level.virtual_time) else { return };
            band.idle.remove(&(key, id));
            self.forget(id);
        }
    }

    /// Ends a busy period of the whole model: nobody waits and nothing runs, so there is nobody to be fair to, and
    /// every debt and credit is void (the rule of SFQ: virtual time becomes the largest tag given out).
    pub(super) fn end_busy_period(&mut self) {
        for class in Class::ALL {
            let band = &mut self.bands[class.index()];
            self.root.virtual_time = self.root.virtual_time.max(band.share.virtual_time);
            band.share.credit = 0;
            for (key, id) in std::mem::take(&mut band.idle) {
                self.bands[class.index()].level.follow(key);
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: u32) {
        let Some(flow) = self.flows.remove_at(id) else { return };
        let Some(tenant) = self.tenants.at_mut(flow.tenant) else { return };
        tenant.flows[flow.class.index()] = None;
        if tenant.flows.iter().all(Option::is_none) {
            self.by_name.remove(&tenant.name);
            self.tenants.remove_at(flow.tenant);
        }
    }

    fn rebase(&mut self) {
        if let Some(base) = self.root.rebase() {
            for band in &mut self.bands {
                band.share.virtual_time = band.share.virtual_time.saturating_sub(base);
            }
        }
        for class in Class::ALL {
            let band = &mut self.bands[class.index()];
            let Some(base) = band.level.rebase() else { continue };
            band.idle.clear();
            for (key, flow) in self.flows.iter_mut().filter(|(_, flow)| flow.class == class) {
                flow.share.virtual_time = flow.share.virtual_time.saturating_sub(base);
                if let Some(until) = &mut flow.idle_until {
                    *until = until.saturating_sub(base);
                    band.idle.insert((*until, key.index()));
                }
            }
        }
    }
}
