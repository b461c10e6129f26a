//! Reading a table from a join: straight from its store, or through the operators between.

use streams_state::error::StateError;
use streams_state::store::KeyValueStore;
use streams_state::types::Timestamp;

use super::TableStore;
use crate::processor::SharedStore;

/// A row as a getter shows it: value and timestamp.
pub(crate) type RowRef<'a, V> = Option<(&'a V, Timestamp)>;

/// Reads a table by key.
pub(crate) trait ValueGetter<K, V> {
    /// Shows the row of `key` to `visit`, once; `None` is no row.
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(RowRef<'_, V>)) -> Result<(), StateError>;

    /// As [`read`](Self::read), but the row as it was at `timestamp`. Only a versioned table knows its past: the others show
    /// the row of today.
    fn read_as_of(
        &mut self,
        key: &K,
        _timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> Result<(), StateError> {
        self.read(key, visit)
    }
}

/// A getter behind its types.
pub(crate) type BoxGetter<K, V> = Box<dyn ValueGetter<K, V>>;

/// Reads a materialized table.
pub(crate) struct StoreGetter<K, V>(pub(crate) TableStore<K, V>);

impl<K: 'static, V: Clone + 'static> ValueGetter<K, V> for StoreGetter<K, V> {
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(RowRef<'_, V>)) -> Result<(), StateError> {
        self.0.read(key, visit)
    }

    fn read_as_of(
        &mut self,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V>),
    ) -> Result<(), StateError> {
        self.0.read_as_of(key, timestamp, visit)
    }
}

/// Reads a global table, whose store all threads share.
pub(crate) struct GlobalGetter<K, V>(pub(crate) SharedStore<KeyValueStore<K, V>>);

impl<K: 'static, V: Clone + 'static> ValueGetter<K, V> for GlobalGetter<K, V> {
    fn read(&mut self, key: &K, visit: &mut dyn FnMut(RowRef<'_, V>)) -> Result<(), StateError> {
        self.0.read(|store| {
            visit(store.get(key)?);
            Ok(())
        })
    }
}
