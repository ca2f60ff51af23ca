//! Storage with stable keys: a freed key never names a later entry.

use std::fmt;

/// Names one entry of a [`Slab`]; stale keys find nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Names the entry at a position of that generation, for storage that keeps generations itself.
    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// Returns how often the position was freed before, and one.
    pub(super) const fn generation(self) -> u32 {
        self.generation
    }

    /// Packs the key into 64 bits, never zero, so that it fits an atomic with zero for "none".
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        ((self.generation as u64) << 32) | self.index as u64
    }

    /// Unpacks [`to_bits`](Self::to_bits).
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of 64 bits")]
    pub const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// Returns the position, for dense side tables.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.index, self.generation)
    }
}

#[derive(Debug, Clone)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

/// A vector with a free list and a generation per place.
///
/// Memory is that of the highest number of entries held at once; every operation is O(1).
#[derive(Debug, Clone)]
pub struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    /// Builds an empty slab.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// Returns how many entries are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Says whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores a value and returns its key.
    pub fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.free.pop() {
            let entry = &mut self.entries[index as usize];
            entry.value = Some(value);
            return Key { index, generation: entry.generation };
        }
        #[allow(clippy::cast_possible_truncation, reason = "queues are bounded far below 2^32 entries")]
        let index = self.entries.len() as u32;
        // Generations begin at one, so that a key's bits are never zero.
        self.entries.push(Entry { generation: 1, value: Some(value) });
        Key { index, generation: 1 }
    }

    /// Returns the entry, unless the key is stale.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        self.entries.get(key.index as usize).filter(|e| e.generation == key.generation)?.value.as_ref()
    }

    /// Returns the entry for change, unless the key is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.entries.get_mut(key.index as usize).filter(|e| e.generation == key.generation)?.value.as_mut()
    }

    /// Returns the entry at a position, whatever its generation.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize)?.value.as_ref()
    }

    /// Returns the entry at a position for change, whatever its generation.
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.value.as_mut()
    }

    /// Takes out the entry at a position, whatever its generation.
    pub fn remove_at(&mut self, index: u32) -> Option<T> {
        let generation = self.entries.get(index as usize)?.generation;
        self.remove(Key { index, generation })
    }

    /// Takes the entry out, unless the key is stale.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get_mut(key.index as usize).filter(|e| e.generation == key.generation)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1).max(1);
        self.free.push(key.index);
        Some(value)
    }

    /// Iterates over the entries in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries.iter().zip(0u32..).filter_map(|(entry, index)| {
            entry.value.as_ref().map(|value| (Key { index, generation: entry.generation }, value))
        })
    }

    /// Iterates over the entries for change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.entries.iter_mut().zip(0u32..).filter_map(|(entry, index)| {
            let generation = entry.generation;
            entry.value.as_mut().map(|value| (Key { index, generation }, value))
        })
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        let second = slab.insert("b");
        assert_eq!(first.index(), second.index(), "the place is used again");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(Key::from_bits(second.to_bits())), Some(&"b"));
        assert_eq!(slab.len(), 1);
    }
}
