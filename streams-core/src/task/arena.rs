//! Bytes of waiting records: first in, first out, in blocks that are used again.

use std::collections::VecDeque;

/// Size of a block; a larger record gets a block of its own size.
const BLOCK_BYTES: usize = 64 * 1024;
/// Empty blocks that are kept for later.
const SPARE_BLOCKS_MAX: usize = 4;

#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    /// Pieces that were put in and not released.
    live: usize,
}

/// A queue of byte pieces. The oldest piece is always in the first block.
#[derive(Debug, Default)]
pub(super) struct Arena {
    blocks: VecDeque<Block>,
    spare: Vec<Vec<u8>>,
}

impl Arena {
    /// Copies `key` and then `value` to the end, as one piece. Returns where it starts in its block.
    #[inline]
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> usize {
        let needed = key.len() + value.len();
        let fits = |block: &Block| block.bytes.capacity() - block.bytes.len() >= needed;
        if !self.blocks.back().is_some_and(fits) {
            self.add_block(needed);
        }
        let Some(block) = self.blocks.back_mut() else {
            unreachable!("a block was added just now");
        };
        let start = block.bytes.len();
        block.bytes.extend_from_slice(key);
        block.bytes.extend_from_slice(value);
        block.live += 1;
        start
    }

    /// The bytes of the first block, in which the oldest piece lies.
    #[inline]
    pub(super) fn front(&self) -> &[u8] {
        self.blocks.front().map_or(&[], |block| &block.bytes)
    }

    /// How many of the oldest pieces lie in the first block.
    pub(super) fn in_front(&self) -> usize {
        self.blocks.front().map_or(0, |block| block.live)
    }

    /// Gives up the oldest piece.
    #[inline]
    pub(super) fn release(&mut self) {
        if let Some(block) = self.blocks.front_mut() {
            block.live -= 1;
            if block.live == 0 {
                self.retire_block();
            }
        }
    }

    #[cold]
    fn add_block(&mut self, needed: usize) {
        let bytes = match self.spare.pop() {
            Some(spare) if spare.capacity() >= needed => spare,
            _ => Vec::with_capacity(needed.max(BLOCK_BYTES)),
        };
        // The last one that was emptied was kept for pieces that fit; it must not stay before one that does not.
        if self.blocks.front().is_some_and(|first| first.live == 0) {
            self.retire_first();
        }
        self.blocks.push_back(Block { bytes, live: 0 });
    }

    /// The first block is empty: it is used again at once if it is the only one.
    fn retire_block(&mut self) {
        if self.blocks.len() == 1 {
            if let Some(block) = self.blocks.front_mut() {
                block.bytes.clear();
            }
        } else {
            self.retire_first();
        }
    }

    fn retire_first(&mut self) {
        if let Some(Block { mut bytes, .. }) = self.blocks.pop_front()
            && self.spare.len() < SPARE_BLOCKS_MAX
        {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_leave_in_order_and_blocks_are_used_again() {
        let mut arena = Arena::default();
        let value = vec![7; 40_000];
        let starts: Vec<usize> = (0_u8..5).map(|key| arena.push(&[key], &value)).collect();
        assert_eq!(arena.blocks.len(), 5);
        for (key, start) in (0_u8..5).zip(starts) {
            assert_eq!(arena.front()[start], key);
            arena.release();
        }
        assert_eq!((arena.blocks.len(), arena.spare.len()), (1, 4));
        assert_eq!(arena.push(b"", b""), 0);
    }

    /// Regression: the block that small pieces had left stayed the first one. So a record of more than 64 KiB behind them, and all that came
    /// after it, was read as null.
    #[test]
    fn a_large_piece_after_small_ones_is_the_first() {
        let mut arena = Arena::default();
        arena.push(b"small", b"");
        arena.release();
        let large = vec![7; BLOCK_BYTES + 1];
        let start = arena.push(b"k", &large);
        assert!(arena.front()[start..] == [b"k", &large[..]].concat(), "it is read as it was written");
        arena.release();
        assert_eq!(arena.push(b"", b"next"), 0);
        assert_eq!(arena.front(), b"next");
    }

    #[test]
    fn a_large_piece_gets_a_block_of_its_size() {
        let mut arena = Arena::default();
        arena.push(b"a", &vec![0; BLOCK_BYTES * 3]);
        arena.release();
        assert_eq!(arena.push(b"bc", b"d"), 0);
        assert_eq!(arena.front(), b"bcd");
    }
}
