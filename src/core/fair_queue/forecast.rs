//! The work that fairness puts before a request.
//!
//! A position in line is wrong under fairness: a newcomer passes a deep backlog, and a deep backlog is passed by
//! newcomers. The request's own start tag tells: every member of its level is served up to that tag first.

use super::chunks::NONE;
use super::flows::Flows;
use super::level::Band;
use super::members::State;
use super::request::TenantLimits;
use crate::core::cost::{VIRTUAL_PER_UNIT, Weight};

impl Flows {
    /// Returns the work that is served before the next request of a tenant in a class, where `mean` is a job's cost.
    pub(super) fn work_before_next(&self, tenant: Option<u32>, class: usize, limits: &TenantLimits, mean: f64) -> f64 {
        let flow = tenant.map(|id| self.tenants.get(id).flows[class]).filter(|flow| *flow != NONE);
        if let Some(flow) = flow {
            let share = self.member(flow).share;
            return self.work_before(flow, share.depth(), mean);
        }
        let group = limits.group.and_then(|group| self.group(class, group.id));
        match group {
            Some(group) => {
                let inside = &self.levels[self.member(group).inside()];
                let work = inside.backlog.before(inside.time, mean);
                self.work_before(group, self.member(group).weight.span(work), mean)
            }
            None => {
                let level = self.levels.of_class(class);
                self.work_outside(class, level.backlog.before(level.time, mean))
            }
        }
    }

    /// Returns the work that is served before a member has moved on by `ahead` in virtual time.
    pub(super) fn work_before(&self, member: u32, ahead: u64, mean: f64) -> f64 {
        let mut work = 0.0;
        let (mut next, mut ahead) = (Some(member), ahead);
        while let Some(id) = next {
            let member = self.member(id);
            let level = &self.levels[member.level()];
            let mut share = member.share;
            if member.state != State::Ready {
                share.activate(level.time);
            }
            work = level.backlog.before(share.start.saturating_add(ahead), mean);
            next = self.parent(id);
            ahead = next.map_or(0, |group| self.member(group).weight.span(work));
        }
        self.work_outside(self.class_of(member), work)
    }

    /// Adds to the work of a class what the other classes are served meanwhile.
    fn work_outside(&self, class: usize, work: f64) -> f64 {
        let tag = |index: usize| {
            let band = &self.root.classes[index];
            let mut share = band.share;
            if !band.ready {
                share.activate(self.root.time);
            }
            share.start as f64 - band.early as f64
        };
        let waits = |band: &Band| band.share.has_backlog();
        if !(0..3).any(|index| index != class && waits(&self.root.classes[index])) {
            return work;
        }
        let until = tag(class) + self.root.classes[class].weight.span(work) as f64;
        let others = (0..3).filter(|index| *index != class).map(|index| {
            let band = &self.root.classes[index];
            let weight = band.weight.value() / VIRTUAL_PER_UNIT as f64;
            let waits = band.share.depth() as f64 * weight;
            ((until - tag(index)) * weight).clamp(0.0, waits)
        });
        work + others.sum::<f64>()
    }

    /// Returns a tenant's share of the model while everybody who waits now does, 0 to 1.
    pub(super) fn share_of(&self, flow: Option<u32>, class: usize, weight: Weight) -> f64 {
        let of = |own: Weight, backlogged: bool, sum: u64| {
            let sum = if backlogged { sum } else { sum + u64::from(own.milli()) };
            f64::from(own.milli()) / (sum.max(1) as f64)
        };
        let classes = self.root.classes.iter().enumerate();
        let waiting = classes.filter(|(_, band)| band.queued > 0).map(|(_, band)| u64::from(band.weight.milli())).sum();
        let band = &self.root.classes[class];
        let mut share = of(band.weight, band.queued > 0, waiting);
        let Some(flow) = flow else { return share * of(weight, false, self.levels.of_class(class).backlog.weight()) };
        for id in self.path(flow) {
            let member = self.member(id);
            share *= of(member.weight, member.share.has_backlog(), self.levels[member.level()].backlog.weight());
        }
        share.min(1.0)
    }
}
