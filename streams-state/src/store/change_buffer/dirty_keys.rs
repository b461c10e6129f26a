//! Keys that the changelog does not know yet, and the order in which a commit writes them: that of Java's
//! `HashSet`, because a changelog is to be the same record by record.
//!
//! ```text
//! bucket = (hash ^ hash >>> 16) & (buckets - 1)     16 buckets, doubled when 3/4 full, never fewer again
//! ```
//! Within a bucket keys are in the order in which they came. (Java turns a bucket of more than 8 keys into a tree, and
//! may then list it otherwise: with its hash that takes keys made for it.)

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::super::key_bytes::KeyBytes;

const BUCKETS_MIN: usize = 16;

/// A set of keys.
pub(super) struct DirtyKeys {
    known: HashSet<KeyBytes, RandomState>,
    order: Vec<KeyBytes>,
    buckets: usize,
}

impl DirtyKeys {
    pub(super) fn new() -> Self {
        Self { known: HashSet::default(), order: Vec::new(), buckets: BUCKETS_MIN }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Adds `key` unless it is there.
    pub(super) fn add(&mut self, key: &[u8]) {
        if self.known.contains(key) {
            return;
        }
        let key = KeyBytes::new(key);
        self.known.insert(key.clone());
        self.order.push(key);
        while self.order.len() > self.buckets / 4 * 3 {
            self.buckets *= 2;
        }
    }

    /// Takes all keys, in the order of Java's set.
    pub(super) fn take(&mut self) -> Vec<KeyBytes> {
        self.known.clear();
        let mut keys = std::mem::take(&mut self.order);
        let mask = self.buckets - 1;
        keys.sort_by_cached_key(|key| bucket_hash(key.as_slice()) as usize & mask);
        keys
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.order.clear();
    }
}

/// `Arrays.hashCode(byte[])`, spread as `HashMap` does.
fn bucket_hash(key: &[u8]) -> u32 {
    let hash =
        key.iter().fold(1_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(*byte as i8)));
    (hash ^ ((hash as u32) >> 16) as i32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keys_as_java_does() {
        // Arrays.hashCode of "a" is 31 + 97 = 128, bucket 0; of "b" 129, bucket 1; of [0xff] 30, bucket 14.
        let mut keys = DirtyKeys::new();
        for key in [&b"b"[..], b"a", b"\xff", b"b"] {
            keys.add(key);
        }
        let order = |keys: &mut DirtyKeys| -> Vec<Vec<u8>> {
            keys.take().iter().map(|key| key.as_slice().to_vec()).collect()
        };
        assert_eq!(order(&mut keys), [b"a", b"b", b"\xff"]);
        assert!(keys.is_empty());
        for byte in 0..13_u8 {
            keys.add(&[byte]);
        }
        assert_eq!((keys.len(), keys.buckets), (13, 32));
        // Hashes 31 to 43: with 32 buckets the first is last.
        assert_eq!(
            order(&mut keys).iter().map(|key| key[0]).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0]
        );
        keys.add(&[0]);
        keys.add(&[1]);
        assert_eq!(order(&mut keys), [[1], [0]]);
    }
}
