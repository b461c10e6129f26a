//! Maps the rows of a table to other values; a deleted row stays deleted.

use std::sync::Arc;

use streams_state::types::{Change, Timestamp};

use super::{BoxGetter, ReadResult, RowRef, TablePut, TableStore, Updates, ValueGetter, update_context};
use crate::error::{BoxError, NodeResult, TaskErrorCause};
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

impl<K, V2, F> TableMapValues<K, V2, F> {
    fn map<V>(&self, context: &TaskContext, key: &K, value: Option<V>) -> NodeResult<Option<V2>>
    where
        F: Fn(&K, &V) -> Result<Option<V2>, BoxError>,
    {
        let Some(value) = value else { return Ok(None) };
        (self.mapper)(key, &value).map_err(|error| context.user_error(&self.name, error))
    }
}

impl<K, V, V2, F> Push<K, Change<V>> for TableMapValues<K, V2, F>
where
    K: 'static,
    V2: Clone + 'static,
    F: Fn(&K, &V) -> Result<Option<V2>, BoxError>,
{
    fn push(&mut self, context: &mut TaskContext, record: Record<K, Change<V>>) -> NodeResult {
        let update = update_context(context, &record);
        let Record { key, value: change, timestamp, headers } = record;
        let new = self.map(context, &key, change.new)?;
        let old = match &self.store {
            _ if !self.send_old => None,
            None => self.map(context, &key, change.old)?,
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

impl<K, V, V2, F: Fn(&K, &V) -> Result<Option<V2>, BoxError>> MapValuesGetter<K, V, F> {
    /// Shows the mapped row to `visit`.
    fn map(
        mapper: &F,
        key: &K,
        row: RowRef<'_, V>,
        visit: &mut dyn FnMut(RowRef<'_, V2>),
    ) -> Result<(), BoxError> {
        let Some((value, timestamp)) = row else {
            visit(None);
            return Ok(());
        };
        let mapped = mapper(key, value)?;
        visit(mapped.as_ref().map(|value| (value, timestamp)));
        Ok(())
    }
}

impl<K, V, V2, F: Fn(&K, &V) -> Result<Option<V2>, BoxError>> ValueGetter<K, V2>
    for MapValuesGetter<K, V, F>
{
    fn read(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        visit: &mut dyn FnMut(RowRef<'_, V2>),
    ) -> ReadResult {
        let (mapper, mut shown) = (&*self.mapper, Ok(()));
        self.parent.read(context, key, &mut |row| shown = Self::map(mapper, key, row, visit))?;
        shown.map_err(TaskErrorCause::Processing)
    }

    fn read_as_of(
        &mut self,
        context: &mut TaskContext,
        key: &K,
        timestamp: Timestamp,
        visit: &mut dyn FnMut(RowRef<'_, V2>),
    ) -> ReadResult {
        let (mapper, mut shown) = (&*self.mapper, Ok(()));
        let mut show = |row: RowRef<'_, V>| shown = Self::map(mapper, key, row, visit);
        self.parent.read_as_of(context, key, timestamp, &mut show)?;
        shown.map_err(TaskErrorCause::Processing)
    }
}
