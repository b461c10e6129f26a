//! Reading a table from a join: straight from its store, or through the operators between.

use streams_state::store::KeyValueStore;
use streams_state::types::Timestamp;

use super::TableStore;
use crate::error::TaskErrorCause;
use crate::processor::{SharedStore, TaskContext};

/// A row as a getter shows it: value and timestamp.
pub(crate) type RowRef<'a, V> = Option<(&'a V, Timestamp)>;

/// What a reading getter returns: a store, or user code on the way to it, may fail. The reader passes a failure to
/// [`TaskContext::read_failed`].
pub(crate) type ReadResult = Result<(), TaskErrorCause>;

/// Reads a table by key.
pub(crate) trait ValueGetter<K, V> {
    /// Shows the row of `key` to `visit`, once; `None` is no row.
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult;

    /// As [`read`](Self::read), but the row as it was at `timestamp`. Only a versioned table knows its past: the others show
    /// the row of today.
    fn read_as_of(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        _timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        self.read(context, key, visit)
    }
}

/// A getter behind its types.
pub(crate) type BoxGetter<K, V> = Box<dyn ValueGetter<K, V>>;

/// Reads a materialized table.
pub(crate) struct StoreGetter<K, V>(pub(crate) TableStore<K, V>);

impl<K: 'static, V: Clone + 'static> ValueGetter<K, V> for StoreGetter<K, V> {
    fn read(
        &mut self,
        _context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        Ok(self.0.read(key, visit)?)
    }

    fn read_as_of(
        &mut self,
        _context: &mut TaskContext,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        Ok(self.0.read_as_of(key, timestamp, visit)?)
    }
}

/// Reads a global table, whose store all threads share.
pub(crate) struct GlobalGetter<K, V>(pub(crate) SharedStore<KeyValueStore<K, V>>);

impl<K: 'static, V: Clone + 'static> ValueGetter<K, V> for GlobalGetter<K, V> {
    fn read(
        &mut self,
        _context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> ReadResult {
        self.0.read(|store| {
            visit(store.get(key)?);
            Ok(())
        })?;
        Ok(())
    }
}
