//! The record cache of Kafka Streams as a rule on top of the tier: which slots hold an update back, in which
//! order they go out, and what each row was at the last flush. The rows themselves stay in the tier.
//!
//! Order is that of the *last* update of each key. An update appends a mark and makes the earlier mark of its
//! key stale; stale marks are skipped, and dropped when they outnumber the entries.

use std::collections::VecDeque;

use super::slab::Slab;
use super::tier::NONE;
use crate::types::{NO_TIMESTAMP, RecordContext};

/// Marks below this number are not worth compacting.
const COMPACT_MIN: usize = 64;

/// Bytes of a cached update beside key and value: Kafka Streams counts the context and its list nodes, we the
/// entry and its mark.
const ENTRY_BYTES: u64 = 64;

/// Bytes of a serialized value of a store, about: a mean that forgets.
#[derive(Default)]
pub(super) struct MeanLen {
    /// In sixteenths of a byte.
    sixteenths: u64,
}

impl MeanLen {
    /// A value of `len` bytes was written.
    #[inline]
    pub(super) fn add(&mut self, len: usize) {
        self.sixteenths += len as u64;
        self.sixteenths -= self.sixteenths / 17;
    }

    pub(super) fn bytes(&self) -> u64 {
        self.sixteenths / 16
    }
}

/// An update that was held back.
pub(super) struct Held<V> {
    pub(super) slot: u32,
    /// Value at the last flush.
    pub(super) flushed: Option<V>,
    /// Context of the last update.
    pub(super) context: RecordContext,
}

struct Entry<V> {
    held: Held<V>,
    mark: u64,
    key_bytes: u32,
}

/// Updates held back.
pub(super) struct RecordCache<V> {
    entries: Slab<Entry<V>>,
    free: Vec<u32>,
    marks: VecDeque<u32>,
    /// Number of the mark at the front.
    first: u64,
    key_bytes: u64,
}

impl<V> RecordCache<V> {
    pub(super) fn new() -> Self {
        Self { entries: Slab::new(), free: Vec::new(), marks: VecDeque::new(), first: 0, key_bytes: 0 }
    }

    /// Number of keys that hold an update back.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Bytes of keys and bookkeeping. Values are the tier's to count.
    pub(super) fn bytes(&self) -> u64 {
        self.len() as u64 * (ENTRY_BYTES + size_of::<V>() as u64) + self.key_bytes
    }

    /// The first update of `slot` since the last flush. Returns the entry.
    pub(super) fn add(
        &mut self,
        slot: u32,
        key_len: usize,
        flushed: Option<V>,
        context: &RecordContext,
    ) -> u32 {
        let held = Held { slot, flushed, context: context.clone() };
        let entry = Entry { held, mark: self.next_mark(), key_bytes: key_len as u32 };
        self.key_bytes += u64::from(entry.key_bytes);
        let index = self.free.pop().unwrap_or(self.entries.len() as u32);
        self.entries.put(index as usize, entry);
        self.marks.push_back(index);
        index
    }

    /// Another update of the slot in `entry`: it moves to the end.
    #[inline]
    pub(super) fn again(&mut self, entry: u32, context: &RecordContext) {
        let mark = self.next_mark();
        let last = &mut self.entries[entry as usize];
        last.held.context.clone_from(context);
        if last.mark + 1 == mark {
            return;
        }
        last.mark = mark;
        self.marks.push_back(entry);
        if self.marks.len() > COMPACT_MIN.max(2 * self.len()) {
            self.compact();
        }
    }

    /// What is in `entry` is in another slot now.
    pub(super) fn moved(&mut self, entry: u32, slot: u32) {
        self.entries[entry as usize].held.slot = slot;
    }

    /// The value at the last flush of what is in `entry`.
    pub(super) fn flushed(&self, entry: u32) -> Option<&V> {
        self.entries[entry as usize].held.flushed.as_ref()
    }

    /// The slots of the entries that [`pop`](Self::pop) takes next, about.
    pub(super) fn upcoming(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().map(|index| self.entries[*index as usize].held.slot)
    }

    /// Takes the entry whose last update is the oldest.
    pub(super) fn pop(&mut self) -> Option<Held<V>> {
        while let Some(index) = self.marks.pop_front() {
            let mark = self.first;
            self.first += 1;
            let entry = &mut self.entries[index as usize];
            if entry.mark == mark && entry.held.slot != NONE {
                let gone = Held { slot: NONE, flushed: None, context: RecordContext::none(NO_TIMESTAMP) };
                self.key_bytes -= u64::from(entry.key_bytes);
                self.free.push(index);
                return Some(std::mem::replace(&mut entry.held, gone));
            }
        }
        None
    }

    fn next_mark(&self) -> u64 {
        self.first + self.marks.len() as u64
    }

    fn compact(&mut self) {
        let (entries, first) = (&mut self.entries, self.first);
        let (mut seen, mut kept) = (first, first);
        self.marks.retain(|index| {
            let entry = &mut entries[*index as usize];
            let current = entry.mark == seen && entry.held.slot != NONE;
            seen += 1;
            if current {
                entry.mark = kept;
                kept += 1;
            }
            current
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_out_in_the_order_of_last_updates() {
        let context = RecordContext::none(0);
        let mut cache: RecordCache<i64> = RecordCache::new();
        let entries: Vec<u32> = (0..10).map(|slot| cache.add(slot, 4, Some(1), &context)).collect();
        for round in 0..1000 {
            cache.again(entries[round % 7], &context);
            assert!(cache.marks.len() <= COMPACT_MIN + 1);
        }
        let order: Vec<u32> = std::iter::from_fn(|| cache.pop()).map(|held| held.slot).collect();
        assert_eq!(order, [7, 8, 9, 6, 0, 1, 2, 3, 4, 5]);
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
        let entry = cache.add(3, 4, None, &context);
        cache.again(entry, &RecordContext::none(9));
        let held = cache.pop().unwrap();
        assert_eq!((held.slot, held.context.timestamp), (3, 9));
        assert!(cache.pop().is_none());
    }
}
