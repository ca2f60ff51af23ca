//! Names of entries that end: a key whose entry has ended never names a later one.

use std::fmt;

/// A key of one entry: its place, and how often that place was freed before. A stale key finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Names the entry at the place `index` in the life `generation` of that place, from 1.
    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// Returns how often the place was freed before, plus one.
    pub(super) const fn generation(self) -> u32 {
        self.generation
    }

    /// Packs the key into 64 bits, never zero, so that an atomic can hold it with zero for "none".
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

    /// Returns the place, for dense side tables.
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
