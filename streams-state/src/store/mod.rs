//! Typed stores, and what a task asks of any store. What an access costs: ARCHITECTURE.md section 5, measured by `benches/state.rs`.

mod bulk_restore;
mod change_buffer;
mod changelog_buffer;
mod elsewhere;
mod forgotten_rows;
mod grace_buffer;
mod header_aware;
mod kept_sources;
mod key_bytes;
mod key_value;
mod operation_meters;
mod ordered_rows;
mod outer_join;
mod progress;
mod record_cache;
pub mod replay;
mod session;
mod slab;
mod slot_table;
mod tier;
mod timestamped_row;
mod versioned;
mod window;

use crate::engine::Statistics;
use crate::error::StateError;
use crate::types::{Headers, Timestamp};

pub use bulk_restore::BulkRestore;
pub use change_buffer::{BufferedChange, ChangeBuffer, ChangeBufferOptions};
pub use grace_buffer::{BufferedRecord, GraceBuffer, GraceBufferOptions};
pub use key_value::{CachedUpdate, KeyValueOptions, KeyValueStore};
pub use operation_meters::{Measured, OperationClock, OperationMeters, StoreOperation};
pub use outer_join::{JoinSide, LeftOrRight, OuterJoinOptions, OuterJoinStore, WaitingRow};
pub use session::{SessionOptions, SessionStore};
pub use versioned::{VersionedOptions, VersionedPut, VersionedStore};
pub use window::{Combine, KeyedRowVisitor, RowVisitor, WindowOptions, WindowStore, segment_interval};

/// A changelog entry as the producer wants it. `value` is `None` for a tombstone.
#[derive(Debug, Clone, Copy)]
pub struct ChangelogEntry<'a> {
    /// Serialized key.
    pub key: &'a [u8],
    /// Serialized value, without the timestamp prefix.
    pub value: Option<&'a [u8]>,
    /// Timestamp of the changelog record; negative leaves it to the producer's clock.
    pub timestamp: Timestamp,
    /// Headers of the changelog record: those of the value in a store that is aware of headers, the version of the
    /// layout for a suppress buffer, else none.
    pub headers: &'a Headers,
}

/// A changelog record while restoring.
#[derive(Debug, Clone, Copy)]
pub struct ChangelogRecord<'a> {
    /// Serialized key.
    pub key: &'a [u8],
    /// Serialized value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Timestamp.
    pub timestamp: Timestamp,
    /// Headers.
    pub headers: &'a Headers,
    /// Offset in the changelog partition.
    pub offset: i64,
}

/// A store that may hold updates back until a flush, for the node that forwards them then.
pub trait CachedStore<K, V> {
    /// Whether updates are held back.
    fn caching(&self) -> bool;

    /// Downstream wants old values: [`CachedUpdate::change`] has the value at the last flush as `old`.
    fn send_old_values(&mut self);

    /// Takes the next update that the cache holds back, and logs it. `None`: no more.
    fn pop_cached(&mut self) -> Result<Option<CachedUpdate<K, V>>, StateError>;

    /// How many of the updates taken since the last call were too late for the store: handed over and logged all the same, as in
    /// Kafka Streams, and counted as dropped by the caller.
    fn take_refused(&mut self) -> u64 {
        0
    }
}

/// What has been committed but not yet given to the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unflushed {
    /// Changelog records since the last flush: what a crash would have to replay.
    pub records: u64,
    /// Bytes of distinct rows since the last flush.
    pub bytes: u64,
}

/// What a task asks of each of its stores, whatever their types.
///
/// Life of an update: `put` (typed face) -> logged by `drain_changelog` -> the transaction commits ->
/// `committed` -> some time later `flush` gives it to the engine with the changelog offset.
/// After an abort the store is closed and opened again, and restores the tail of its changelog: nothing
/// uncommitted ever reached the engine.
pub trait StateStore {
    /// Name of the store.
    fn name(&self) -> &str;

    /// Hands over changelog entries that were produced since the last call, in order.
    fn drain_changelog(
        &mut self,
        sink: &mut dyn FnMut(ChangelogEntry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError>;

    /// Rows of these keys will be asked for soon, or not: a store may have what that needs come from memory now, for all of them at the
    /// same time. Nothing that can be seen changes.
    fn look_ahead(&self, keys: &[&[u8]]) {
        let _ = keys;
    }

    /// Moves updates that the cache holds back to the changelog without telling anybody: for a cached store that
    /// no node forwards. The deletion of a row that never was there is logged, too, as in Kafka Streams. Stores without a
    /// cache have nothing to move.
    fn write_cached(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// Everything drained so far is committed; the changelog reaches `offset` (next offset to read).
    fn committed(&mut self, offset: Option<i64>);

    /// Applies one changelog record while restoring. `value` is the changelog value (no timestamp prefix).
    fn restore(&mut self, key: &[u8], value: Option<&[u8]>, timestamp: Timestamp) -> Result<(), StateError>;

    /// Applies one changelog record while restoring, for stores that need more of it than
    /// [`restore`](Self::restore) is given.
    fn restore_record(&mut self, record: &ChangelogRecord<'_>) -> Result<(), StateError> {
        self.restore(record.key, record.value, record.timestamp)
    }

    /// What restores many changelog records without this store, on any thread. To be asked for after a [`flush`](Self::flush). Until
    /// [`reopen`](Self::reopen) this store may not be used. `None`: it restores record by record only.
    fn bulk_restore(&self) -> Result<Option<BulkRestore>, StateError> {
        Ok(None)
    }

    /// Forgets what is in memory, and opens anew over the engine: after a [`bulk_restore`](Self::bulk_restore).
    fn reopen(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// A commit is about to come, and the caches are empty: for stores that log at commits only, one entry for each
    /// key that changed. What they log is drained after this.
    fn prepare_commit(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// The changelog offset up to which this store holds everything (next offset to read).
    fn offset(&self) -> Option<i64>;

    /// Committed updates that the engine does not have yet. Stores without an engine have none.
    fn unflushed(&self) -> Unflushed {
        Unflushed::default()
    }

    /// Gives committed updates to the engine, with the offset that they reach: it has them when this returns. Must not be called
    /// with uncommitted updates. Nothing to do for a store without an engine: it restores its whole changelog at a start.
    fn flush(&mut self) -> Result<(), StateError> {
        self.finish_flush(true)?;
        self.start_flush()?;
        self.finish_flush(true).map(drop)
    }

    /// As [`flush`](Self::flush), but the updates may still be on their way when this returns. Not to be called before what is on
    /// its way has arrived.
    fn start_flush(&mut self) -> Result<(), StateError> {
        Ok(())
    }

    /// Whether what is on its way to the engine has arrived; with `wait` it has when this returns.
    fn finish_flush(&mut self, wait: bool) -> Result<bool, StateError> {
        let _ = wait;
        Ok(true)
    }

    /// Whether a flush would only wait behind those of other stores: better begun later.
    fn must_wait(&self) -> bool {
        false
    }

    /// Bytes of memory in use: the tier, where forgotten rows are, what the cache holds back, entries for the changelog. Without rows on
    /// their way to the engine, which are gone before the tier could make room for them.
    fn memory_bytes(&self) -> u64;

    /// Gives back memory, until no more than `target_bytes` are in use or nothing is left that the engine has, too.
    fn shed(&mut self, target_bytes: u64) {
        let _ = target_bytes;
    }

    /// Bytes of updates that the cache holds back until the next commit, about; 0 only if there are none.
    fn cached_bytes(&self) -> u64 {
        0
    }

    /// Bytes that the engine holds.
    fn engine_bytes(&self) -> u64 {
        0
    }

    /// What the engine says of itself: [`Engine::property`](crate::engine::Engine::property).
    fn engine_property(&self, name: &str) -> Option<u64> {
        let _ = name;
        None
    }

    /// What the engine did for it: [`Engine::statistics`](crate::engine::Engine::statistics).
    fn engine_statistics(&self) -> Option<Statistics> {
        None
    }

    /// How many keys it holds, about; `None` for stores that do not count them.
    fn num_keys(&self) -> Option<u64> {
        None
    }

    /// Where it measures its operations. `None`: a store that measures none.
    fn operation_meters(&mut self) -> Option<&mut OperationMeters> {
        None
    }

    /// Deletes all data and the offset: the store restores from the start of its changelog.
    fn wipe(&mut self) -> Result<(), StateError>;
}
