//! Tenants by name: eight bytes a place, where a map with the name in it takes twenty-five.

use std::hash::{BuildHasher, RandomState};

use super::chunks::NONE;

/// A hash table of ids with linear probing. It holds no names: the caller compares.
#[derive(Debug, Clone)]
pub(super) struct Names {
    hasher: RandomState,
    /// Upper half of the hash and id, [`NONE`] where free; a power of two of them, or none yet.
    places: Vec<(u32, u32)>,
    held: usize,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), places: Vec::new(), held: 0 }
    }

    pub(super) fn hash(&self, name: &str) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
        let hash = (self.hasher.hash_one(name) >> 32) as u32;
        hash
    }

    /// Returns the id under `hash` for which `is` holds.
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        self.place(hash, is).map(|at| self.places[at].1)
    }

    fn place(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            match self.places[at] {
                (_, NONE) => return None,
                (seen, id) if seen == hash && is(id) => return Some(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Adds an id that is not held yet.
    pub(super) fn insert(&mut self, hash: u32, id: u32) {
        if (self.held + 1) * 8 > self.places.len() * 7 {
            let size = (self.places.len() * 2).max(16);
            let old = std::mem::replace(&mut self.places, vec![(0, NONE); size]);
            for (hash, id) in old.into_iter().filter(|(_, id)| *id != NONE) {
                self.put(hash, id);
            }
        }
        self.put(hash, id);
        self.held += 1;
    }

    fn put(&mut self, hash: u32, id: u32) {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].1 != NONE {
            at = (at + 1) & mask;
        }
        self.places[at] = (hash, id);
    }

    /// Removes an id and closes the gap, so that no tombstones pile up.
    pub(super) fn remove(&mut self, hash: u32, id: u32) {
        let Some(mut gap) = self.place(hash, |held| held == id) else { return };
        let mask = self.places.len() - 1;
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let (hash, id) = self.places[at];
            if id == NONE {
                break;
            }
            // An entry may fill the gap unless its home lies between the gap and it.
            let distance = at.wrapping_sub(hash as usize) & mask;
            if distance >= (at.wrapping_sub(gap) & mask) {
                self.places[gap] = (hash, id);
                gap = at;
            }
        }
        self.places[gap] = (0, NONE);
        self.held -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u32..60, any::<bool>()), 1..300)) {
            let mut names = Names::new();
            let mut model = BTreeMap::new();
            // Few distinct hashes, so that probes collide and gaps close over the end.
            let hash = |name: u32| name % 7 * 5;
            for (name, add) in steps {
                if add && !model.contains_key(&name) {
                    names.insert(hash(name), name);
                    model.insert(name, ());
                } else if !add && model.remove(&name).is_some() {
                    names.remove(hash(name), name);
                }
                for name in 0..60 {
                    let found = names.find(hash(name), |id| id == name).is_some();
                    prop_assert_eq!(found, model.contains_key(&name));
                }
            }
        }
    }
}
