//! Step 5, store: a row in a tier, and what is known about it.

use super::{KeyBytes, NONE};
use crate::types::Timestamp;

/// Where the bytes of the value are counted. What is longer than this counts as this long.
const LEN: u32 = (1 << 28) - 1;

/// Something that is so for a slot or not.
#[derive(Clone, Copy)]
pub(super) struct Flag(u32);

/// The slot is in use.
pub(super) const LIVE: Flag = Flag(1 << 28);
/// Its row differs from the engine and what is on its way to it.
pub(super) const TOUCHED: Flag = Flag(1 << 29);
/// Its row is on its way to the engine.
pub(super) const FLUSHING: Flag = Flag(1 << 30);
/// Somebody asked for it since the clock's hand was here.
pub(super) const USED: Flag = Flag(1 << 31);

/// A row and what is known about it. A cache line, if the value is as large as a string and a number.
pub(in super::super) struct Slot<V> {
    /// The row; `None` is known to be absent.
    pub(in super::super) row: Option<(V, Timestamp)>,
    key: KeyBytes,
    /// The entry of the record cache that holds the last update back, or [`NONE`].
    pub(in super::super) cached: u32,
    /// Four flags, and the bytes of the serialized value.
    marks: u32,
}

impl<V> Slot<V> {
    /// A clean slot in use. `len`: bytes of the serialized value.
    pub(super) fn new(key: &[u8], row: Option<(V, Timestamp)>, len: usize) -> Self {
        let mut slot = Self { row, key: KeyBytes::new(key), cached: NONE, marks: LIVE.0 | USED.0 };
        slot.set_len(len);
        slot
    }

    /// Serialized key.
    #[inline]
    pub(in super::super) fn key(&self) -> &[u8] {
        self.key.as_slice()
    }

    #[inline]
    pub(super) fn is(&self, flag: Flag) -> bool {
        self.marks & flag.0 != 0
    }

    #[inline]
    pub(super) fn set(&mut self, flag: Flag) {
        self.marks |= flag.0;
    }

    /// Returns whether it was set.
    #[inline]
    pub(super) fn clear(&mut self, flag: Flag) -> bool {
        let was = self.is(flag);
        self.marks &= !flag.0;
        was
    }

    /// Whether the engine has the row as it is.
    #[inline]
    pub(super) fn is_clean(&self) -> bool {
        self.marks & (TOUCHED.0 | FLUSHING.0) == 0
    }

    /// Whether it may be forgotten: in use, clean, and the cache does not hold it.
    #[inline]
    pub(super) fn may_go(&self) -> bool {
        self.is(LIVE) && self.is_clean() && self.cached == NONE
    }

    /// Bytes of the serialized value.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.marks & LEN
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.marks = (self.marks & !LEN) | limited(len);
    }

    /// Whether the value is `len` bytes long, as far as is known.
    #[inline]
    pub(super) fn has_len(&self, len: usize) -> bool {
        self.len() == limited(len)
    }

    /// What it has beside itself.
    pub(super) fn heap_bytes(&self) -> u64 {
        let value = if std::mem::needs_drop::<V>() { u64::from(self.len()) } else { 0 };
        self.key.heap_bytes() + value
    }

    /// Bytes of the row in a run.
    pub(super) fn run_bytes(&self) -> u64 {
        self.key().len() as u64 + u64::from(self.len()) + 8
    }

    /// Takes it out of use, and gives back what it has beside itself.
    pub(super) fn free(&mut self) {
        self.row = None;
        self.key = KeyBytes::default();
        self.marks &= LEN | USED.0;
    }
}

fn limited(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(LEN).min(LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_small() {
        assert_eq!(size_of::<Slot<(u64, String)>>(), 64);
        assert_eq!(size_of::<Slot<i64>>(), 48);
    }

    #[test]
    fn flags_and_length_do_not_touch_each_other() {
        let mut slot = Slot::new(b"key", Some((1_i64, 2)), 300);
        assert!(slot.is(LIVE) && slot.is(USED) && slot.is_clean() && slot.may_go());
        for (number, flag) in [LIVE, TOUCHED, FLUSHING, USED].into_iter().enumerate() {
            slot.set(flag);
            slot.set_len(number + (5 << 30));
            assert!(slot.is(flag) && slot.len() == LEN && slot.has_len(1 << 40));
            slot.set_len(number);
            assert!(slot.has_len(number) && slot.clear(flag) && !slot.clear(flag));
            assert_eq!(slot.len() as usize, number);
        }
        assert!(slot.is_clean() && !slot.may_go());
        slot.set(FLUSHING);
        assert!(!slot.is_clean());
    }
}
