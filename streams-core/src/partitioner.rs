//! Which partition a record goes to: Java's default for keyed records, murmur2 of the key bytes.
//!
//! Source of the function: Kafka's `Utils.murmur2` and `BuiltInPartitioner.partitionForKey` (internals-formats 3):
//! seed `0x9747b28c`, m `0x5bd1e995`, r 24, little-endian blocks; the sign bit is cleared before the remainder.

/// Kafka's murmur2 of `bytes`.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ bytes.len() as u32;
    let (blocks, tail) = bytes.as_chunks::<4>();
    for block in blocks {
        let mut word =
            block.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    if !tail.is_empty() {
        hash ^= tail.iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition of a keyed record in a topic of `partitions` partitions (at least one).
#[must_use]
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partitions.max(1)
}

/// The partition for records without a key, as Kafka's producer chooses it: the same until it got a batch full.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Sticky {
    partition: i32,
    bytes: u64,
}

impl Sticky {
    /// The partition for a record of `bytes`, of `partitions`.
    pub(crate) fn next(&mut self, bytes: u64, batch_size: u64, partitions: i32) -> i32 {
        let partition = self.partition % partitions.max(1);
        self.bytes += bytes;
        if self.bytes >= batch_size {
            *self = Self { partition: partition + 1, bytes: 0 };
        }
        partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn equals_kafkas_murmur2() {
        for (text, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(murmur2(b"abc"), 479_470_107);
    }
}
