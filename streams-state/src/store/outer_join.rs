//! Step 5, store: records of a left or outer stream-stream join that found no partner yet: per time, side and key a
//! list of values.
//!
//! In come records without a partner; they leave when a partner comes ([`OuterJoinStore::remove`]) or when their
//! window has closed ([`OuterJoinStore::scan`] finds those, oldest first).
//!
//! ```text
//! row, changelog key   | timestamp i64 | side u8: 1 left, 0 right | key ... |      right before left at the same time
//! value                | 1 | count i32 | count x ( length i32 | side u8 | value ... ) |
//! ```
//!
//! A value is appended to the bytes of its list and nothing else is touched; values are only read again if they
//! are emitted.

mod lifecycle;

use std::ops::ControlFlow;
use std::sync::Arc;

use super::changelog_buffer::ChangelogBuffer;
use super::operation_meters::{Ended, Metered, OperationMeters, StoreOperation};
use super::ordered_rows::{OrderedRows, ROW};
use super::progress::Progress;
use super::{ChangelogEntry, StateStore, Unflushed};
use crate::engine::{Engine, Layout};
use crate::error::StateError;
use crate::format::left_or_right_value::LeftOrRightValue;
use crate::format::list;
use crate::format::timestamped_key_and_join_side::TimestampedKeyAndJoinSide;
use crate::serdes::{SerdeError, SerdeRef};
use crate::types::{RecordContext, Timestamp};

pub use crate::format::timestamped_key_and_join_side::JoinSide;

/// How the store of an outer join is made.
#[derive(Debug, Clone)]
pub struct OuterJoinOptions {
    /// Name of the store.
    pub name: Arc<str>,
    /// Write a changelog.
    pub logging: bool,
    /// Bytes of memory that rows may use that the engine has, too.
    pub memory_max_bytes: u64,
}

/// A value of one of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOrRight<L, R> {
    /// Of the stream that `join` was called on.
    Left(L),
    /// Of the other stream.
    Right(R),
}

/// Records of one time, side and key that wait.
pub struct WaitingRow<'a, K, L, R> {
    /// Which stream they are of.
    pub side: JoinSide,
    /// Their timestamp.
    pub timestamp: Timestamp,
    key: &'a [u8],
    list: &'a [u8],
    store: &'a OuterJoinStore<K, L, R>,
}

impl<K: 'static, L: 'static, R: 'static> WaitingRow<'_, K, L, R> {
    /// Their key.
    pub fn key(&self) -> Result<K, StateError> {
        self.store.keys.deserialize(Some(self.key)).map_err(|source| self.store.progress.serde_error(source))
    }

    /// Their values, in the order in which they came.
    pub fn values(&self) -> Result<Vec<LeftOrRight<L, R>>, StateError> {
        let elements =
            list::decode(self.list, None).map_err(|error| self.store.progress.serde_error(error))?;
        elements.into_iter().map(|element| self.store.decode_element(&element.unwrap_or_default())).collect()
    }
}

/// Records that wait for a partner, in the order of time.
pub struct OuterJoinStore<K, L, R> {
    options: OuterJoinOptions,
    rows: OrderedRows,
    keys: SerdeRef<K>,
    left: SerdeRef<L>,
    right: SerdeRef<R>,
    log: ChangelogBuffer,
    progress: Progress,
    meters: OperationMeters,
    row_key: Vec<u8>,
    element: Vec<u8>,
}

impl<K, L, R> Metered for OuterJoinStore<K, L, R> {
    fn meters(&mut self) -> &mut OperationMeters {
        &mut self.meters
    }
}

impl<K: 'static, L: 'static, R: 'static> OuterJoinStore<K, L, R> {
    /// Opens a store over `engine`.
    pub fn new(
        options: OuterJoinOptions,
        mut engine: Box<dyn Engine>,
        keys: SerdeRef<K>,
        left: SerdeRef<L>,
        right: SerdeRef<R>,
    ) -> Result<Self, StateError> {
        let progress = Progress::open(options.name.clone(), &mut *engine, Layout::OuterJoin)?;
        let rows = OrderedRows::open(engine, options.memory_max_bytes)?;
        let mut store = Self {
            options,
            rows,
            keys,
            left,
            right,
            log: ChangelogBuffer::default(),
            progress,
            meters: OperationMeters::default(),
            row_key: Vec::new(),
            element: Vec::new(),
        };
        store.settle()?;
        Ok(store)
    }

    /// Adds a value to the records of `key` that wait since `timestamp`. The changelog gets the whole list.
    pub fn put(
        &mut self,
        key: &K,
        timestamp: Timestamp,
        value: &LeftOrRight<L, R>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        self.operation(
            |store| store.add(key, timestamp, value, context),
            |_, _| Ended::Put(StoreOperation::Put, context.timestamp),
        )
    }

    fn add(
        &mut self,
        key: &K,
        timestamp: Timestamp,
        value: &LeftOrRight<L, R>,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let side = match value {
            LeftOrRight::Left(_) => JoinSide::Left,
            LeftOrRight::Right(_) => JoinSide::Right,
        };
        self.encode_row_key(side, timestamp, key)?;
        self.encode_element(value)?;
        let element = &self.element;
        if !self.rows.append(&self.row_key, |list| append_element(list, element))? {
            let mut list = vec![1, 0, 0, 0, 0];
            append_element(&mut list, element);
            self.rows.put(&self.row_key, list);
        }
        self.progress.updated();
        if self.options.logging {
            let list = self.rows.get(&self.row_key)?;
            let key = self.row_key.get(1..).unwrap_or_default();
            self.log.push_bytes(key, list, context.timestamp);
        }
        self.settle()
    }

    /// Removes all records of `key` on `side` that wait since `timestamp`. The changelog gets a tombstone even if
    /// there were none. Measured as a put, which it is in Kafka Streams.
    pub fn remove(
        &mut self,
        key: &K,
        side: JoinSide,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<(), StateError> {
        let work = |store: &mut Self| {
            store.encode_row_key(side, timestamp, key)?;
            store.remove_row(context)
        };
        self.operation(work, |_, _| Ended::Put(StoreOperation::Put, context.timestamp))
    }

    /// Like [`remove`](Self::remove), but does nothing if there are none. Returns whether there were. Measured as what Kafka Streams calls
    /// for it, which is `putIfAbsent` of nothing.
    pub fn remove_if_present(
        &mut self,
        key: &K,
        side: JoinSide,
        timestamp: Timestamp,
        context: &RecordContext,
    ) -> Result<bool, StateError> {
        let work = |store: &mut Self| {
            store.encode_row_key(side, timestamp, key)?;
            if store.rows.get(&store.row_key)?.is_none() {
                return Ok(false);
            }
            store.remove_row(context)?;
            Ok(true)
        };
        self.operation(work, |_, _| Ended::Put(StoreOperation::PutIfAbsent, context.timestamp))
    }

    /// The smallest timestamp at which a record waits.
    pub fn min_timestamp(&self) -> Option<Timestamp> {
        let (row_key, _) = self.rows.first()?;
        let timestamp = row_key.get(1..)?.first_chunk()?;
        Some(Timestamp::from_be_bytes(*timestamp))
    }

    /// Visits what waits in the order of timestamp, side (right first) and key, until `visit` breaks.
    ///
    /// Who emits collects the rows to emit, forwards them, and removes them then: a row that is removed only after
    /// all its values were forwarded is emitted again after a failure, never lost.
    pub fn scan(
        &mut self,
        visit: &mut dyn FnMut(&WaitingRow<'_, K, L, R>) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        self.operation(|store| store.scan_rows(visit), |_, _| Ended::Visit(StoreOperation::All))
    }

    fn scan_rows(
        &self,
        visit: &mut dyn FnMut(&WaitingRow<'_, K, L, R>) -> Result<ControlFlow<()>, StateError>,
    ) -> Result<(), StateError> {
        self.rows.scan(&mut |row_key, list| {
            let key = TimestampedKeyAndJoinSide::decode(row_key.get(1..).unwrap_or_default())
                .map_err(|error| self.progress.serde_error(error))?;
            visit(&WaitingRow { side: key.side, timestamp: key.timestamp, key: key.key, list, store: self })
        })
    }

    fn remove_row(&mut self, context: &RecordContext) -> Result<(), StateError> {
        self.rows.remove(&self.row_key);
        self.progress.updated();
        if self.options.logging {
            let key = self.row_key.get(1..).unwrap_or_default();
            self.log.push_bytes(key, None, context.timestamp);
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<(), StateError> {
        self.rows.settle(&mut |_, _| Ok(()))
    }

    fn encode_row_key(&mut self, side: JoinSide, timestamp: Timestamp, key: &K) -> Result<(), StateError> {
        self.row_key.clear();
        self.row_key.push(ROW);
        TimestampedKeyAndJoinSide { timestamp, side, key: &[] }.encode(&mut self.row_key);
        self.progress.key_written(self.keys.serialize(key, &mut self.row_key))
    }

    fn encode_element(&mut self, value: &LeftOrRight<L, R>) -> Result<(), StateError> {
        self.element.clear();
        let written = match value {
            LeftOrRight::Left(value) => {
                LeftOrRightValue { side: JoinSide::Left, value: &[] }.encode(&mut self.element);
                self.left.serialize(value, &mut self.element)
            }
            LeftOrRight::Right(value) => {
                LeftOrRightValue { side: JoinSide::Right, value: &[] }.encode(&mut self.element);
                self.right.serialize(value, &mut self.element)
            }
        };
        match written {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(self.progress.serde_error(SerdeError::new("a null value cannot wait for a partner")))
            }
            Err(source) => Err(self.progress.serde_error(source)),
        }
    }
}

impl<K: 'static, L: 'static, R: 'static> OuterJoinStore<K, L, R> {
    fn decode_element(&self, element: &[u8]) -> Result<LeftOrRight<L, R>, StateError> {
        let element = LeftOrRightValue::decode(element).map_err(|error| self.progress.serde_error(error))?;
        let value = match element.side {
            JoinSide::Left => self.left.deserialize(Some(element.value)).map(LeftOrRight::Left),
            JoinSide::Right => self.right.deserialize(Some(element.value)).map(LeftOrRight::Right),
        };
        value.map_err(|source| self.progress.serde_error(source))
    }
}

/// Appends an element to a list in the layout of [`list`]: flag, count, elements.
fn append_element(list: &mut Vec<u8>, element: &[u8]) {
    if let Some(count) = list.get_mut(1..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *count = (i32::from_be_bytes(*count) + 1).to_be_bytes();
    }
    // A list of 2^31 elements or bytes does not fit into a Kafka record.
    list.extend_from_slice(&(element.len() as i32).to_be_bytes());
    list.extend_from_slice(element);
}
