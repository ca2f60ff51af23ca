//! How long a request will wait: the work that fairness puts before it, over the rate at which work leaves.
//!
//! A position in line is wrong under fairness: a newcomer passes a deep backlog, and a deep backlog is passed by
//! newcomers. The request's own start tag tells: every member of its level is served up to that tag first.

use super::chunks::NONE;
use super::flows::{Flows, State};
use super::level::Band;
use super::request::TenantLimits;
use crate::core::cost::{VIRTUAL_PER_UNIT, Weight};
use crate::core::estimate::{Follower, Forecast};

/// How far a forecast may be corrected, downward and upward, for the median and the P90. A ratio outside belongs to a
/// prediction made in another situation (the first of a burst), and believing it would refuse everybody: those refused
/// never wait, so the error would never heal.
const CORRECTION_P50: (f64, f64) = (0.5, 2.0);
const CORRECTION_P90: (f64, f64) = (1.0, 4.0);
/// Ratio of actual to predicted wait assumed for the P90 before any was seen.
const UNTRIED_P90: f64 = 2.0;

/// What waits turned out to be, relative to what was predicted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correction {
    p50: Follower,
    p90: Follower,
    /// The factors in use, so that a forecast needs no powers.
    factors: (f64, f64),
}

impl Correction {
    pub(super) fn new() -> Self {
        let (p50, p90) = (Follower::new(0.5, 1.0), Follower::new(0.9, UNTRIED_P90));
        Self { p50, p90, factors: (1.0, UNTRIED_P90) }
    }

    pub(super) fn record(&mut self, ratio: f64) {
        self.p50.record(ratio);
        self.p90.record(ratio);
        let clamp = |value: f64, (least, most): (f64, f64)| value.clamp(least, most);
        self.factors = (clamp(self.p50.value(), CORRECTION_P50), clamp(self.p90.value(), CORRECTION_P90));
    }

    pub(super) fn apply(&self, raw: f64) -> Forecast {
        let p50 = raw * self.factors.0;
        Forecast { p50, p90: (raw * self.factors.1).max(p50) }
    }
}

impl Flows {
    /// Returns the work that is served before the next request of a tenant in a class, where `mean` is a job's cost.
    pub(super) fn work_before_next(&self, tenant: Option<u32>, class: usize, limits: &TenantLimits, mean: f64) -> f64 {
        let flow = tenant.map(|id| self.tenants.get(id).flows[class]).filter(|flow| *flow != NONE);
        if let Some(flow) = flow {
            let share = self.member(flow).share;
            return self.work_before(flow, share.end - share.start, mean);
        }
        let group = limits.group.and_then(|group| self.group(class, group.id));
        match group {
            Some(group) => {
                let inside = &self.levels[self.member(group).owner as usize];
                let work = inside.backlog.before(inside.time, mean);
                self.work_before(group, self.member(group).weight.span(work), mean)
            }
            None => self.work_outside(class, self.levels[class].backlog.before(self.levels[class].time, mean)),
        }
    }

    /// Returns the work that is served before a member has moved on by `ahead` in virtual time.
    pub(super) fn work_before(&self, member: u32, ahead: u64, mean: f64) -> f64 {
        let mut work = 0.0;
        let (mut next, mut ahead) = (Some(member), ahead);
        while let Some(id) = next {
            let member = self.member(id);
            let level = &self.levels[member.level as usize];
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
        let waits = |band: &Band| band.share.end > band.share.start;
        if !(0..3).any(|index| index != class && waits(&self.root.classes[index])) {
            return work;
        }
        let until = tag(class) + self.root.classes[class].weight.span(work) as f64;
        let others = (0..3).filter(|index| *index != class).map(|index| {
            let band = &self.root.classes[index];
            let weight = band.weight.value() / VIRTUAL_PER_UNIT as f64;
            let waits = (band.share.end - band.share.start) as f64 * weight;
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
        let Some(flow) = flow else { return share * of(weight, false, self.levels[class].backlog.weight()) };
        let mut next = Some(flow);
        while let Some(id) = next {
            let member = self.member(id);
            let backlogged = member.share.end > member.share.start;
            share *= of(member.weight, backlogged, self.levels[member.level as usize].backlog.weight());
            next = self.parent(id);
        }
        share.min(1.0)
    }
}
