//! A hierarchical timing wheel over the jobs: deadlines and not-before times (Varghese and Lauck, SOSP '87).
//!
//! Setting and stopping a timer are O(1) whatever their number. The list of a slot runs through the job records, so a
//! timer takes no memory of its own.

use super::chunks::{Chunks, NONE};
use super::jobs::Job;
use crate::core::time::Time;

/// Length of a tick in nanoseconds: 1 ms. Finer than anything a provider call could use.
const TICK: u64 = 1_000_000;
/// Slots of a level, as bits: 64, so that one word says which are in use.
const SLOT_BITS: u32 = 6;
/// Slots of a level.
const SLOTS: usize = 1 << SLOT_BITS;
/// Levels of the wheel. Six levels of 64 slots span 2³⁶ ticks, two years; what is due later waits in the last slot and is looked at again.
const LEVELS: usize = 6;
/// Mark of a neighbour that is a slot, not a job.
const SLOT: u32 = 1 << 31;

/// Returns the first tick at or after `time`: a timer never fires early.
pub(super) const fn tick_at(time: Time) -> u64 {
    time.as_nanos().div_ceil(TICK)
}

#[derive(Debug, Clone)]
pub(super) struct Wheel {
    heads: [u32; LEVELS * SLOTS],
    used: [u64; LEVELS],
    /// Ticks that have passed.
    now: u64,
    /// No timer fires before this tick; may lag behind the truth, never run ahead of it.
    quiet_until: u64,
}

impl Wheel {
    pub(super) const fn new() -> Self {
        Self { heads: [NONE; LEVELS * SLOTS], used: [0; LEVELS], now: 0, quiet_until: u64::MAX }
    }

    /// Returns the tick whose low half is `low`, reckoned from now on.
    pub(super) fn widen(&self, low: u32) -> u64 {
        #[allow(clippy::cast_possible_truncation, reason = "the low half")]
        let ahead = low.wrapping_sub(self.now as u32);
        self.now + u64::from(ahead)
    }

    /// Returns the low half of a tick, at most 49 days ahead.
    pub(super) fn narrow(&self, tick: u64) -> u32 {
        let tick = tick.clamp(self.now, self.now + u64::from(u32::MAX));
        #[allow(clippy::cast_possible_truncation, reason = "the low half")]
        let low = tick as u32;
        low
    }

    /// Sets the timer of a job that has none. One at [`Time::FAR`] is never looked at.
    pub(super) fn set(&mut self, jobs: &mut Chunks<Job>, index: u32, due: u64) {
        if due >= tick_at(Time::FAR) {
            return;
        }
        // What is due already fires at the next look.
        let due = due.max(self.now);
        self.quiet_until = self.quiet_until.min(due);
        let span = (due ^ self.now) | (SLOTS as u64 - 1);
        let level = (((63 - span.leading_zeros()) / SLOT_BITS) as usize).min(LEVELS - 1);
        // At most once round the last level: its present slot would be due at once, for ever.
        let last = SLOT_BITS * (LEVELS as u32 - 1);
        let due = due.min(((self.now >> last) + SLOTS as u64 - 1) << last | ((1 << last) - 1));
        let slot = (due >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        let place = level * SLOTS + slot;
        let head = std::mem::replace(&mut self.heads[place], index);
        #[allow(clippy::cast_possible_truncation, reason = "384 slots")]
        let mark = SLOT | place as u32;
        jobs[index].timer = [mark, head];
        if head != NONE {
            jobs[head].timer[0] = index;
        }
        self.used[level] |= 1 << slot;
    }

    /// Stops the timer of a job, if it has one.
    pub(super) fn stop(&mut self, jobs: &mut Chunks<Job>, index: u32) {
        let [previous, next] = std::mem::replace(&mut jobs[index].timer, [NONE; 2]);
        if previous == NONE {
            return;
        }
        if previous & SLOT == 0 {
            jobs[previous].timer[1] = next;
        } else {
            let place = (previous ^ SLOT) as usize;
            self.heads[place] = next;
            if next == NONE {
                self.used[place / SLOTS] &= !(1 << (place % SLOTS));
            }
        }
        if next != NONE {
            jobs[next].timer[0] = previous;
        }
    }

    /// Returns the next slot with timers and the tick at which it is due.
    fn next(&self) -> Option<(usize, u64)> {
        // A lower level is all of one slot of the next, so what it holds is due first.
        let (level, &used) = self.used.iter().enumerate().find(|(_, used)| **used != 0)?;
        let shift = SLOT_BITS * level as u32;
        let at = (self.now >> shift) as u32 % SLOTS as u32;
        let ahead = used.rotate_right(at).trailing_zeros();
        let slot = (at + ahead) as usize % SLOTS;
        let start = ((self.now >> shift) + u64::from(ahead)) << shift;
        Some((level * SLOTS + slot, start.max(self.now)))
    }

    /// Returns when to look again: a timer fires then, or comes nearer.
    pub(super) fn poll_timeout(&self) -> Option<Time> {
        // A look before it is quiet no longer would change nothing, and be asked for again at once.
        self.next().map(|(_, tick)| Time::from_nanos(tick.max(self.quiet_until).saturating_mul(TICK)))
    }

    /// Takes out a job whose timer fires at or before `now`; `due` tells a job's tick.
    pub(super) fn fire(&mut self, jobs: &mut Chunks<Job>, now: Time, due: impl Fn(&Self, &Job) -> u64) -> Option<u32> {
        let now = now.as_nanos() / TICK;
        if now < self.quiet_until {
            return None;
        }
        loop {
            let Some((place, start)) = self.next() else {
                self.now = self.now.max(now);
                self.quiet_until = u64::MAX;
                return None;
            };
            if start > now {
                self.now = self.now.max(now);
                self.quiet_until = start;
                return None;
            }
            self.now = start;
            if place < SLOTS {
                let index = self.heads[place];
                self.stop(jobs, index);
                return Some(index);
            }
            // All of it comes nearer at once: what stayed behind would be overtaken.
            while self.heads[place] != NONE {
                let index = self.heads[place];
                let due = due(self, &jobs[index]);
                self.stop(jobs, index);
                self.set(jobs, index, due);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::jobs::Jobs;
    use super::*;
    use crate::core::cost::Cost;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn fires_at_its_tick_and_wakes_nobody_too_late(
            steps in prop::collection::vec((0u64..4, 0u32..26, 0u64..1 << 26, 0usize..50), 1..200),
        ) {
            let mut jobs: Jobs<()> = Jobs::new();
            let mut wheel = Wheel::new();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now = 0u64;
            for (what, bits, random, which) in steps {
                let span = random & ((1 << bits) - 1);
                match what {
                    0 | 1 => {
                        let due = now + span;
                        let index = jobs.insert(0, Cost::ONE, Time::ZERO, Time::from_millis(due), ());
                        wheel.set(&mut jobs.records, index, due);
                        model.insert(index, due);
                    }
                    2 if !model.is_empty() => {
                        let index = *model.keys().nth(which % model.len()).expect("in range");
                        wheel.stop(&mut jobs.records, index);
                        model.remove(&index);
                    }
                    _ => {
                        let first = model.values().min().copied();
                        let poll = wheel.poll_timeout();
                        prop_assert_eq!(poll.is_some(), first.is_some());
                        if let (Some(poll), Some(first)) = (poll, first) {
                            prop_assert!(poll <= Time::from_millis(first), "woken too late");
                        }
                        now += span;
                        let at = Time::from_millis(now);
                        while let Some(index) = wheel.fire(&mut jobs.records, at, |_, job| tick_at(job.deadline)) {
                            let due = model.remove(&index);
                            prop_assert!(due.is_some_and(|due| due <= now), "fired early or twice");
                        }
                        prop_assert!(model.values().all(|due| *due > now), "a timer did not fire");
                        prop_assert!(wheel.poll_timeout().is_none_or(|poll| poll > at), "woken for nothing, for ever");
                    }
                }
            }
        }
    }
}
