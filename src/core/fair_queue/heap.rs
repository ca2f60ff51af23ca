//! An indexed 4-ary heap: the lowest key first, and any member re-keyed where it stands.

/// Marks "not in the heap" in the position table.
const ABSENT: u32 = u32::MAX;
/// Siblings of a group: half the depth of a binary heap.
const ARITY: usize = 4;
/// Fills a group's free places; above every item.
const NOTHING: Item = Item::MAX;

/// The position of each id in its heap. One table serves all heaps of a level tree, since a member is in one of them at a time; it
/// lies apart from the members because a sift writes many positions and would touch a cache line of each.
pub(super) type Positions = Vec<u32>;

/// Key and id in one number, so that two items are compared without a branch.
type Item = u128;

const fn item(key: u64, id: u32) -> Item {
    ((key as Item) << 64) | id as Item
}

#[allow(clippy::cast_possible_truncation, reason = "as put in")]
const fn parts(item: Item) -> (u64, u32) {
    ((item >> 64) as u64, item as u32)
}

/// Four siblings, in one cache line: a step of a sift waits for one.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Siblings([Item; ARITY]);

impl Siblings {
    /// Returns the lowest item and its place. A branch here would be guessed wrong half of the time.
    fn least(&self) -> (usize, Item) {
        let [a, b, c, d] = self.0;
        let left = if b < a { (1, b) } else { (0, a) };
        let right = if d < c { (3, d) } else { (2, c) };
        if right.1 < left.1 { right } else { left }
    }
}

/// A priority queue of dense ids by 64-bit key; ties go to the lower id, so that order is deterministic.
///
/// It has four roots, the first group; the children of position `n` are the group `n + 1`.
#[derive(Debug, Clone, Default)]
pub(super) struct Heap {
    groups: Vec<Siblings>,
    len: usize,
}

impl Heap {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the key and id that are first.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.groups.first().map(|roots| parts(roots.least().1))
    }

    /// Inserts `id`, or moves it to `key` when it is a member already.
    pub(super) fn set(&mut self, positions: &mut Positions, id: u32, key: u64) {
        if positions.len() <= id as usize {
            grow(positions);
            positions.resize(id as usize + 1, ABSENT);
        }
        let (at, item) = (positions[id as usize], item(key, id));
        if at == ABSENT {
            self.push(item);
            self.sift_up(positions, self.len - 1, item);
            return;
        }
        let at = at as usize;
        let old = self.groups[at / ARITY].0[at % ARITY];
        if item > old {
            self.sift_down(positions, at, item);
        } else if item < old {
            self.sift_up(positions, at, item);
        }
    }

    /// Removes `id`, which is a member of this heap or of none.
    pub(super) fn remove(&mut self, positions: &mut Positions, id: u32) {
        let Some(at) = positions.get_mut(id as usize).filter(|at| **at != ABSENT) else { return };
        let at = std::mem::replace(at, ABSENT) as usize;
        let last = self.pop();
        if at < self.len {
            let at = self.sift_up(positions, at, last);
            self.sift_down(positions, at, last);
        }
    }

    /// Lowers every key by `base`, saturating at zero; the order stays.
    pub(super) fn rebase(&mut self, base: u64) {
        for held in self.groups.iter_mut().flat_map(|group| &mut group.0).take(self.len) {
            let (key, id) = parts(*held);
            *held = item(key.saturating_sub(base), id);
        }
    }

    fn push(&mut self, item: Item) {
        let (group, place) = (self.len / ARITY, self.len % ARITY);
        if place == 0 {
            grow(&mut self.groups);
            self.groups.push(Siblings([NOTHING; ARITY]));
        }
        self.groups[group].0[place] = item;
        self.len += 1;
    }

    /// Takes out the item at the last position of a heap that is not empty.
    fn pop(&mut self) -> Item {
        self.len -= 1;
        let (group, place) = (self.len / ARITY, self.len % ARITY);
        let last = std::mem::replace(&mut self.groups[group].0[place], NOTHING);
        self.groups.truncate(self.len.div_ceil(ARITY));
        last
    }

    fn sift_up(&mut self, positions: &mut Positions, mut at: usize, item: Item) -> usize {
        while let Some(parent) = (at / ARITY).checked_sub(1) {
            let above = self.groups[parent / ARITY].0[parent % ARITY];
            if above <= item {
                break;
            }
            self.place(positions, at, above);
            at = parent;
        }
        self.place(positions, at, item);
        at
    }

    fn sift_down(&mut self, positions: &mut Positions, mut at: usize, item: Item) {
        while let Some(children) = self.groups.get(at + 1) {
            let (place, least) = children.least();
            if least >= item {
                break;
            }
            self.place(positions, at, least);
            at = (at + 1) * ARITY + place;
        }
        self.place(positions, at, item);
    }

    fn place(&mut self, positions: &mut Positions, at: usize, item: Item) {
        self.groups[at / ARITY].0[at % ARITY] = item;
        #[allow(clippy::cast_possible_truncation, reason = "as many positions as ids, and ids are 32 bits")]
        let position = at as u32;
        positions[parts(item).1 as usize] = position;
    }
}

/// Makes room for one more, an eighth at a time: the memory of a large vector stays near its content.
fn grow<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact((items.len() / 8).max(4));
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
