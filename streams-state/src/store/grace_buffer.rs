//! Step 5, store: the buffer of a stream-table join with grace: records of the stream that wait until the table had
//! time to catch up.
//!
//! In come records, out they go in the order of their timestamps once stream time is `grace` past them
//! ([`GraceBuffer::pop_due`]). Nothing is ever replaced: each record has a number.
//!
//! ```text
//! row, changelog key   | 0 | timestamp i64 | key ... | number i32 |
//! value                | buffer value: record context, no prior, no old, the value | 0 i64 |
//! ```
//!
//! The changelog is written at once, with no timestamps. Numbers go on from the largest one that is buffered after
//! a restart (Kafka Streams starts again, and may overwrite).

use std::sync::Arc;

use super::changelog_buffer::ChangelogBuffer;
use super::kept_sources::KeptSources;
use super::ordered_rows::{OrderedRows, ROW};
use super::progress::Progress;
use super::{ChangelogEntry, StateStore, Unflushed};
use crate::engine::{Engine, Layout, Statistics};
use crate::error::StateError;
use crate::format::buffer_value::BufferValue;
use crate::format::record_context::ProcessorRecordContext;
use crate::serdes::{SerdeError, SerdeRef};
use crate::types::{NO_TIMESTAMP, SourceBytes, Timestamp};

/// The engine's row with stream time, last number, and number of records.
const STATE: &[u8] = &[0];

/// First byte of the store key: Kafka Streams' prefix of a key that starts with a time.
const TIME_FIRST: u8 = 0;

/// How a grace buffer is made.
#[derive(Debug, Clone)]
pub struct GraceBufferOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// How long a record waits, ms of stream time.
    pub grace: i64,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes of memory that rows may use that the engine has, too.
    pub memory_max_bytes: u64,
}

/// A record that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferedRecord<K, V> {
    /// Key.
    pub key: K,
    /// Value.
    pub value: V,
    /// Where it came from, with its timestamp and headers.
    pub context: ProcessorRecordContext,
    /// Bytes of its source record, where they were [kept](GraceBuffer::keep_source).
    pub source_bytes: SourceBytes,
}

/// Records in the order of their timestamps.
pub struct GraceBuffer<K, V> {
    options: GraceBufferOptions,
    rows: OrderedRows,
    keys: SerdeRef<K>,
    values: SerdeRef<V>,
    stream_time: Timestamp,
    number: i32,
    records: u64,
    log: ChangelogBuffer,
    progress: Progress,
    sources: KeptSources,
    row_key: Vec<u8>,
    value_bytes: Vec<u8>,
}

impl<K: 'static, V: 'static> GraceBuffer<K, V> {
    /// Opens a buffer over `engine`.
    pub fn new(
        options: GraceBufferOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        values: SerdeRef<V>,
    ) -> Result<Self, StateError> {
        let progress = Progress::open(options.name.clone(), &mut *engine, Layout::GraceBuffer)?;
        let mut buffer = Self {
            rows: OrderedRows::open(engine, options.memory_max_bytes)?,
            sources: KeptSources::new(options.memory_max_bytes),
            options,
            keys,
            values,
            stream_time: NO_TIMESTAMP,
            number: 0,
            records: 0,
            log: ChangelogBuffer::default(),
            progress,
            row_key: Vec::new(),
            value_bytes: Vec::new(),
        };
        buffer.read_state()?;
        buffer.settle()?;
        Ok(buffer)
    }

    /// Number of records that wait.
    pub fn num_records(&self) -> u64 {
        self.records
    }

    /// Largest timestamp that was put; -1 before the first.
    pub fn stream_time(&self) -> Timestamp {
        self.stream_time
    }

    /// Buffers a record with the timestamp in `context`. `false`: it is later than the grace, and was not buffered;
    /// it is to be joined at once.
    pub fn put(&mut self, key: &K, value: &V, context: &ProcessorRecordContext) -> Result<bool, StateError> {
        let timestamp = context.timestamp;
        if self.due_time() > timestamp {
            return Ok(false);
        }
        let number = self.number.wrapping_add(1) & i32::MAX;
        self.encode_row_key(timestamp, key, number)?;
        self.value_bytes.clear();
        match self.values.serialize(value, &mut self.value_bytes) {
            Ok(true) => {}
            Ok(false) => {
                return Err(self.progress.serde_error(SerdeError::new("a null value cannot be buffered")));
            }
            Err(source) => return Err(self.progress.serde_error(source)),
        }
        let new = Some(self.value_bytes.as_slice());
        let value = BufferValue { context: context.clone(), prior: None, old: None, new };
        let mut row = Vec::new();
        value.encode_changelog(0, &mut row);
        if self.options.logging {
            let key = self.row_key.get(1..).unwrap_or_default();
            self.log.push_bytes(key, Some(&row), NO_TIMESTAMP);
        }
        self.number = number;
        self.records = self.records.saturating_add(1);
        self.stream_time = self.stream_time.max(timestamp);
        self.rows.put(&self.row_key, row);
        self.progress.updated();
        self.settle()?;
        Ok(true)
    }

    /// The record that was just put came of this source record: in memory only, for error handlers.
    pub fn keep_source(&mut self, source: &SourceBytes) {
        self.sources.put(&self.row_key, source);
    }

    /// Takes the next record whose grace is over, in the order of timestamp, key and arrival.
    pub fn pop_due(&mut self) -> Result<Option<BufferedRecord<K, V>>, StateError> {
        self.pop_until(self.due_time())
    }

    /// The earliest timestamp in the buffer.
    pub fn first_timestamp(&self) -> Option<Timestamp> {
        decode_row_key(self.rows.first()?.0).map(|(timestamp, _, _)| timestamp)
    }

    /// Takes the first record if its timestamp is `due` or earlier, whatever its grace.
    pub fn pop_until(&mut self, due: Timestamp) -> Result<Option<BufferedRecord<K, V>>, StateError> {
        let Some((row_key, row)) = self.rows.first() else { return Ok(None) };
        let error = |error: crate::format::FormatError| self.progress.serde_error(error);
        let (timestamp, key, _) = decode_row_key(row_key).ok_or_else(|| self.bad_key())?;
        if timestamp > due {
            return Ok(None);
        }
        let value = BufferValue::decode(row).map_err(error)?;
        let context = value.context;
        let value = self.values.deserialize(value.new).map_err(|source| self.progress.serde_error(source))?;
        let key = self.keys.deserialize(Some(key)).map_err(|source| self.progress.serde_error(source))?;
        self.row_key.clear();
        self.row_key.extend_from_slice(row_key);
        if self.options.logging {
            let key = self.row_key.get(1..).unwrap_or_default();
            self.log.push_bytes(key, None, NO_TIMESTAMP);
        }
        self.rows.remove(&self.row_key);
        let source_bytes = self.sources.take(&self.row_key);
        self.records = self.records.saturating_sub(1);
        self.progress.updated();
        self.settle()?;
        Ok(Some(BufferedRecord { key, value, context, source_bytes }))
    }

    /// Records up to this time have waited long enough.
    fn due_time(&self) -> Timestamp {
        self.stream_time.saturating_sub(self.options.grace)
    }

    fn settle(&mut self) -> Result<(), StateError> {
        self.rows.settle(&mut |_, _| Ok(()))
    }

    fn encode_row_key(&mut self, timestamp: Timestamp, key: &K, number: i32) -> Result<(), StateError> {
        self.row_key.clear();
        self.row_key.extend_from_slice(&[ROW, TIME_FIRST]);
        self.row_key.extend_from_slice(&timestamp.to_be_bytes());
        match self.keys.serialize(key, &mut self.row_key) {
            Ok(true) => {}
            Ok(false) => {
                return Err(self.progress.serde_error(SerdeError::new("a null key cannot be buffered")));
            }
            Err(source) => return Err(self.progress.serde_error(source)),
        }
        self.row_key.extend_from_slice(&number.to_be_bytes());
        Ok(())
    }

    fn bad_key(&self) -> StateError {
        self.progress.serde_error(SerdeError::new("a key of the grace buffer needs 13 bytes and more"))
    }

    fn read_state(&mut self) -> Result<(), StateError> {
        let mut state = Vec::new();
        self.rows.engine().get(STATE, &mut state)?;
        if let Some((stream_time, rest)) = state.split_first_chunk()
            && let Some((number, rest)) = rest.split_first_chunk()
            && let Some(records) = rest.first_chunk()
        {
            self.stream_time = Timestamp::from_be_bytes(*stream_time);
            self.number = i32::from_be_bytes(*number);
            self.records = u64::from_be_bytes(*records);
        }
        Ok(())
    }
}

impl<K: 'static, V: 'static> StateStore for GraceBuffer<K, V> {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.progress.check_broken()?;
        self.log.drain(sink)
    }

    fn committed(&mut self, offset: Option<i64>) {
        self.progress.committed(offset);
    }

    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, _timestamp: Timestamp) -> Result<(), StateError> {
        self.progress.restored();
        let mut row_key = vec![ROW];
        row_key.extend_from_slice(key);
        let (timestamp, _, number) = decode_row_key(&row_key).ok_or_else(|| self.bad_key())?;
        self.stream_time = self.stream_time.max(timestamp);
        self.number = self.number.max(number);
        if self.rows.get(&row_key)?.is_some() {
            self.records = self.records.saturating_sub(1);
        }
        match value {
            Some(value) => {
                self.records = self.records.saturating_add(1);
                self.rows.put(&row_key, value.to_vec());
            }
            None => self.rows.remove(&row_key),
        }
        self.settle()
    }

    fn offset(&self) -> Option<i64> {
        self.progress.offset()
    }

    fn unflushed(&self) -> Unflushed {
        Unflushed { records: self.progress.unflushed(), bytes: self.rows.unflushed_bytes() }
    }

    fn start_flush(&mut self) -> Result<(), StateError> {
        self.progress.check_flush(!self.log.is_empty())?;
        if self.progress.behind() {
            let mut state = self.stream_time.to_be_bytes().to_vec();
            state.extend_from_slice(&self.number.to_be_bytes());
            state.extend_from_slice(&self.records.to_be_bytes());
            let extras = [(STATE.to_vec(), Some(state))];
            self.rows.flush(&extras, self.progress.offset(), &mut |_, _| Ok(()))?;
        }
        self.progress.flushed();
        self.settle()
    }

    fn memory_bytes(&self) -> u64 {
        self.rows.memory_bytes()
    }

    fn engine_bytes(&self) -> u64 {
        self.rows.engine().size_bytes()
    }

    fn engine_property(&self, name: &str) -> Option<u64> {
        self.rows.engine().property(name)
    }

    fn engine_statistics(&self) -> Option<Statistics> {
        self.rows.engine().statistics()
    }

    fn wipe(&mut self) -> Result<(), StateError> {
        self.rows.wipe()?;
        self.sources.clear();
        self.log.clear();
        (self.stream_time, self.number, self.records) = (NO_TIMESTAMP, 0, 0);
        self.progress.wiped();
        Ok(())
    }
}

/// Timestamp, key and number of a row.
fn decode_row_key(row_key: &[u8]) -> Option<(Timestamp, &[u8], i32)> {
    let (timestamp, rest) = row_key.get(2..)?.split_first_chunk()?;
    let (key, number) = rest.split_last_chunk()?;
    Some((Timestamp::from_be_bytes(*timestamp), key, i32::from_be_bytes(*number)))
}
