//! How much work a level does before a given virtual time.
//!
//! Until virtual time v a member j of weight w is served min(backlog, w · (v − start))⁺: a line that begins at its start
//! tag and bends flat at its end tag, the start tag plus backlog ÷ w. The sum over all members is slope · v − intercept,
//! where slope and intercept are sums of ±w and ±w · tag over the tags before v. They are kept for each bucket of tags and
//! for each block of buckets.

use super::share::Share;
use crate::core::cost::{VIRTUAL_PER_UNIT_MILLI, Weight};

/// Buckets of the window of tags.
const BUCKETS: usize = 512;
/// Buckets of a block. A change writes two sums, where a Fenwick tree writes up to ten; a question, which comes once in
/// some eight changes, reads up to sixty, in rows.
const BLOCK: usize = 16;
/// Multiple of the mean backlog that the window spans: most ends fall inside, and a bucket stays well below a backlog.
const SPAN: u64 = 4;

/// The tags of a member that lie beyond the window; kept with the member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beyond {
    start: bool,
    end: bool,
}

/// Sums over a set of tags. They wrap: a difference of two is right as long as it fits by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    slope: u64,
    intercept: u64,
}

impl Sums {
    const fn of(weight: u64, tag: u64) -> Self {
        Self { slope: weight, intercept: weight.wrapping_mul(tag) }
    }

    const fn plus(self, other: Self) -> Self {
        Self { slope: self.slope.wrapping_add(other.slope), intercept: self.intercept.wrapping_add(other.intercept) }
    }

    const fn minus(self, other: Self) -> Self {
        Self { slope: self.slope.wrapping_sub(other.slope), intercept: self.intercept.wrapping_sub(other.intercept) }
    }
}

/// The tags of one level's members with a backlog.
#[derive(Debug, Clone)]
pub(super) struct Backlog {
    /// The sums of the blocks, then those of the buckets, both rings; empty until first used.
    sums: Vec<Sums>,
    /// Buckets of the ring that may have tags, a bit each: where few jobs wait, a job is hundreds of empty buckets wide.
    used: [u64; BUCKETS / 64],
    /// Tags before the window: their order no longer matters.
    past: Sums,
    /// Width of a bucket as a power of two.
    shift: u32,
    /// The window's first bucket.
    low: u64,
    /// Tags after the window, which are not counted until they are put anew.
    beyond: u32,
    members: u32,
    weight: u64,
    /// Sum of the members' backlogs in virtual time.
    depth: u64,
    /// Changes since the window was fitted.
    changes: u32,
}

impl Backlog {
    pub(super) const fn new() -> Self {
        Self {
            sums: Vec::new(),
            used: [0; BUCKETS / 64],
            past: Sums { slope: 0, intercept: 0 },
            shift: 10,
            low: 0,
            beyond: 0,
            members: 0,
            weight: 0,
            depth: 0,
            changes: 0,
        }
    }

    /// Returns the sum of the weights of the members with a backlog, in thousandths.
    pub(super) const fn weight(&self) -> u64 {
        self.weight
    }

    /// Follows a change of a member's share, which keeps its weight; `beyond` is the member's. Returns whether the window
    /// should be fitted anew.
    pub(super) fn update(&mut self, weight: Weight, before: Share, after: Share, beyond: &mut Beyond) -> bool {
        let milli = weight.milli();
        match (before.has_backlog(), after.has_backlog()) {
            (false, false) => return false,
            (false, true) => *beyond = self.put(weight, after),
            (true, false) => self.take(weight, before, *beyond),
            (true, true) => {
                if before.start != after.start {
                    beyond.start = self.move_start(milli, before.start, after.start, beyond.start);
                }
                if before.end != after.end {
                    beyond.end = self.move_end(milli, before.end, after.end, beyond.end);
                }
            }
        }
        self.misfits()
    }

    /// Counts a member with a backlog in; [`take`](Self::take) it out before its weight changes.
    pub(super) fn put(&mut self, weight: Weight, share: Share) -> Beyond {
        if self.sums.is_empty() {
            self.sums = vec![Sums::default(); BUCKETS / BLOCK + BUCKETS];
        }
        let (milli, Share { start, end, .. }) = (weight.milli(), share);
        self.members += 1;
        self.weight += u64::from(milli);
        self.depth = self.depth.wrapping_add(end - start);
        Beyond { start: self.begin(milli, start), end: self.finish(milli, end) }
    }

    /// Counts a member with a backlog out.
    fn take(&mut self, weight: Weight, share: Share, beyond: Beyond) {
        let (milli, Share { start, end, .. }) = (u64::from(weight.milli()), share);
        self.members -= 1;
        self.weight -= milli;
        self.depth = self.depth.wrapping_sub(end - start);
        self.change(start, Sums::default().minus(Sums::of(milli, start)), beyond.start);
        self.change(end, Sums::of(milli, end), beyond.end);
    }

    /// Moves a member's start; returns whether it is beyond the window now.
    fn move_start(&mut self, weight: u32, from: u64, to: u64, beyond: bool) -> bool {
        self.depth = self.depth.wrapping_add(from).wrapping_sub(to);
        if self.same(from, to, beyond) {
            let by = u64::from(weight).wrapping_mul(to.wrapping_sub(from));
            self.change(from, Sums { slope: 0, intercept: by }, false);
            return false;
        }
        self.change(from, Sums::default().minus(Sums::of(weight.into(), from)), beyond);
        self.begin(weight, to)
    }

    /// Moves a member's end; returns whether it is beyond the window now.
    fn move_end(&mut self, weight: u32, from: u64, to: u64, beyond: bool) -> bool {
        self.depth = self.depth.wrapping_add(to).wrapping_sub(from);
        if self.same(from, to, beyond) {
            let by = u64::from(weight).wrapping_mul(from.wrapping_sub(to));
            self.change(from, Sums { slope: 0, intercept: by }, false);
            return false;
        }
        self.change(from, Sums::of(weight.into(), from), beyond);
        self.finish(weight, to)
    }

    /// Says whether two tags are in one bucket, so that one change of the sums does.
    const fn same(&self, from: u64, to: u64, beyond: bool) -> bool {
        !beyond && from >> self.shift == to >> self.shift
    }

    fn begin(&mut self, weight: u32, tag: u64) -> bool {
        self.enter(tag, Sums::of(weight.into(), tag))
    }

    fn finish(&mut self, weight: u32, tag: u64) -> bool {
        self.enter(tag, Sums::default().minus(Sums::of(weight.into(), tag)))
    }

    fn enter(&mut self, tag: u64, sums: Sums) -> bool {
        self.changes += 1;
        let beyond = (tag >> self.shift) >= self.low + BUCKETS as u64;
        if beyond {
            self.beyond += 1;
        } else {
            self.change(tag, sums, false);
        }
        beyond
    }

    fn change(&mut self, tag: u64, by: Sums, beyond: bool) {
        let bucket = tag >> self.shift;
        if beyond {
            self.beyond -= 1;
        } else if bucket < self.low {
            self.past = self.past.plus(by);
        } else {
            self.add(bucket, by);
        }
    }

    fn add(&mut self, bucket: u64, by: Sums) {
        let at = bucket as usize % BUCKETS;
        self.used[at / 64] |= 1 << (at % 64);
        for at in [at / BLOCK, BUCKETS / BLOCK + at] {
            self.sums[at] = self.sums[at].plus(by);
        }
    }

    /// Sums the buckets of the ring from one up to another.
    fn range(&self, from: usize, to: usize) -> Sums {
        let (blocks, buckets) = self.sums.split_at(BUCKETS / BLOCK);
        let sum = |sums: &[Sums]| sums.iter().fold(Sums::default(), |all, sums| all.plus(*sums));
        let (first, last) = (from.div_ceil(BLOCK), to / BLOCK);
        if first >= last {
            return sum(&buckets[from..to]);
        }
        sum(&buckets[from..first * BLOCK]).plus(sum(&blocks[first..last])).plus(sum(&buckets[last * BLOCK..to]))
    }

    /// Moves the window so that it begins at virtual time `now`.
    pub(super) fn follow(&mut self, now: u64) {
        let low = now >> self.shift;
        if low <= self.low || self.sums.is_empty() {
            return;
        }
        let end = low.min(self.low + BUCKETS as u64);
        let mut from = self.low;
        while let Some(bucket) = self.next_used(from, end) {
            let at = bucket as usize % BUCKETS;
            let sums = self.sums[BUCKETS / BLOCK + at];
            if sums != Sums::default() {
                self.past = self.past.plus(sums);
                self.add(bucket, Sums::default().minus(sums));
            }
            self.used[at / 64] &= !(1 << (at % 64));
            from = bucket + 1;
        }
        self.low = low;
    }

    /// Returns the first bucket in `from..end`, at most once around the ring, that may have tags.
    fn next_used(&self, mut from: u64, end: u64) -> Option<u64> {
        while from < end {
            let at = from as usize % BUCKETS;
            let rest = self.used[at / 64] >> (at % 64);
            if rest != 0 {
                let bucket = from + u64::from(rest.trailing_zeros());
                return (bucket < end).then_some(bucket);
            }
            from += 64 - (at % 64) as u64;
        }
        None
    }

    /// Returns the work, in cost units, that the members are served before virtual time `until`.
    ///
    /// Jobs are not fluid: a member whose start tag has come is served a whole job. So each one that is between its
    /// two tags counts half a mean job more, which makes the staircase's mean of the line.
    pub(super) fn before(&self, until: u64, mean_cost: f64) -> f64 {
        if self.members == 0 {
            return 0.0;
        }
        let bucket = (until >> self.shift).min(self.low + BUCKETS as u64 - 1);
        let mut sums = self.past;
        if bucket >= self.low {
            let (from, to) = (self.low as usize % BUCKETS, bucket as usize % BUCKETS);
            let wraps = from > to;
            let ahead = self.range(from, if wraps { BUCKETS } else { to + 1 });
            let rest = if wraps { self.range(0, to + 1) } else { Sums::default() };
            sums = sums.plus(ahead).plus(rest);
        }
        let work = sums.slope.wrapping_mul(until).wrapping_sub(sums.intercept).cast_signed().max(0);
        let between = sums.slope.cast_signed().max(0) as f64 * f64::from(self.members) / self.weight as f64;
        work as f64 / VIRTUAL_PER_UNIT_MILLI as f64 + 0.5 * mean_cost * between
    }

    /// Says whether the window should be fitted anew; at most once in as many changes as there are members, so that
    /// the cost of it stays constant per change.
    fn misfits(&self) -> bool {
        self.changes > self.members + 64
            && (self.beyond > self.members / 4 + 8 || self.fitting().abs_diff(self.shift) > 1)
    }

    fn fitting(&self) -> u32 {
        let span = (self.depth / u64::from(self.members.max(1))).saturating_mul(SPAN);
        64 - (span / BUCKETS as u64).leading_zeros()
    }

    /// Empties the window and fits it to the members' mean backlog; every member is to be put anew.
    pub(super) fn refit(&mut self, now: u64) {
        let shift = self.fitting();
        *self = Self { sums: std::mem::take(&mut self.sums), shift, low: now >> shift, ..Self::new() };
        self.sums.fill(Sums::default());
    }

    /// Takes note that every member has been put anew.
    pub(super) fn fitted(&mut self) {
        self.changes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the formula, term by term, with an error of a bucket's width per member at most.
        #[test]
        fn agrees_with_the_sum(
            members in prop::collection::vec((1u32..9_000, 0u64..1 << 18, 0u64..1 << 16), 1..40),
            slides in prop::collection::vec(0u64..1 << 17, 0..4),
            until in 0u64..1 << 19,
        ) {
            let mut backlog = Backlog::new();
            let mut put: Vec<_> = members
                .iter()
                .map(|&(milli, start, depth)| {
                    let weight = Weight::new(f64::from(milli) / 1_000.0).expect("a weight");
                    (weight, Share { start, end: start + depth, credit: 0 }, Beyond::default())
                })
                .collect();
            backlog.shift = 9;
            for (weight, share, beyond) in &mut put {
                *beyond = backlog.put(*weight, *share);
            }
            let mut now = 0;
            for slide in slides {
                now += slide;
                backlog.follow(now);
            }
            // One leaves and one comes back elsewhere.
            let (weight, share, beyond) = put.swap_remove(0);
            backlog.take(weight, share, beyond);
            let share = Share { start: now, end: now + 5, credit: 0 };
            put.push((weight, share, backlog.put(weight, share)));
            if put.iter().all(|(.., beyond)| *beyond == Beyond::default()) {
                let until = now + until.min((BUCKETS as u64 - 2) << 9);
                let exact: f64 = put.iter().map(|&(weight, Share { start, end, .. }, _)| {
                    until.clamp(start, end).saturating_sub(start) as f64 * f64::from(weight.milli())
                }).sum::<f64>() / VIRTUAL_PER_UNIT_MILLI as f64;
                let width = put.iter().map(|&(weight, ..)| f64::from(weight.milli()) * 512.0).sum::<f64>() / VIRTUAL_PER_UNIT_MILLI as f64;
                let seen = backlog.before(until, 0.0);
                prop_assert!((seen - exact).abs() <= width + 1e-6, "{} beside {}", seen, exact);
            }
            for (weight, share, beyond) in put {
                backlog.take(weight, share, beyond);
            }
            prop_assert_eq!(backlog.range(0, BUCKETS).plus(backlog.past), Sums::default());
            prop_assert_eq!((backlog.members, backlog.weight, backlog.beyond, backlog.depth), (0, 0, 0, 0));
        }
    }
}
