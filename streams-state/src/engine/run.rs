//! Step 5, store: rows on their way into an engine, in one buffer. Knows bytes only, so it can leave the thread of its store:
//! what fills it need not sort it.
//!
//! ```text
//! bytes:    | key | value | key | key | value | ...
//! entries:  (start, length of the key, length of the value or "deleted")
//! ```

use super::RunEntry;

/// Length of a value that is none: the row is deleted.
const DELETED: u32 = u32::MAX;

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
        self.entries.push(Entry { start, key: (value_from - start) as u32, value });
        Ok(())
    }

    /// Appends a row.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let len = value.map_or(DELETED, |value| value.len() as u32);
        self.entries.push(Entry { start, key: key.len() as u32, value: len });
    }

    /// Sorts by key; rows of one key stay in the order in which they were pushed. An engine takes each key once in a run:
    /// see [`keep_last`](Self::keep_last).
    pub fn sort(&mut self) {
        let Self { bytes, entries } = self;
        let key = |entry: &Entry| &bytes[entry.start..entry.start + entry.key as usize];
        let common = match entries.split_first() {
            Some((first, rest)) => rest.iter().fold(key(first).len(), |common, entry| {
                let pairs = key(first)[..common].iter().zip(key(entry));
                pairs.take_while(|(left, right)| left == right).count()
            }),
            None => return,
        };
        let number = |entry: &Entry| {
            let mut number = [0; 8];
            let tail = &key(entry)[common..];
            let len = tail.len().min(8);
            number[..len].copy_from_slice(&tail[..len]);
            u64::from_be_bytes(number)
        };
        let mut order: Vec<(u64, Entry)> = entries.iter().map(|entry| (number(entry), *entry)).collect();
        order.sort_unstable_by(|left, right| {
            left.0.cmp(&right.0).then_with(|| {
                let keys = key(&left.1)[common..].cmp(&key(&right.1)[common..]);
                keys.then(left.1.start.cmp(&right.1.start))
            })
        });
        entries.clear();
        entries.extend(order.into_iter().map(|(_, entry)| entry));
    }

    /// Keeps the last row of each key of a sorted run. The bytes of the others stay until [`compact`](Self::compact).
    pub fn keep_last(&mut self) {
        let Self { bytes, entries } = self;
        let key = |entry: &Entry| &bytes[entry.start..entry.start + entry.key as usize];
        entries.dedup_by(|later, kept| {
            let same = key(later) == key(kept);
            if same {
                *kept = *later;
            }
            same
        });
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
        self.entries.iter().map(|entry| {
            let value_from = entry.start + entry.key as usize;
            let value =
                (entry.value != DELETED).then(|| &self.bytes[value_from..value_from + entry.value as usize]);
            (&self.bytes[entry.start..value_from], value)
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory in use.
    pub fn memory_bytes(&self) -> u64 {
        (self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{Just, Strategy, any, prop_assert_eq};

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
