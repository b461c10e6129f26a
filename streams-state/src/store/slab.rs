//! Step 5, store: where the slots of a store lie. A list that grows without moving what is in it: a vector that doubles would need
//! three times the memory for a moment, and leave holes behind.

use std::ops::{Index, IndexMut};

/// Slots of a chunk: a power of two.
pub(super) const CHUNK: usize = 512;

/// Slots by number, in chunks of [`CHUNK`].
pub(super) struct Slab<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Number of slots.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Puts `slot` at `index`, where there is one, or right behind all that there are.
    #[inline]
    pub(super) fn put(&mut self, index: usize, slot: T) {
        debug_assert!(index <= self.len(), "slots have no gaps");
        match self.chunks.get_mut(index / CHUNK) {
            Some(chunk) => match chunk.get_mut(index % CHUNK) {
                Some(free) => *free = slot,
                None => chunk.push(slot),
            },
            None => {
                // The first chunk grows as a vector does: many stores are small.
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 4 } else { CHUNK });
                chunk.push(slot);
                self.chunks.push(chunk);
            }
        }
    }

    /// Changes the places of two slots.
    pub(super) fn swap(&mut self, one: usize, other: usize) {
        let (low, high) = (one.min(other), one.max(other));
        let (before, from) = self.chunks.split_at_mut(high / CHUNK);
        match before.get_mut(low / CHUNK) {
            Some(chunk) => std::mem::swap(&mut chunk[low % CHUNK], &mut from[0][high % CHUNK]),
            None => from[0].swap(low % CHUNK, high % CHUNK),
        }
    }

    /// Keeps the first `chunks` chunks only, and gives back the memory of the others.
    pub(super) fn keep_chunks(&mut self, chunks: usize) {
        self.chunks.truncate(chunks);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten()
    }
}

impl<T> Index<usize> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T> IndexMut<usize> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index / CHUNK][index % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_vector_that_does_not_move() {
        let mut slab = Slab::new();
        for number in 0..3 * CHUNK + 7 {
            assert_eq!(slab.len(), number);
            slab.put(number, number);
        }
        let first = &raw const slab[CHUNK];
        slab.put(5, 500);
        slab.put(slab.len(), 1);
        assert_eq!((slab[5], slab[CHUNK], slab.len()), (500, CHUNK, 3 * CHUNK + 8));
        assert_eq!(first, &raw const slab[CHUNK]);
        slab.swap(CHUNK + 3, 2);
        slab.swap(2, 1);
        slab.swap(7, 7);
        assert_eq!((slab[1], slab[2], slab[7], slab[CHUNK + 3]), (CHUNK + 3, 1, 7, 2));
        slab[CHUNK] = 9;
        slab.iter_mut().for_each(|number| *number += 1);
        assert_eq!((slab[CHUNK], slab.iter().count()), (10, slab.len()));
        slab.keep_chunks(2);
        assert_eq!((slab.len(), slab[CHUNK]), (2 * CHUNK, 10));
        slab.put(slab.len(), 1);
        assert_eq!(slab.len(), 2 * CHUNK + 1);
    }
}
