//! Many records in one arena: bytes side by side, one small row each, no object per record.
//!
//! A producer fills a batch without any lock; appending it to a partition and handing it to a consumer move an `Arc`.

use streams_state::types::{Headers, Timestamp};

use crate::record::RawRecord;

/// Length that stands for a null key or value.
const NULL: u32 = u32::MAX;

/// Where a record lies in the arena: key bytes, then value bytes, from `start`.
#[derive(Clone, Copy, Debug)]
struct Row {
    timestamp: Timestamp,
    start: u32,
    key_len: u32,
    value_len: u32,
    /// Offset of the record minus the offset of the batch.
    delta: u32,
}

/// Records of one partition, in offset order. Compaction leaves gaps between the offsets.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    /// Headers of the rows that have some, by row number.
    headers: Vec<(u32, Headers)>,
}

impl Batch {
    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no record.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all keys and values.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of keys, values and headers of a record, as limits on its size count them.
    pub(super) fn record_size_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
        let of = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let headers: usize =
            headers.iter().map(|header| header.key.len() + of(header.value.as_deref())).sum();
        of(key) + of(value) + headers
    }

    /// Adds a record at the next offset. `false`: it does not fit, and nothing was added.
    pub(super) fn push(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> bool {
        let delta = self.rows.last().map_or(0, |row| row.delta + 1);
        self.push_at(delta, timestamp, key, value, headers)
    }

    /// Adds a record `delta` offsets after the first. `false`: it does not fit, and nothing was added.
    pub(super) fn push_at(
        &mut self,
        delta: u32,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> bool {
        let len = |part: Option<&[u8]>| part.map_or(Some(0), |bytes| u32::try_from(bytes.len()).ok());
        let (Ok(start), Some(key_len), Some(value_len), Ok(number)) =
            (u32::try_from(self.bytes.len()), len(key), len(value), u32::try_from(self.rows.len()))
        else {
            return false;
        };
        if start.checked_add(key_len).and_then(|sum| sum.checked_add(value_len)).is_none_or(|sum| sum == NULL)
        {
            return false;
        }
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let key_len = if key.is_some() { key_len } else { NULL };
        let value_len = if value.is_some() { value_len } else { NULL };
        self.rows.push(Row { timestamp, start, key_len, value_len, delta });
        if !headers.is_empty() {
            self.headers.push((number, headers.clone()));
        }
        true
    }

    /// The records so far, in memory of exactly their size; this batch is empty afterwards and keeps its memory.
    pub(super) fn take(&mut self) -> Batch {
        let taken = Batch {
            bytes: self.bytes.as_slice().to_vec(),
            rows: self.rows.as_slice().to_vec(),
            headers: std::mem::take(&mut self.headers),
        };
        self.clear();
        taken
    }

    /// Forgets the records, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.headers.clear();
    }

    /// Number of the first row at or after `delta`.
    pub(super) fn row_at(&self, delta: i64) -> usize {
        self.rows.partition_point(|row| i64::from(row.delta) < delta)
    }

    /// Distance of the last record's offset from the batch's offset; -1 if there is none.
    pub(super) fn last_delta(&self) -> i64 {
        self.rows.last().map_or(-1, |row| i64::from(row.delta))
    }

    /// Offset of row `row` when the batch begins at `base`.
    pub(super) fn offset(&self, base: i64, row: usize) -> Option<i64> {
        self.rows.get(row).map(|row| base + i64::from(row.delta))
    }

    /// Timestamps of all records.
    pub(super) fn timestamps(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.rows.iter().map(|row| row.timestamp)
    }

    /// Whether a record has a null key.
    pub(super) fn has_null_key(&self) -> bool {
        self.rows.iter().any(|row| row.key_len == NULL)
    }

    /// The size of the largest record, headers apart.
    pub(super) fn largest_bytes(&self) -> usize {
        let len = |len: u32| if len == NULL { 0 } else { len as usize };
        self.rows.iter().map(|row| len(row.key_len) + len(row.value_len)).max().unwrap_or(0)
    }

    /// Row `row` of a batch that begins at offset `base`.
    pub(super) fn record(&self, base: i64, row: usize) -> Option<RawRecord<'_>> {
        let place = self.rows.get(row)?;
        let start = place.start as usize;
        let key_end = start + if place.key_len == NULL { 0 } else { place.key_len as usize };
        let key = if place.key_len == NULL { None } else { self.bytes.get(start..key_end) };
        let value = if place.value_len == NULL {
            None
        } else {
            self.bytes.get(key_end..key_end + place.value_len as usize)
        };
        let headers = if self.headers.is_empty() { Headers::EMPTY } else { self.headers_of(row) };
        Some(RawRecord {
            offset: base + i64::from(place.delta),
            timestamp: place.timestamp,
            key,
            value,
            headers,
        })
    }

    fn headers_of(&self, row: usize) -> Headers {
        self.headers
            .binary_search_by(|(number, _)| (*number as usize).cmp(&row))
            .ok()
            .and_then(|at| self.headers.get(at))
            .map_or(Headers::EMPTY, |(_, headers)| headers.clone())
    }
}
