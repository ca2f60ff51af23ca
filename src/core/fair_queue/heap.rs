//! An indexed 4-ary heap: the lowest key first, and any member re-keyed where it stands.

/// Marks "not in the heap" in the position table.
const ABSENT: u32 = u32::MAX;
/// Four children per node: half the depth of a binary heap, and the siblings share a cache line.
const ARITY: usize = 4;

/// The position of each id in its heap. One table serves all heaps of a level tree, since a member is in one of them at a time; it
/// lies apart from the members because a sift writes many positions and would touch a cache line of each.
pub(super) type Positions = Vec<u32>;

/// A priority queue of dense ids by 64-bit key; ties go to the lower id, so that order is deterministic.
#[derive(Debug, Clone, Default)]
pub(super) struct Heap {
    items: Vec<(u64, u32)>,
}

impl Heap {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the key and id that are first.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.items.first().copied()
    }

    /// Inserts `id`, or moves it to `key` when it is a member already.
    pub(super) fn set(&mut self, positions: &mut Positions, id: u32, key: u64) {
        if positions.len() <= id as usize {
            grow(positions);
            positions.resize(id as usize + 1, ABSENT);
        }
        let at = positions[id as usize];
        if at == ABSENT {
            grow(&mut self.items);
            self.items.push((key, id));
            self.sift_up(positions, self.items.len() - 1);
            return;
        }
        let at = at as usize;
        let old = std::mem::replace(&mut self.items[at].0, key);
        if key > old {
            self.sift_down(positions, at);
        } else if key < old {
            self.sift_up(positions, at);
        }
    }

    /// Removes `id`, which is a member of this heap or of none.
    pub(super) fn remove(&mut self, positions: &mut Positions, id: u32) {
        let Some(at) = positions.get_mut(id as usize).filter(|at| **at != ABSENT) else { return };
        let at = std::mem::replace(at, ABSENT) as usize;
        if let Some(last) = self.items.pop()
            && at < self.items.len()
        {
            self.items[at] = last;
            let at = self.sift_up(positions, at);
            self.sift_down(positions, at);
        }
    }

    /// Lowers every key by `base`, saturating at zero; the order stays.
    pub(super) fn rebase(&mut self, base: u64) {
        for item in &mut self.items {
            item.0 = item.0.saturating_sub(base);
        }
    }

    fn sift_up(&mut self, positions: &mut Positions, mut at: usize) -> usize {
        let item = self.items[at];
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if self.items[parent] <= item {
                break;
            }
            self.place(positions, at, self.items[parent]);
            at = parent;
        }
        self.place(positions, at, item);
        at
    }

    fn sift_down(&mut self, positions: &mut Positions, mut at: usize) {
        let item = self.items[at];
        loop {
            let first = at * ARITY + 1;
            let last = (first + ARITY).min(self.items.len());
            let Some(least) = (first..last).min_by_key(|&child| self.items[child]) else { break };
            if self.items[least] >= item {
                break;
            }
            self.place(positions, at, self.items[least]);
            at = least;
        }
        self.place(positions, at, item);
    }

    fn place(&mut self, positions: &mut Positions, at: usize, item: (u64, u32)) {
        self.items[at] = item;
        #[allow(clippy::cast_possible_truncation, reason = "as many positions as ids, and ids are 32 bits")]
        let position = at as u32;
        positions[item.1 as usize] = position;
    }
}

/// Makes room for one more, an eighth at a time: the memory of a large vector stays near its content.
fn grow<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 8).max(16));
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
            let mut positions = Positions::new();
            let mut model: BTreeSet<(u64, u32)> = BTreeSet::new();
            for (id, key) in steps {
                model.retain(|&(_, member)| member != id);
                match key {
                    Some(key) => { heap.set(&mut positions, id, key); model.insert((key, id)); }
                    None => heap.remove(&mut positions, id),
                }
                prop_assert_eq!(heap.first(), model.first().copied());
                prop_assert_eq!(heap.is_empty(), model.is_empty());
            }
        }
    }
}
