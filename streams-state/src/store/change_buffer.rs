//! Step 5, store: the buffer of `suppress`: for each key the last update and the value that downstream saw last, in
//! the order of the times at which the keys were first buffered.
//!
//! In come changes with the context of their record, out go the oldest ones ([`ChangeBuffer::evict_while`]). A key
//! keeps its place when it is updated. Numbers, bytes and order are Kafka Streams', because limits on them decide
//! what is emitted when. The changelog gets one entry for each key that changed, at the commit
//! ([`StateStore::prepare_commit`]).
//!
//! ```text
//! index: key -> buffer time      rows: buffer time, key -> record context, prior, old, new, buffer time
//! ```
//!
//! With [`ChangeBufferOptions::spill`] rows that are due late are in the engine only, so that a buffer without
//! limits does not need memory without limits. What is not flushed yet is in memory in any case, so the limit
//! holds beside the budget for that.

mod dirty_keys;
mod lifecycle;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::dirty_keys::DirtyKeys;
use super::changelog_buffer::ChangelogBuffer;
use super::kept_sources::KeptSources;
use super::key_bytes::KeyBytes;
use super::ordered_rows::{OrderedRows, ROW};
use super::progress::Progress;
use super::{ChangelogRecord, StateStore, Unflushed};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::format::buffer_value::{BufferValue, VERSION, VERSION_HEADER};
use crate::format::record_context::ProcessorRecordContext;
use crate::serdes::{SerdeError, SerdeRef};
use crate::types::{Change, Headers, NO_TIMESTAMP, SourceBytes, Timestamp};

/// First byte of the engine's index rows: key -> buffer time.
const INDEX: u8 = 1;

/// The engine's row with the number of rows and their bytes.
const COUNTS: &[u8] = &[0];

/// What a row usually needs beside its values.
const ROW_CAPACITY: usize = 80;

/// How a change buffer is made.
#[derive(Debug, Clone)]
pub struct ChangeBufferOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes of memory that rows may use that the engine has, too; `None` is no limit. Over an engine that is not
    /// durable there is no limit.
    pub spill: Option<u64>,
}

/// An update that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferedChange<K, V> {
    /// Key.
    pub key: K,
    /// The last update of the key.
    pub change: Change<V>,
    /// The time at which the key was buffered first: the place in the buffer.
    pub time: Timestamp,
    /// Context of the last update.
    pub context: ProcessorRecordContext,
    /// Bytes of its source record, where they were [kept](ChangeBuffer::keep_source).
    pub source_bytes: SourceBytes,
}

/// A buffer of changes by key, in the order of time.
pub struct ChangeBuffer<K, V> {
    options: ChangeBufferOptions,
    rows: OrderedRows,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    index: HashMap<KeyBytes, Timestamp, RandomState>,
    /// What the engine says that it holds may not fit its rows if it is damaged: so neither goes over its ends.
    records: u64,
    bytes: u64,
    /// Keys that the changelog does not know yet.
    dirty: DirtyKeys,
    log: ChangelogBuffer,
    progress: Progress,
    sources: KeptSources,
    key_bytes: Vec<u8>,
    row_key: Vec<u8>,
    old_bytes: Vec<u8>,
    new_bytes: Vec<u8>,
}

impl<K: 'static, V: 'static> ChangeBuffer<K, V> {
    /// Opens a buffer over `engine`.
    pub fn new(
        options: ChangeBufferOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let progress = Progress::open(options.name.clone(), &mut *engine, Layout::ChangeBuffer)?;
        let memory_max = options.spill.unwrap_or(u64::MAX);
        let mut buffer = Self {
            rows: OrderedRows::open(engine, memory_max)?,
            sources: KeptSources::new(memory_max),
            options,
            keys,
            values,
            index: HashMap::default(),
            records: 0,
            bytes: 0,
            dirty: DirtyKeys::new(),
            log: ChangelogBuffer::default(),
            progress,
            key_bytes: Vec::new(),
            row_key: Vec::new(),
            old_bytes: Vec::new(),
            new_bytes: Vec::new(),
        };
        buffer.read_counts()?;
        buffer.settle()?;
        Ok(buffer)
    }

    /// Number of keys buffered.
    pub fn num_records(&self) -> u64 {
        self.records
    }

    /// Bytes buffered, as Kafka Streams counts them: per row 8 for the time, the key, prior, old (unless it equals
    /// prior) and new value, 20 for timestamp, offset and partition, and the characters of topic and header names,
    /// and the header values.
    pub fn buffer_size(&self) -> u64 {
        self.bytes
    }

    /// The smallest buffer time; `i64::MAX` if nothing is buffered.
    pub fn min_timestamp(&self) -> Timestamp {
        self.rows.first().map_or(Timestamp::MAX, |(key, _)| row_time(key))
    }

    /// Buffers a change of `key`. If the key is buffered already it keeps its place, whatever `time` is, and the
    /// value that downstream saw last.
    pub fn put(
        &mut self,
        time: Timestamp,
        key: &K,
        change: &Change<V>,
        context: &ProcessorRecordContext,
    ) -> Result<(), StateError> {
        self.encode_key(key)?;
        let (mut old_bytes, mut new_bytes) =
            (std::mem::take(&mut self.old_bytes), std::mem::take(&mut self.new_bytes));
        let old = self.encode_value(change.old.as_ref(), &mut old_bytes)?;
        let new = self.encode_value(change.new.as_ref(), &mut new_bytes)?;
        let key_bytes = std::mem::take(&mut self.key_bytes);
        let result = self.insert(time, &key_bytes, (old, new), context);
        (self.key_bytes, self.old_bytes, self.new_bytes) = (key_bytes, old_bytes, new_bytes);
        result?;
        self.changed()
    }

    /// The change that was just put came of this source record: in memory only, for error handlers.
    pub fn keep_source(&mut self, source: &SourceBytes) {
        self.sources.put(&self.key_bytes, source);
    }

    /// Hands over and forgets the oldest changes while `predicate` wants it, which is given the number of rows,
    /// their bytes and the smallest buffer time.
    ///
    /// Who forwards each change while this buffer may be asked for its prior value takes
    /// [`first`](Self::first) and [`remove_first`](Self::remove_first) instead.
    pub fn evict_while(
        &mut self,
        mut predicate: impl FnMut(u64, u64, Timestamp) -> bool,
        mut visit: impl FnMut(BufferedChange<K, V>),
    ) -> Result<(), StateError> {
        while predicate(self.records, self.bytes, self.min_timestamp()) {
            let Some(first) = self.first()? else { break };
            visit(first);
            self.remove_first()?;
        }
        Ok(())
    }

    /// The oldest change.
    pub fn first(&self) -> Result<Option<BufferedChange<K, V>>, StateError> {
        let Some((row_key, row)) = self.rows.first() else { return Ok(None) };
        let error = |error| self.progress.serde_error(error);
        let (time, value) =
            BufferValue::decode_changelog(row).map_err(|error| self.progress.serde_error(error))?;
        let read = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| self.values.deserialize(Some(bytes))).transpose().map_err(error)
        };
        let change = Change::latest(read(value.old)?, read(value.new)?);
        let key_bytes = row_key.get(9..).unwrap_or_default();
        let key = self.keys.deserialize(Some(key_bytes)).map_err(error)?;
        let source_bytes = self.sources.get(key_bytes);
        Ok(Some(BufferedChange { key, change, time, context: value.context, source_bytes }))
    }

    /// Forgets the oldest change.
    pub fn remove_first(&mut self) -> Result<(), StateError> {
        let Some((row_key, row)) = self.rows.first() else { return Ok(()) };
        let value = BufferValue::decode_changelog(row).map_err(|error| self.progress.serde_error(error))?.1;
        let key = row_key.get(9..).unwrap_or_default();
        let size = row_size(key, &value);
        self.row_key.clear();
        self.row_key.extend_from_slice(row_key);
        self.bytes = self.bytes.saturating_sub(size);
        self.records = self.records.saturating_sub(1);
        let key = self.row_key.get(9..).unwrap_or_default();
        self.index.remove(key);
        self.sources.take(key);
        if self.options.logging {
            self.dirty.add(key);
        } else {
            self.progress.updated();
        }
        self.rows.remove(&self.row_key);
        self.settle()
    }

    /// The value that downstream saw last, if `key` is buffered: `Some(None)` if it saw none. `None`: not buffered,
    /// what downstream sees is the latest.
    pub fn prior_value_for_buffered(&mut self, key: &K) -> Result<Option<Option<V>>, StateError> {
        self.encode_key(key)?;
        let key_bytes = std::mem::take(&mut self.key_bytes);
        let found = self.locate(&key_bytes);
        self.key_bytes = key_bytes;
        let Some(time) = found? else { return Ok(None) };
        encode_row_key(time, &self.key_bytes, &mut self.row_key);
        let Some(row) = self.rows.get(&self.row_key)? else { return Ok(None) };
        let value = BufferValue::decode_changelog(row).map_err(|error| self.progress.serde_error(error))?.1;
        let prior = value.prior.map(|prior| self.values.deserialize(Some(prior))).transpose();
        prior.map(Some).map_err(|error| self.progress.serde_error(error))
    }

    /// Sets the row of `key` to the values old and new.
    fn insert(
        &mut self,
        time: Timestamp,
        key: &[u8],
        (old, new): (Option<&[u8]>, Option<&[u8]>),
        context: &ProcessorRecordContext,
    ) -> Result<(), StateError> {
        let place = self.locate(key)?;
        let time = place.unwrap_or(time);
        encode_row_key(time, key, &mut self.row_key);
        let mut row =
            Vec::with_capacity(old.map_or(0, <[u8]>::len) + new.map_or(0, <[u8]>::len) + ROW_CAPACITY);
        let before = if place.is_some() { self.rows.get(&self.row_key)? } else { None };
        let size = match before {
            Some(before) => {
                let before = BufferValue::decode_changelog(before)
                    .map_err(|error| self.progress.serde_error(error))?
                    .1;
                self.bytes = self.bytes.saturating_sub(row_size(key, &before));
                let value = BufferValue { context: context.clone(), prior: before.prior, old, new };
                value.encode_changelog(time, &mut row);
                row_size(key, &value)
            }
            None => {
                self.records = self.records.saturating_add(1);
                let value = BufferValue { context: context.clone(), prior: old, old, new };
                value.encode_changelog(time, &mut row);
                row_size(key, &value)
            }
        };
        self.bytes = self.bytes.saturating_add(size);
        self.rows.put(&self.row_key, row);
        self.index.insert(KeyBytes::new(key), time);
        if self.options.logging {
            self.dirty.add(key);
        }
        Ok(())
    }

    fn changed(&mut self) -> Result<(), StateError> {
        if !self.options.logging {
            self.progress.updated();
        }
        self.settle()
    }

    /// The time at which `key` is buffered.
    fn locate(&mut self, key: &[u8]) -> Result<Option<Timestamp>, StateError> {
        if let Some(time) = self.index.get(key) {
            return Ok(Some(*time));
        }
        if self.rows.complete() {
            return Ok(None);
        }
        let mut index_key = vec![INDEX];
        index_key.extend_from_slice(key);
        let mut found = Vec::new();
        if !self.rows.engine().get(&index_key, &mut found)? {
            return Ok(None);
        }
        let time = found.first_chunk().map_or(NO_TIMESTAMP, |time| Timestamp::from_be_bytes(*time));
        // The engine's index does not know yet what was taken out since the last flush.
        encode_row_key(time, key, &mut self.row_key);
        Ok(self.rows.get(&self.row_key)?.map(|_| time))
    }

    /// Makes sure that the first row is in memory.
    fn settle(&mut self) -> Result<(), StateError> {
        let index = &mut self.index;
        self.rows.settle(&mut |row_key, _| {
            index.insert(KeyBytes::new(row_key.get(9..).unwrap_or_default()), row_time(row_key));
            Ok(())
        })
    }

    fn encode_key(&mut self, key: &K) -> Result<(), StateError> {
        self.key_bytes.clear();
        match self.keys.serialize(key, &mut self.key_bytes) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(self.progress.serde_error(SerdeError::new("the key is null; a buffer needs a key")))
            }
            Err(source) => Err(self.progress.serde_error(source)),
        }
    }

    fn encode_value<'b>(
        &self,
        value: Option<&V>,
        out: &'b mut Vec<u8>,
    ) -> Result<Option<&'b [u8]>, StateError> {
        out.clear();
        let Some(value) = value else { return Ok(None) };
        match self.values.serialize(value, out) {
            Ok(present) => Ok(present.then_some(out.as_slice())),
            Err(source) => Err(self.progress.serde_error(source)),
        }
    }
}

/// Bytes of a row as Kafka Streams counts them.
fn row_size(key: &[u8], value: &BufferValue<'_>) -> u64 {
    8 + key.len() as u64 + value.resident_bytes()
}

/// `| 2 | time, sorts as a number | key ... |`
fn encode_row_key(time: Timestamp, key: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push(ROW);
    out.extend_from_slice(&(time ^ Timestamp::MIN).to_be_bytes());
    out.extend_from_slice(key);
}

fn row_time(row_key: &[u8]) -> Timestamp {
    let time = row_key.get(1..).and_then(|rest| rest.first_chunk());
    time.map_or(NO_TIMESTAMP, |time| Timestamp::from_be_bytes(*time) ^ Timestamp::MIN)
}
