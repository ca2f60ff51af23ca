//! A vector in chunks: it grows without copying, and never holds room for twice of what it needs.
//!
//! A plain vector doubles. At a million jobs that is one stall of tens of milliseconds and half the memory unused.

use std::ops::{Index, IndexMut};

/// "No entry", where an index is expected.
pub(super) const NONE: u32 = u32::MAX;
/// Entries of a chunk, as bits.
const CHUNK_BITS: u32 = 10;
/// Entries of a chunk.
const CHUNK: usize = 1 << CHUNK_BITS;

/// Entries by position. A place is never given back to the allocator; the owner of the entries keeps a list of free ones.
#[derive(Debug, Clone)]
pub(in crate::core) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Chunks<T> {
    pub(in crate::core) const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    pub(in crate::core) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(in crate::core) fn push(&mut self, value: T) -> u32 {
        let index = self.len();
        if index.is_multiple_of(CHUNK) {
            // The first chunk grows by doubling, so that a small queue stays small.
            self.chunks.push(if index == 0 { Vec::new() } else { Vec::with_capacity(CHUNK) });
        }
        if let Some(last) = self.chunks.last_mut() {
            last.push(value);
        }
        #[allow(clippy::cast_possible_truncation, reason = "what is stored is bounded far below 2^32")]
        let index = index as u32;
        index
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.chunks.get((index >> CHUNK_BITS) as usize)?.get(index as usize % CHUNK)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

impl<T> Index<u32> for Chunks<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.chunks[(index >> CHUNK_BITS) as usize][index as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Chunks<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.chunks[(index >> CHUNK_BITS) as usize][index as usize % CHUNK]
    }
}
