//! Which keys may have a row in the engine that the tier does not have. What is certainly absent need not be looked for: a store that
//! began empty knows all rows that it ever forgot.
//!
//! ```text
//! nothing ──a row is evicted──► these keys: a Bloom filter of their hashes ──too many──► any key
//! ```
//! The filter is one of blocks (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters"): a key sets 6 bits in one
//! block of 64 bytes, so a look costs one line of memory. With 10 bits a key about one in a hundred absent keys is looked for in vain.
//! It grows by layers, each eight times as large as the one before, and each adds its errors.

use crate::fetch::fetch;

/// Words of a block.
const BLOCK: usize = 8;
/// Bits that a key sets.
const BITS: u32 = 6;
/// Keys of a block: 10 bits for each.
const KEYS_OF_BLOCK: usize = 51;
/// Blocks of the first layer, which is always there.
const FIRST_BLOCKS: usize = 2;

/// Keys by what is known of them.
pub(super) enum Elsewhere {
    /// No key has a row elsewhere.
    Nothing,
    /// Only these.
    Some(KeyFilter),
    /// Any may.
    Anything,
}

impl Elsewhere {
    /// Whether the key of `hash` may have a row elsewhere.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        match self {
            Self::Nothing => false,
            Self::Some(keys) => keys.may_have(hash),
            Self::Anything => true,
        }
    }

    /// Reads a line for each hash, so that all of them come from memory at the same time.
    pub(super) fn fetch(&self, hashes: &[u64]) {
        if let Self::Some(KeyFilter { layers, .. }) = self
            && let Some(layer) = layers.last()
        {
            fetch(hashes.iter().map(|hash| layer[place(mixed(*hash), layer.len())][0]));
        }
    }

    /// The key of `hash` has. Remembers it in up to `bytes_max`, or 128 bytes.
    pub(super) fn add(&mut self, hash: u64, bytes_max: u64) {
        if let Self::Nothing = self {
            *self = Self::Some(KeyFilter::default());
        }
        if let Self::Some(keys) = self {
            keys.add(hash);
            if keys.layers.len() > 1 && keys.memory_bytes() > bytes_max {
                *self = Self::Anything;
            }
        }
    }

    /// Bytes of memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        match self {
            Self::Some(keys) => keys.memory_bytes(),
            Self::Nothing | Self::Anything => 0,
        }
    }
}

/// A set of keys that may say yes for one that it does not have.
#[derive(Default)]
pub(super) struct KeyFilter {
    layers: Vec<Vec<[u64; BLOCK]>>,
    /// Keys that the last layer has room for.
    room: usize,
}

impl KeyFilter {
    fn may_have(&self, hash: u64) -> bool {
        let hash = mixed(hash);
        // Most keys are in the largest, the last.
        self.layers.iter().rev().any(|layer| {
            let block = &layer[place(hash, layer.len())];
            // Of an absent key one of the first bits is seldom there.
            bits(hash).all(|(word, bit)| block[word] & bit != 0)
        })
    }

    fn add(&mut self, hash: u64) {
        if self.may_have(hash) {
            return;
        }
        if self.room == 0 {
            let blocks = self.layers.last().map_or(FIRST_BLOCKS, |last| 8 * last.len());
            self.layers.push(vec![[0; BLOCK]; blocks]);
            self.room = blocks * KEYS_OF_BLOCK;
        }
        self.room -= 1;
        if let Some(layer) = self.layers.last_mut() {
            let hash = mixed(hash);
            let at = place(hash, layer.len());
            bits(hash).for_each(|(word, bit)| layer[at][word] |= bit);
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| (layer.len() * size_of::<[u64; BLOCK]>()) as u64).sum()
    }
}

/// Bits of a hash that say the same, each from all others. Some seeds of foldhash's fast variant leave the upper bits of the hashes of
/// similar keys close together: one seed in a hundred filled a few blocks only.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

/// The block of a key among `blocks`: by the upper half of its mixed hash.
fn place(hash: u64, blocks: usize) -> usize {
    (((hash >> 32) * blocks as u64) >> 32) as usize
}

/// The bits that a key sets in its block, each with its word: 9 bits for each, of its mixed hash that is mixed again, since blocks took the
/// upper half.
fn bits(hash: u64) -> impl Iterator<Item = (usize, u64)> {
    let hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = hash ^ (hash >> 32);
    (0..BITS).map(move |bit| mixed >> (9 * bit)).map(|rest| ((rest >> 6) as usize % BLOCK, 1 << (rest % 64)))
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, Hasher};
    use std::sync::LazyLock;

    use foldhash::SharedSeed;
    use foldhash::fast::{RandomState, SeedableRandomState};

    use super::*;

    fn hashes(from: u32, count: u32, hasher: &impl BuildHasher) -> impl Iterator<Item = u64> {
        (from..from + count).map(|number| {
            let mut state = hasher.build_hasher();
            state.write(format!("key {number}").as_bytes());
            state.finish()
        })
    }

    #[test]
    fn has_what_was_added_and_little_else() {
        let hasher = RandomState::default();
        let mut keys = Elsewhere::Nothing;
        assert!(hashes(0, 100, &hasher).all(|hash| !keys.may_have(hash)));
        for count in [1_u32, 1_000, 100_000] {
            hashes(0, count, &hasher).for_each(|hash| keys.add(hash, u64::MAX));
            assert!(hashes(0, count, &hasher).all(|hash| keys.may_have(hash)), "each that was added");
            let wrong = hashes(1_000_000, 100_000, &hasher).filter(|hash| keys.may_have(*hash)).count();
            assert!(wrong < 6_000, "{wrong} of 100,000 for {count} keys");
        }
        assert!(keys.memory_bytes() < 600_000, "{}", keys.memory_bytes());
    }

    /// The test above failed in one run of a hundred, by its seed: this one gave 10,041.
    #[test]
    fn a_seed_that_hashes_similar_keys_alike_is_no_worse() {
        static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(7));
        let hasher = SeedableRandomState::with_seed(0x08d1_2e6a_a561_93ab, &SHARED);
        let mut keys = Elsewhere::Nothing;
        hashes(0, 1_000, &hasher).for_each(|hash| keys.add(hash, u64::MAX));
        let wrong = hashes(1_000_000, 100_000, &hasher).filter(|hash| keys.may_have(*hash)).count();
        assert!(wrong < 3_000, "{wrong} of 100,000");
    }

    #[test]
    fn too_many_keys_are_any_key() {
        let hasher = RandomState::default();
        let mut keys = Elsewhere::Nothing;
        hashes(0, 10_000, &hasher).for_each(|hash| keys.add(hash, 8192));
        assert!(matches!(keys, Elsewhere::Anything));
        assert!(hashes(20_000, 100, &hasher).all(|hash| keys.may_have(hash)));
        assert_eq!(keys.memory_bytes(), 0);
    }
}
