//! Step 5, store: rows on their way into an engine, in one buffer. Knows bytes only, so it can leave the thread of its store:
//! what fills it need not sort it.
//!
//! ```text
//! bytes:    | key | value | key | key | value | ...
//! entries:  (start, length of the key, length of the value or "deleted")
//! ```

use super::RunEntry;
use crate::fetch::fetch;

/// Length of a value that is none: the row is deleted.
const DELETED: u32 = u32::MAX;

/// Rows whose bytes are asked for together.
const AHEAD: usize = 32;
/// Bytes of each, at most.
const TOUCHED: usize = 512;
const CACHE_LINE: usize = 64;

/// Where a row is in the buffer.
#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    key: u32,
    value: u32,
}

/// Rows for an engine: keys, each with a value or deleted.
#[derive(Debug, Clone, Default)]
pub struct Run {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Run {
    /// An empty run with room for `rows` rows of `bytes` bytes in all.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), entries: Vec::with_capacity(rows) }
    }

    /// Appends a row: `key` appends the key to the buffer; `value` the value, or returns `false` for a deletion, and then what it
    /// appended does not count. After an error the run is as before.
    pub fn push_with<E>(
        &mut self,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let value_from = self.bytes.len();
        let present = value(&mut self.bytes).inspect_err(|_| self.bytes.truncate(start))?;
        if !present {
            self.bytes.truncate(value_from);
        }
        let value = if present { (self.bytes.len() - value_from) as u32 } else { DELETED };
        self.add(Entry { start, key: (value_from - start) as u32, value });
        Ok(())
    }

    /// Appends a row.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let len = value.map_or(DELETED, |value| value.len() as u32);
        self.add(Entry { start, key: key.len() as u32, value: len });
    }

    /// Appends an entry. Rows differ in where they start, which is their order, also those without bytes.
    fn add(&mut self, entry: Entry) {
        if self.bytes.len() == entry.start {
            self.bytes.push(0);
        }
        self.entries.push(entry);
    }

    /// Sorts by key; rows of one key stay in the order in which they were pushed. An engine takes each key once in a run: see
    /// [`sort_last`](Self::sort_last).
    pub fn sort(&mut self) {
        self.entries = self.sorted().into_iter().map(|(_, entry)| entry).collect();
    }

    /// Sorts by key and keeps the last row of each. The bytes of the others stay until [`compact`](Self::compact).
    pub fn sort_last(&mut self) {
        let mut order = self.sorted();
        // Most keys differ in the number, so that their bytes, which lie anywhere, need not be looked at.
        order.dedup_by(|later, kept| {
            let same = later.0 == kept.0 && self.key(&later.1) == self.key(&kept.1);
            if same {
                *kept = *later;
            }
            same
        });
        self.entries.clear();
        self.entries.extend(order.into_iter().map(|(_, entry)| entry));
    }

    fn key(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start..entry.start + entry.key as usize]
    }

    /// The entries sorted by key and place, each with a number: that of the first bytes in which keys may differ.
    fn sorted(&self) -> Vec<(u64, Entry)> {
        let Some((first, rest)) = self.entries.split_first() else { return Vec::new() };
        let common = rest.iter().fold(self.key(first).len(), |common, entry| {
            let pairs = self.key(first)[..common].iter().zip(self.key(entry));
            pairs.take_while(|(left, right)| left == right).count()
        });
        let number = |entry: &Entry| {
            let mut number = [0; 8];
            let tail = &self.key(entry)[common..];
            let len = tail.len().min(8);
            number[..len].copy_from_slice(&tail[..len]);
            u64::from_be_bytes(number)
        };
        let mut order: Vec<(u64, Entry)> = self.entries.iter().map(|entry| (number(entry), *entry)).collect();
        order.sort_unstable_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| {
                let keys = self.key(&left.1)[common..].cmp(&self.key(&right.1)[common..]);
                keys.then(left.1.start.cmp(&right.1.start))
            })
        });
        order
    }

    /// Puts a row before all others.
    pub fn push_first(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.push(key, value);
        self.entries.rotate_right(1);
    }

    /// Keeps the rows whose key is `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(&[u8]) -> bool) {
        let Self { bytes, entries } = self;
        entries.retain(|entry| wanted(&bytes[entry.start..entry.start + entry.key as usize]));
    }

    /// Gives up the bytes of rows that are not there any more.
    pub fn compact(&mut self) {
        let mut compact = Self::with_capacity(self.entries.len(), self.live_bytes());
        self.iter().for_each(|(key, value)| compact.push(key, value));
        *self = compact;
    }

    /// Bytes of the keys and values of all rows.
    pub fn live_bytes(&self) -> usize {
        let len = |entry: &Entry| {
            entry.key as usize + if entry.value == DELETED { 0 } else { entry.value as usize }
        };
        self.entries.iter().map(len).sum()
    }

    /// Bytes that were pushed, whether their rows are still there or not, and what a sort of the rows needs.
    pub fn used_bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * (2 * size_of::<Entry>() + size_of::<u64>())
    }

    /// Forgets all rows, and keeps the room that they had.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// The rows, in the order in which they were pushed or sorted.
    pub fn iter(&self) -> impl Iterator<Item = RunEntry<'_>> {
        self.entries.chunks(AHEAD).flat_map(|chunk| {
            self.touch(chunk);
            chunk.iter().map(|entry| {
                let value_from = entry.start + entry.key as usize;
                let value = (entry.value != DELETED)
                    .then(|| &self.bytes[value_from..value_from + entry.value as usize]);
                (&self.bytes[entry.start..value_from], value)
            })
        })
    }

    /// Brings the bytes of `entries` near. Sorted rows lie anywhere in the buffer: asked for together the memory gives them at once,
    /// one by one between other work it lets wait for each.
    fn touch(&self, entries: &[Entry]) {
        let places = entries.iter().flat_map(|entry| {
            let value = if entry.value == DELETED { 0 } else { entry.value as usize };
            let len = (entry.key as usize + value).min(TOUCHED);
            let lines = (0..len).step_by(CACHE_LINE).map(|at| entry.start + at);
            lines.chain(len.checked_sub(1).map(|last| entry.start + last))
        });
        fetch(places.map(|at| u64::from(self.bytes[at])));
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq};

    use super::*;

    type Row = (Vec<u8>, Option<Vec<u8>>);

    /// Rows with different keys, in no order.
    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let rows = btree_map(vec(0..3_u8, 0..12), proptest::option::of(vec(any::<u8>(), 0..4)), 0..40);
        rows.prop_flat_map(|rows| Just(rows.into_iter().collect::<Vec<_>>()).prop_shuffle())
    }

    proptest::proptest! {
        /// As a sorted map, whatever the keys have in common.
        #[test]
        fn sorts_as_bytes(
            prefix in vec(0..3_u8, 0..12),
            rows in rows(),
        ) {
            let mut run = Run::default();
            for (key, value) in &rows {
                let written = run.push_with(
                    |out| {
                        out.extend_from_slice(&prefix);
                        out.extend_from_slice(key);
                    },
                    |out| {
                        out.extend_from_slice(value.as_deref().unwrap_or(b"not counted"));
                        Ok::<bool, ()>(value.is_some())
                    },
                );
                prop_assert_eq!(written, Ok(()));
            }
            run.sort();
            let mut expected: Vec<(Vec<u8>, Option<Vec<u8>>)> =
                rows.iter().map(|(key, value)| ([&prefix[..], key].concat(), value.clone())).collect();
            expected.sort();
            let found: Vec<_> = run.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(found, expected);
        }
    }

    proptest::proptest! {
        /// As a map into which all was put, with and without the bytes of what was overwritten.
        #[test]
        fn keeps_the_last_row_of_each_key(
            rows in vec((vec(0..2_u8, 0..10), proptest::option::of(vec(any::<u8>(), 0..200))), 0..80),
        ) {
            let mut run = Run::default();
            rows.iter().for_each(|(key, value)| run.push(key, value.as_deref()));
            let expected: Vec<Row> = std::collections::BTreeMap::from_iter(rows.clone()).into_iter().collect();
            run.sort_last();
            for _compact in [false, true] {
                let found: Vec<Row> =
                    run.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
                prop_assert_eq!(&found, &expected);
                run.compact();
                prop_assert!(run.bytes.len() <= run.live_bytes() + 1);
            }
        }
    }

    #[test]
    fn a_row_that_cannot_be_written_leaves_the_run_as_it_was() {
        let mut run = Run::default();
        run.push(b"a", Some(b"1"));
        let failed = run.push_with(|out| out.push(b'b'), |_| Err("no"));
        assert_eq!(failed, Err("no"));
        run.push(b"c", None);
        let rows: Vec<_> = run.iter().collect();
        assert_eq!(rows, [(&b"a"[..], Some(&b"1"[..])), (b"c", None)]);
        assert_eq!(run.len(), 2);
    }
}
