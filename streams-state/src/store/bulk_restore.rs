//! Before step 1: many changelog records -> sorted runs in the engine, without the store and its types, on any thread.
//!
//! ```text
//! changelog record ──► row(s) of the engine ──► one buffer ──full──► sorted, last write per key ──► run, with the offset reached
//! ```
//!
//! Rows are bytes of the record, laid out anew: nothing is deserialized. What is overwritten is dropped when the buffer is full; it is
//! written when that gave too little room. So the memory is bounded, and a changelog of few keys becomes few rows. A restore that ends
//! early goes on from the offset of the last run. When all is there the store opens anew over its engine ([`StateStore::reopen`]).
//!
//! Not for stores whose rows are more than the bytes of one record: rows with headers, versioned stores, panes, buffers of suppress and of
//! joins, stores that keep only so many rows; and not for engines that keep nothing. They restore record by record.
//!
//! [`StateStore::reopen`]: super::StateStore::reopen

use std::sync::Arc;

use super::ChangelogRecord;
use super::timestamped_row::copy_row;
use crate::engine::{Engine, Run, RunWriter};
use crate::error::StateError;
use crate::serdes::SerdeError;
use crate::types::Timestamp;

/// Bytes that the buffer may use unless told otherwise.
const MEMORY_MAX: usize = 32 << 20;

/// What the records of a store's changelog are in its engine.
pub(super) trait BulkRows: Send {
    /// Appends the rows of `record` to `run`.
    fn add(&mut self, record: &ChangelogRecord<'_>, run: &mut Run) -> Result<(), SerdeError>;

    /// Whether rows expire, so that [`newest`](Self::newest) tells something.
    fn expire(&self) -> bool {
        false
    }

    /// Shows a record from the end of the changelog before the others: what is expired by then need not be written. Returns the
    /// timestamp from which on records matter; `None`: timestamps do not tell.
    fn newest(&mut self, _record: &ChangelogRecord<'_>) -> Option<Timestamp> {
        None
    }

    /// Sorts `run` and leaves one row for each key.
    fn settle(&mut self, run: &mut Run) -> Result<(), SerdeError> {
        run.sort_last();
        Ok(())
    }

    /// Makes a run that is to be written of one that is settled: adds what every run has, lays rows over those of the engine.
    /// Leaves it sorted.
    fn complete(&mut self, _run: &mut Run, _engine: &dyn RunWriter) -> Result<(), StateError> {
        Ok(())
    }
}

/// Restores one store in bulk. Made by [`StateStore::bulk_restore`](super::StateStore::bulk_restore).
pub struct BulkRestore {
    store: Arc<str>,
    rows: Box<dyn BulkRows>,
    writer: Box<dyn RunWriter>,
    run: Run,
    memory_max: usize,
    /// The engine has no rows yet, so that there is nothing to delete.
    empty: bool,
    /// Offset after the last record, and that of the engine.
    reached: Option<i64>,
    written: Option<i64>,
}

impl BulkRestore {
    /// `None` if `engine` keeps nothing.
    pub(super) fn new(
        store: &Arc<str>,
        engine: &dyn Engine,
        rows: impl BulkRows + 'static,
    ) -> Result<Option<Self>, StateError> {
        let Some(writer) = engine.writer() else { return Ok(None) };
        let offset = engine.offset()?;
        Ok(Some(Self {
            store: store.clone(),
            rows: Box::new(rows),
            writer,
            run: Run::default(),
            memory_max: MEMORY_MAX,
            empty: engine.is_empty()?,
            reached: offset,
            written: offset,
        }))
    }

    /// Bounds the bytes that it holds, half of them again for a moment while it drops what is overwritten; 32 MiB unless set.
    pub fn set_memory_max(&mut self, bytes: usize) {
        self.memory_max = bytes;
    }

    /// Takes the room of a restore that has ended, so that this one need not ask the system for its own.
    pub fn reuse(&mut self, mut run: Run) {
        run.clear();
        self.run = run;
    }

    /// The changelog offset that the engine reaches: where the restore starts; `None` is the start of the changelog.
    pub fn offset(&self) -> Option<i64> {
        self.written
    }

    /// Whether rows expire: then it is worth the while to look at the end of a long changelog first, see [`newest`](Self::newest).
    pub fn rows_expire(&self) -> bool {
        self.rows.expire()
    }

    /// Shows a record from the end of the changelog before the others, so that what is expired by then is skipped. Returns the
    /// timestamp from which on records matter: those before the first record that has it, or a later one, need not be read. `None`:
    /// all must be read, because a record may be older than what it says.
    pub fn newest(&mut self, record: &ChangelogRecord<'_>) -> Option<Timestamp> {
        self.rows.newest(record)
    }

    /// Takes one record, in the order of the changelog.
    ///
    /// # Errors
    /// A key that is not one of this store, or an engine that cannot write.
    pub fn record(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        let added = self.rows.add(record, &mut self.run);
        added.map_err(|source| self.refused(source))?;
        self.reached = Some(record.offset + 1);
        if self.run.used_bytes() >= self.memory_max { self.make_room() } else { Ok(()) }
    }

    /// Writes what is left, with the changelog offset that is reached: that of the next record to read. Returns the room it had, for
    /// the next restore.
    pub fn finish(mut self, next: i64) -> Result<Run, StateError> {
        self.reached = Some(next);
        if !self.run.is_empty() || self.reached != self.written {
            self.settle()?;
            self.write()?;
        }
        Ok(self.run)
    }

    #[cold]
    fn make_room(&mut self) -> Result<(), StateError> {
        self.settle()?;
        if self.run.live_bytes() > self.memory_max / 2 {
            return self.write();
        }
        self.run.compact();
        // Many small rows fit twice into the bytes, but not what a sort of them needs.
        if self.run.used_bytes() > self.memory_max / 2 { self.write() } else { Ok(()) }
    }

    fn settle(&mut self) -> Result<(), StateError> {
        self.rows.settle(&mut self.run).map_err(|source| self.refused(source))
    }

    fn write(&mut self) -> Result<(), StateError> {
        self.rows.complete(&mut self.run, &*self.writer)?;
        let empty = self.empty;
        {
            let mut rows = self.run.iter().filter(|(_, value)| value.is_some() || !empty);
            self.writer.write(&mut rows, self.reached)?;
        }
        self.run.clear();
        (self.empty, self.written) = (false, self.reached);
        Ok(())
    }

    fn refused(&self, source: SerdeError) -> StateError {
        let next = self.reached.unwrap_or(0);
        let source =
            SerdeError::new(format!("a record of the changelog, at or after offset {next}: {source}"));
        StateError::Serde { store: self.store.to_string(), source }
    }
}

impl std::fmt::Debug for BulkRestore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkRestore").field("store", &self.store).field("written", &self.written).finish()
    }
}

/// Rows of key-value stores: the timestamp in front of the value.
pub(super) struct KeyValueRows;

impl BulkRows for KeyValueRows {
    fn add(&mut self, record: &ChangelogRecord<'_>, run: &mut Run) -> Result<(), SerdeError> {
        run.push_with(|out| out.extend_from_slice(record.key), |out| copy_row(record, out))
    }
}
