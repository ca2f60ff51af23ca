//! An indexed 4-ary heap: the lowest virtual time first, and any member re-keyed where it stands.

/// Marks "not in the heap" in the position table.
const ABSENT: u32 = u32::MAX;
/// Four children per node: half the depth of a binary heap, and siblings share a cache line.
const ARITY: usize = 4;

/// A priority queue of dense ids by 64-bit key; ties go to the lower id, so that order is deterministic.
#[derive(Debug, Clone, Default)]
pub(super) struct Heap {
    items: Vec<(u64, u32)>,
    positions: Vec<u32>,
}

impl Heap {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the key and id that are first.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.items.first().copied()
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.positions.get(id as usize).is_some_and(|&at| at != ABSENT)
    }

    /// Inserts `id`, or moves it to `key` when it is a member already.
    pub(super) fn set(&mut self, id: u32, key: u64) {
        if self.positions.len() <= id as usize {
            self.positions.resize(id as usize + 1, ABSENT);
        }
        let at = match self.positions[id as usize] {
            ABSENT => {
                self.items.push((key, id));
                self.items.len() - 1
            }
            at => {
                self.items[at as usize].0 = key;
                at as usize
            }
        };
        let at = self.sift_up(at);
        self.sift_down(at);
    }

    /// Removes `id` if it is a member.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(&at) = self.positions.get(id as usize).filter(|&&at| at != ABSENT) else { return };
        self.positions[id as usize] = ABSENT;
        let at = at as usize;
        if let Some(last) = self.items.pop()
            && at < self.items.len()
        {
            self.items[at] = last;
            let at = self.sift_up(at);
            self.sift_down(at);
        }
    }

    /// Lowers every key by `base`, saturating at zero; the order stays.
    pub(super) fn rebase(&mut self, base: u64) {
        for item in &mut self.items {
            item.0 = item.0.saturating_sub(base);
        }
    }

    fn sift_up(&mut self, mut at: usize) -> usize {
        let item = self.items[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.items[parent] <= item {
                break;
            }
            self.place(at, self.items[parent]);
            at = parent;
        }
        self.place(at, item);
        at
    }

    fn sift_down(&mut self, mut at: usize) {
        let item = self.items[at];
        loop {
            let first = at * ARITY + 1;
            let last = (first + ARITY).min(self.items.len());
            let Some(least) = (first..last).min_by_key(|&child| self.items[child]) else { break };
            if self.items[least] >= item {
                break;
            }
            self.place(at, self.items[least]);
            at = least;
        }
        self.place(at, item);
    }

    fn place(&mut self, at: usize, item: (u64, u32)) {
        self.items[at] = item;
        #[allow(clippy::cast_possible_truncation, reason = "as many positions as ids, and ids are 32 bits")]
        let position = at as u32;
        self.positions[item.1 as usize] = position;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(steps in prop::collection::vec((0u32..40, prop::option::of(0u64..50)), 1..400)) {
            let mut heap = Heap::default();
            let mut model: BTreeSet<(u64, u32)> = BTreeSet::new();
            for (id, key) in steps {
                model.retain(|&(_, member)| member != id);
                match key {
                    Some(key) => { heap.set(id, key); model.insert((key, id)); }
                    None => heap.remove(id),
                }
                prop_assert_eq!(heap.first(), model.first().copied());
                prop_assert_eq!(heap.is_empty(), model.is_empty());
            }
        }
    }
}
