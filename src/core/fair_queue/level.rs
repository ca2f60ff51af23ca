//! The levels of the hierarchy: the model with its classes, a class or a group with its members.

use super::backlog::Backlog;
use super::chunks::NONE;
use super::heap::Heap;
use super::members::Member;
use super::share::Share;
use crate::core::cost::{Cost, VIRTUAL_PER_UNIT_MILLI, Weight};

/// Virtual time from which on a level is rebased: far above any single charge, far below overflow.
const REBASE_AT: u64 = 1 << 61;

/// The inside of a class or of a group.
#[derive(Debug, Clone)]
pub(super) struct Level {
    /// Virtual time: where a member starts that becomes active.
    pub(super) time: u64,
    /// The highest tag given out.
    pub(super) top: u64,
    /// Members with something to run, by start tag.
    pub(super) ready: Heap,
    /// Members without jobs, by the time from which on they may be forgotten.
    pub(super) idle: Heap,
    pub(super) backlog: Backlog,
    pub(super) class: usize,
    /// The group that this is the inside of, as a member; [`NONE`] for a class's level.
    group: u32,
    pub(super) members: u32,
    /// Jobs waiting or dispatched.
    pub(super) live: u32,
}

impl Level {
    /// Builds an empty level: a class's, or that inside of a `group`, a member, where it is not [`NONE`].
    pub(super) fn new(class: usize, group: u32) -> Self {
        Self {
            time: 0,
            top: 0,
            ready: Heap::default(),
            idle: Heap::default(),
            backlog: Backlog::new(),
            class,
            group,
            members: 0,
            live: 0,
        }
    }

    /// Returns the group that this level is the inside of, as a member.
    pub(super) fn group(&self) -> Option<u32> {
        Some(self.group).filter(|group| *group != NONE)
    }

    /// Moves virtual time when a job with start tag `tag` is served `work` units in turn: to the tag at least, and by
    /// what the fluid moves.
    ///
    /// By the tag alone, as in SFQ, time stands still while newcomers arrive one by one and are all served at the same
    /// tag; whoever was served just before waits for all of them, and with n tenants lags by ln n requests. The fluid's
    /// step (Bennett and Zhang's WF²Q+, 1997) lines newcomers up behind it.
    ///
    /// Never beyond the served member's next tag: the fluid has no member that far behind.
    pub(super) fn serve(&mut self, tag: u64, work: u32, charge: u64) {
        let fluid = self.time.max(tag).saturating_add(self.step(work));
        self.pass(fluid.min(tag.saturating_add(charge)).max(tag));
    }

    /// Follows a change of a member's share; returns whether the window of backlogs should be fitted anew.
    pub(super) fn follow(&mut self, member: &mut Member, before: Share) -> bool {
        self.top = self.top.max(member.share.rests_until());
        self.backlog.update(member.weight, before, member.share, &mut member.beyond)
    }

    /// Corrects virtual time for work that was more or less than charged.
    pub(super) fn correct(&mut self, charged: u32, actual: u32) {
        if actual > charged {
            self.pass(self.time.saturating_add(self.step(actual - charged)));
        } else {
            self.time = self.time.saturating_sub(self.step(charged - actual));
        }
    }

    /// Returns how far `work` moves the fluid's virtual time.
    fn step(&self, work: u32) -> u64 {
        (u64::from(work) * VIRTUAL_PER_UNIT_MILLI).checked_div(self.backlog.weight()).unwrap_or(0)
    }

    /// Moves virtual time to `time`, if it is not there yet.
    pub(super) fn pass(&mut self, time: u64) {
        if time > self.time {
            self.time = time;
            self.backlog.follow(time);
        }
    }

    /// Returns by how much every tag of this level must be lowered now, if at all.
    pub(super) fn rebase(&mut self) -> Option<u64> {
        if self.time < REBASE_AT {
            return None;
        }
        // Half is kept, so that members with refunds below the level's time keep their distance.
        let base = self.time / 2;
        self.time -= base;
        self.top = self.top.saturating_sub(base);
        self.ready.rebase(base);
        self.idle.rebase(base);
        Some(base)
    }
}

/// A class in the model.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Band {
    pub(super) share: Share,
    pub(super) weight: Weight,
    /// A member of the class may run.
    pub(super) ready: bool,
    pub(super) queued: usize,
    /// Virtual time by which the class may be served early.
    pub(super) early: u64,
}

/// The model: three classes, too few for a heap.
#[derive(Debug, Clone, Default)]
pub(super) struct Root {
    pub(super) time: u64,
    pub(super) classes: [Band; 3],
    /// Head start of the interactive class in largest costs.
    head_start: f64,
}

impl Root {
    pub(super) fn configure(&mut self, weights: [Weight; 3], head_start: f64, largest: Cost) {
        for (band, weight) in self.classes.iter_mut().zip(weights) {
            // What waits counts by the new weight from the next job on; the difference fades with the backlog.
            band.weight = weight;
        }
        self.head_start = head_start;
        self.scale(largest);
    }

    /// Fits the head starts to a new largest cost.
    ///
    /// A class may be served early by so much virtual time, in its own charges (Duda and Cheriton, "Borrowed Virtual
    /// Time", SOSP '99). Its tags stay what they are, so what it borrows it pays back before it borrows again.
    pub(super) fn scale(&mut self, largest: Cost) {
        for (urgency, band) in self.classes.iter_mut().enumerate() {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most twice a charge")]
            let early = (band.weight.charge(largest) as f64 * self.head_start * 0.5 * urgency as f64) as u64;
            band.early = early;
        }
    }

    pub(super) fn any_ready(&self) -> bool {
        self.classes.iter().any(|band| band.ready)
    }

    pub(super) fn show(&mut self, class: usize, ready: bool) {
        let band = &mut self.classes[class];
        if ready && !band.ready {
            band.share.activate(self.time);
        }
        band.ready = ready;
    }

    /// Returns the class that is served next; ties go to the more urgent.
    pub(super) fn next(&self) -> Option<usize> {
        let mut best: Option<(usize, i128)> = None;
        for (class, band) in self.classes.iter().enumerate().rev().filter(|(_, band)| band.ready) {
            let tag = i128::from(band.share.start) - i128::from(band.early);
            if best.is_none_or(|(_, least)| tag < least) {
                best = Some((class, tag));
            }
        }
        best.map(|(class, _)| class)
    }

    /// Moves virtual time when `served` is: to the lowest start tag, since a head start must not carry the clock away.
    pub(super) fn follow(&mut self, served: usize) {
        let ready = self.classes.iter().filter(|band| band.ready).map(|band| band.share.start);
        self.time = self.time.max(ready.fold(self.classes[served].share.start, u64::min));
    }

    /// Ends a busy period of the whole model.
    pub(super) fn end_busy_period(&mut self) {
        let top = self.classes.iter().map(|band| band.share.rests_until()).max();
        self.time = self.time.max(top.unwrap_or(0));
        for band in &mut self.classes {
            band.share.credit = 0;
        }
    }

    pub(super) fn rebase(&mut self) {
        if self.time >= REBASE_AT {
            let base = self.time / 2;
            self.time -= base;
            for band in &mut self.classes {
                band.share.advance(base);
            }
        }
    }
}
