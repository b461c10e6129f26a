//! Murmur3 as Kafka Streams has it: the hash of a left value, by which a foreign-key join knows stale answers.
//!
//! Takes bytes and a seed, gives [`Hash128`]; foreign-key joins use [`hash128`] with [`DEFAULT_SEED`]. The 128-bit
//! variant is the standard one for 64-bit machines. [`hash64`] and [`hash32`] are Hive's relatives of it, which
//! Kafka Streams carries as well; the tail of [`hash32`] takes bytes as signed, there as here.

use super::FormatError;
use super::reader::Reader;

/// The seed that Kafka Streams uses.
pub const DEFAULT_SEED: i32 = 104_729;

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// The two halves of a 128-bit hash. Written as `| first i64 | second i64 |`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Hash128(pub i64, pub i64);

impl Hash128 {
    /// Appends both halves.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
        out.extend_from_slice(&self.1.to_be_bytes());
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self(reader.i64("first half of the hash")?, reader.i64("second half of the hash")?))
    }
}

/// The hash of `bytes` that foreign-key joins compare.
#[must_use]
pub fn hash128(bytes: &[u8]) -> Hash128 {
    hash128_seeded(bytes, DEFAULT_SEED)
}

/// Murmur3 with 128 bits, from `seed` (taken as signed for both halves, as Java does).
#[must_use]
pub fn hash128_seeded(bytes: &[u8], seed: i32) -> Hash128 {
    let mut h1 = i64::from(seed) as u64;
    let mut h2 = h1;
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        h1 ^= mix_first(little_endian(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix_second(little_endian(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix_second(little_endian(high));
    h1 ^= mix_first(little_endian(low));
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    Hash128(h1 as i64, h2 as i64)
}

/// The 64-bit relative, with [`DEFAULT_SEED`].
#[must_use]
pub fn hash64(bytes: &[u8]) -> i64 {
    let mut hash = DEFAULT_SEED as u64;
    let (blocks, tail) = bytes.as_chunks::<8>();
    for block in blocks {
        hash ^= mix_first(little_endian(block));
        hash = hash.rotate_left(27).wrapping_mul(5).wrapping_add(0x52dc_e729);
    }
    hash ^= mix_first(little_endian(tail));
    finish(hash ^ bytes.len() as u64) as i64
}

/// The 32-bit relative, with [`DEFAULT_SEED`].
#[must_use]
pub fn hash32(bytes: &[u8]) -> i32 {
    let mix = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = DEFAULT_SEED as u32;
    let (blocks, tail) = bytes.as_chunks::<4>();
    for block in blocks {
        hash ^= mix(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let signed = |word, (index, byte): (usize, &u8)| word ^ (i32::from(*byte as i8) << (8 * index));
    hash ^= mix(tail.iter().enumerate().fold(0, signed) as u32);
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    (hash ^ hash >> 16) as i32
}

/// Up to eight bytes as a number, lowest first. None at all are 0, which the mixes leave 0.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn mix_first(word: u64) -> u64 {
    word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix_second(word: u64) -> u64 {
    word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known values of the standard 128-bit variant; the seed of Kafka Streams is checked by the golden data.
    #[test]
    fn equals_the_standard_variant() {
        assert_eq!(hash128_seeded(b"", 0), Hash128(0, 0));
        let hello = Hash128(0xcbd8_a7b3_41bd_9b02_u64 as i64, 0x5b1e_906a_48ae_1d19);
        assert_eq!(hash128_seeded(b"hello", 0), hello);
    }
}
