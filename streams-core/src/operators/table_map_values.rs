//! Maps the rows of a table to other values; a deleted row stays deleted.

use std::sync::Arc;

use streams_state::types::{Change, Timestamp};

use super::{BoxGetter, ReadResult, RowRef, TablePut, TableStore, Updates, ValueGetter, update_context};
use crate::error::NodeResult;
use crate::processor::{Push, TaskContext};
use crate::record::Record;

/// A mapped table, with a store of its own or without.
pub(crate) struct TableMapValues<K, V2, F> {
    pub(crate) name: Arc<str>,
    pub(crate) mapper: Arc<F>,
    pub(crate) store: Option<TableStore<K, V2>>,
    pub(crate) send_old: bool,
    pub(crate) updates: Updates<K, V2>,
}

impl<K, V, V2, F> Push<K, Change<V>> for TableMapValues<K, V2, F>
where
    K: 'static,
    V2: Clone + 'static,
    F: Fn(&K, &V) -> Option<V2>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value: change, timestamp, headers } = record;
        let new = change.new.and_then(|value| (self.mapper)(&key, &value));
        let old = match &self.store {
            _ if !self.send_old => None,
            None => change.old.and_then(|value| (self.mapper)(&key, &value)),
            Some(store) => {
                let row = store.get(&key).map_err(|error| context.state_error(&self.name, error))?;
                row.map(|(value, _)| value)
            }
        };
        let put = match &self.store {
            Some(store) => store
                .put(&key, new.clone(), timestamp, &update)
                .map_err(|error| context.state_error(&self.name, error))?,
            None => TablePut::passed_on(change.is_latest),
        };
        let Some(is_latest) = put.accepted(context, &self.name) else { return Ok(()) };
        let change = Change { old, new, is_latest };
        self.updates.forward(context, Record { key, value: change, timestamp, headers })
    }
}

/// Reads a mapped table that has no store: maps the parent's row each time.
pub(crate) struct MapValuesGetter<K, V, F> {
    pub(crate) parent: BoxGetter<K, V>,
    pub(crate) mapper: Arc<F>,
}

impl<K, V, V2, F: Fn(&K, &V) -> Option<V2>> MapValuesGetter<K, V, F> {
    /// Shows the mapped row to `visit`.
    fn map(mapper: &F, key: &K, row: RowRef<'_, V>, visit: &mut dyn FnMut(RowRef<'_, V2>)) {
        let mapped = row.and_then(|(value, timestamp)| Some((mapper(key, value)?, timestamp)));
        visit(mapped.as_ref().map(|(value, timestamp)| (value, *timestamp)));
    }
}

impl<K, V, V2, F: Fn(&K, &V) -> Option<V2>> ValueGetter<K, V2> for MapValuesGetter<K, V, F> {
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V2>),
    ) -> ReadResult {
        let mapper = &*self.mapper;
        self.parent.read(context, key, &mut |row| Self::map(mapper, key, row, visit))
    }

    fn read_as_of(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V2>),
    ) -> ReadResult {
        let mapper = &*self.mapper;
        self.parent.read_as_of(context, key, timestamp, &mut |row| Self::map(mapper, key, row, visit))
    }
}
