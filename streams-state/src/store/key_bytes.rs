//! The serialized key of a slot: inside the slot while it is short, on the heap else.
//!
//! ```text
//! 16 bytes:  | tag | len | 14 bytes of key |      up to 14 bytes
//!            | tag | pad | pointer         |      longer: | length | capacity | key |
//! ```

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use thin_vec::ThinVec;

/// Keys up to this many bytes need no allocation.
const INLINE_MAX: usize = 14;

/// Bytes of one key, ordered as bytes.
#[derive(Clone)]
pub(super) enum KeyBytes {
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
    Heap(ThinVec<u8>),
}

impl KeyBytes {
    pub(super) fn new(key: &[u8]) -> Self {
        let mut bytes = [0; INLINE_MAX];
        match bytes.get_mut(..key.len()) {
            Some(start) => {
                start.copy_from_slice(key);
                Self::Inline { len: key.len() as u8, bytes }
            }
            None => {
                let mut bytes = ThinVec::with_capacity(key.len());
                bytes.extend_from_slice(key);
                Self::Heap(bytes)
            }
        }
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Self::Heap(bytes) => bytes,
        }
    }

    /// Bytes on the heap, the allocator's own share estimated.
    pub(super) fn heap_bytes(&self) -> u64 {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap(bytes) => bytes.len() as u64 + 24,
        }
    }
}

impl Default for KeyBytes {
    fn default() -> Self {
        Self::Inline { len: 0, bytes: [0; INLINE_MAX] }
    }
}

impl Borrow<[u8]> for KeyBytes {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for KeyBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for KeyBytes {}

impl Hash for KeyBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl Ord for KeyBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::KeyBytes;

    #[test]
    fn keeps_short_keys_inside_and_long_keys_outside() {
        assert_eq!(size_of::<KeyBytes>(), 16);
        for len in [0, 1, 13, 14, 15, 36, 300] {
            let key: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let bytes = KeyBytes::new(&key);
            assert_eq!(bytes.as_slice(), key);
            assert_eq!(bytes.heap_bytes() == 0, len <= 14);
        }
        assert!(KeyBytes::new(b"a") < KeyBytes::new(b"aa"));
        assert!(KeyBytes::new(b"\x7f") < KeyBytes::new(b"\x80"));
    }
}
