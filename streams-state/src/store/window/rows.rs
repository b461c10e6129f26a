//! The rows of one key in one segment: a vector in the order (start, sequence), one row without an allocation.
//!
//! A tumbling window whose size is near the segment interval has one row a key and segment: it lies in the slot.

use crate::store::tier::NONE;
use crate::types::Timestamp;

/// A row and what is known about it.
pub(super) struct Row<V> {
    pub(super) start: Timestamp,
    pub(super) sequence: u32,
    /// The entry of the record cache that holds the last update back, or [`NONE`].
    pub(super) cached: u32,
    /// Bytes of the serialized value, as far as known.
    pub(super) len: u32,
    /// The row differs from the engine.
    pub(super) touched: bool,
    /// Value and timestamp; `None` is known to be absent.
    pub(super) value: Option<(V, Timestamp)>,
}

impl<V> Row<V> {
    pub(super) fn new(start: Timestamp, sequence: u32, value: Option<(V, Timestamp)>, len: usize) -> Self {
        Self { start, sequence, cached: NONE, len: len as u32, touched: false, value }
    }

    fn place(&self) -> (Timestamp, u32) {
        (self.start, self.sequence)
    }
}

/// The rows, in order of (start, sequence), each place once.
pub(super) enum Rows<V> {
    One(Row<V>),
    Many(Vec<Row<V>>),
}

impl<V> Rows<V> {
    pub(super) fn none() -> Self {
        Self::Many(Vec::new())
    }

    #[inline]
    pub(super) fn as_slice(&self) -> &[Row<V>] {
        match self {
            Self::One(row) => std::slice::from_ref(row),
            Self::Many(rows) => rows,
        }
    }

    #[inline]
    pub(super) fn as_mut_slice(&mut self) -> &mut [Row<V>] {
        match self {
            Self::One(row) => std::slice::from_mut(row),
            Self::Many(rows) => rows,
        }
    }

    /// Where the row is, or where it would be. The end is looked at first: time mostly goes forward.
    #[inline]
    pub(super) fn find(&self, start: Timestamp, sequence: u32) -> Result<usize, usize> {
        let rows = self.as_slice();
        match rows.last() {
            None => Err(0),
            Some(last) if last.place() < (start, sequence) => Err(rows.len()),
            Some(last) if last.place() == (start, sequence) => Ok(rows.len() - 1),
            Some(_) => rows.binary_search_by_key(&(start, sequence), Row::place),
        }
    }

    /// The rows that start in `from..=to`.
    pub(super) fn between(&self, from: Timestamp, to: Timestamp) -> &[Row<V>] {
        let rows = self.as_slice();
        let low = rows.partition_point(|row| row.start < from);
        let len = rows[low..].partition_point(|row| row.start <= to);
        &rows[low..low + len]
    }

    /// Inserts `row` at `index`, which [`find`](Self::find) gave.
    pub(super) fn insert(&mut self, index: usize, row: Row<V>) {
        match std::mem::replace(self, Self::none()) {
            Self::Many(rows) if rows.is_empty() => *self = Self::One(row),
            Self::Many(mut rows) => {
                rows.insert(index, row);
                *self = Self::Many(rows);
            }
            Self::One(first) => {
                let mut rows = Vec::with_capacity(4);
                rows.push(first);
                rows.insert(index, row);
                *self = Self::Many(rows);
            }
        }
    }

    /// Keeps the rows for which `keep` is true.
    pub(super) fn retain(&mut self, keep: impl Fn(&Row<V>) -> bool) {
        match self {
            Self::One(row) if keep(row) => {}
            Self::One(_) => *self = Self::none(),
            Self::Many(rows) => rows.retain(keep),
        }
    }

    /// Bytes on the heap for the rows themselves.
    pub(super) fn heap_bytes(&self) -> u64 {
        match self {
            Self::One(_) => 0,
            Self::Many(rows) => (rows.capacity() * size_of::<Row<V>>()) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_in_order_of_start_and_sequence() {
        let mut rows: Rows<i64> = Rows::none();
        for (start, sequence) in [(5, 0), (3, 2), (9, 1), (3, 1), (5, 7)] {
            let index = rows.find(start, sequence).unwrap_err();
            rows.insert(index, Row::new(start, sequence, Some((1, 1)), 8));
            assert!(rows.find(start, sequence).is_ok());
        }
        let places: Vec<_> = rows.as_slice().iter().map(Row::place).collect();
        assert_eq!(places, [(3, 1), (3, 2), (5, 0), (5, 7), (9, 1)]);
        let between = |from, to| rows.between(from, to).iter().map(Row::place).collect::<Vec<_>>();
        assert_eq!(between(4, 8), [(5, 0), (5, 7)]);
        assert_eq!(between(9, 3), []);
        rows.retain(|row| row.start == 9);
        assert_eq!(rows.as_slice().len(), 1);
    }
}
